"""Runs `python -m semcoder_jax.sample`; the command is semcoder_jax.commands.sample."""

import sys

from semcoder_jax.commands.sample import main

if __name__ == "__main__":
    sys.exit(main())
