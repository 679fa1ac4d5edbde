"""Runs `python -m semcoder_jax.train`; the command is semcoder_jax.commands.train."""

import sys

from semcoder_jax.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
