"""Runs `python -m data_pipeline.records` (data_pipeline.commands.records)."""

import sys

from data_pipeline.commands.records import main

if __name__ == "__main__":
    sys.exit(main())
