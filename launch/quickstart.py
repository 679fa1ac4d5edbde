"""Runs `python -m launch.quickstart`; the command is launch.quickstart_stages.

That module loads JAX; this one does not, so that Ctrl-C meanwhile ends in one line.
"""

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("launch.quickstart_stages", extra="train"))
