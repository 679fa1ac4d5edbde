"""Runs `python -m data_pipeline.decontaminate` (data_pipeline.commands.decontaminate)."""

from data_pipeline.commands.decontaminate import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
