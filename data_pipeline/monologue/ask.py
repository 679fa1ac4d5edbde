"""Runs `python -m data_pipeline.monologue.ask`; the command is data_pipeline.commands.ask."""

from data_pipeline.commands.ask import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
