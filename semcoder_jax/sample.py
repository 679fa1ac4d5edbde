"""Runs `python -m semcoder_jax.sample`; the command is semcoder_jax.commands.sample."""

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("semcoder_jax.commands.sample", extra="train"))
