"""Runs `python -m data_pipeline.tracing`; the command is data_pipeline.commands.trace."""

from data_pipeline.commands.trace import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
