"""Runs `python -m semcoder_jax.serve`; the command is semcoder_jax.commands.serve.

Never imported: an import would put this module where `semcoder_jax.serve` means the function.
"""

if __name__ == "semcoder_jax.serve":
    raise ImportError("this only runs the command: import semcoder_jax.commands.serve")

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("semcoder_jax.commands.serve", extra="serve"))
