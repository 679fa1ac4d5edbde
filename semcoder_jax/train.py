"""Runs `python -m semcoder_jax.train`; the command is semcoder_jax.commands.train.

Never imported: an import would put this module where `semcoder_jax.train` means the function.
"""

if __name__ == "semcoder_jax.train":
    raise ImportError("this only runs the command: import semcoder_jax.commands.train")

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("semcoder_jax.commands.train", extra="train"))
