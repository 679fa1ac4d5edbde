"""Runs `python -m data_pipeline.tracing`; the command is data_pipeline.commands.trace."""

import sys

from data_pipeline.commands.trace import main

if __name__ == "__main__":
    sys.exit(main())
