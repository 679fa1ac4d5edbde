"""Runs `python -m data_pipeline.prepare` (data_pipeline.commands.prepare)."""

import sys

from data_pipeline.commands.prepare import main

if __name__ == "__main__":
    sys.exit(main())
