"""Runs `python -m semcoder_jax.serve`; the command is semcoder_jax.commands.serve."""

import sys

from semcoder_jax.commands.serve import main

if __name__ == "__main__":
    sys.exit(main())
