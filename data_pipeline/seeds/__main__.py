"""Runs `python -m data_pipeline.seeds`; the command is data_pipeline.commands.seeds."""

from data_pipeline.commands.seeds import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
