"""Runs `python -m semcoder_jax.evaluate`; the command is semcoder_jax.commands.evaluate."""

import sys

from semcoder_jax.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
