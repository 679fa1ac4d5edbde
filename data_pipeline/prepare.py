"""Runs `python -m data_pipeline.prepare` (data_pipeline.commands.prepare)."""

from data_pipeline.terminal.command_line import end_process
from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    end_process(run_module("data_pipeline.commands.prepare", extra="data"))
