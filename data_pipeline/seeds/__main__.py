"""Runs `python -m data_pipeline.seeds`; the command is data_pipeline.commands.seeds."""

import sys

from data_pipeline.commands.seeds import main

if __name__ == "__main__":
    sys.exit(main())
