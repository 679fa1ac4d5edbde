"""Runs `python -m data_pipeline.faults`; the command is data_pipeline.commands.faults."""

from data_pipeline.commands.faults import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
