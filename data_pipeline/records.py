"""Runs `python -m data_pipeline.records`; the command is data_pipeline.pyx.records."""

import sys

from data_pipeline.pyx.records import main

if __name__ == "__main__":
    sys.exit(main())
