"""Runs `python -m data_pipeline.build.recheck`; the command is data_pipeline.builder.recheck."""

import sys

from data_pipeline.builder.recheck import main

if __name__ == "__main__":
    sys.exit(main())
