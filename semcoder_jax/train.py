"""Runs `python -m semcoder_jax.train`; the command is semcoder_jax.training.loop."""

import sys

from semcoder_jax.training.loop import main

if __name__ == "__main__":
    sys.exit(main())
