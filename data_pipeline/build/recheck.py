"""Runs `python -m data_pipeline.build.recheck` (data_pipeline.commands.recheck)."""

from data_pipeline.commands.recheck import main
from data_pipeline.terminal.command_line import end_process

if __name__ == "__main__":
    end_process(main())
