"""Runs `python -m data_pipeline.execution`; the command is data_pipeline.commands.execute."""

from data_pipeline.commands.execute import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
