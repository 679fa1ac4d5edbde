"""Runs `python -m semcoder_jax.evaluate`; the command is semcoder_jax.commands.evaluate.

Never imported: an import would put this module where `semcoder_jax.evaluate` means the function.
"""

if __name__ == "semcoder_jax.evaluate":
    raise ImportError("this only runs the command: import semcoder_jax.commands.evaluate")

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("semcoder_jax.commands.evaluate", extra="train"))
