"""Runs `python -m data_pipeline.build.recheck` (data_pipeline.commands.recheck)."""

import sys

from data_pipeline.commands.recheck import main

if __name__ == "__main__":
    sys.exit(main())
