"""Runs `python -m semcoder_jax.hf` (semcoder_jax.commands.hf)."""

import os
import sys

from semcoder_jax.commands.hf import main

if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.exit(main())
