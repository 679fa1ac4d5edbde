"""Runs `python -m data_pipeline.faults`; the command is data_pipeline.commands.faults."""

import sys

from data_pipeline.commands.faults import main

if __name__ == "__main__":
    sys.exit(main())
