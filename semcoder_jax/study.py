"""Runs `python -m semcoder_jax.study`; the command is semcoder_jax.commands.study."""

import sys

from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    sys.exit(run_module("semcoder_jax.commands.study", extra="train"))
