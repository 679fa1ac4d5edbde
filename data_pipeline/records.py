"""Runs `python -m data_pipeline.records` (data_pipeline.commands.records)."""

from data_pipeline.commands.records import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
