"""Runs `python -m data_pipeline.execution`; the command is data_pipeline.commands.execute."""

import sys

from data_pipeline.commands.execute import main

if __name__ == "__main__":
    sys.exit(main())
