"""Runs `python -m data_pipeline.decontaminate` (data_pipeline.commands.decontaminate)."""

import sys

from data_pipeline.commands.decontaminate import main

if __name__ == "__main__":
    sys.exit(main())
