"""Runs `python -m data_pipeline.decontaminate` (data_pipeline.decontamination.overlap)."""

import sys

from data_pipeline.decontamination.overlap import main

if __name__ == "__main__":
    sys.exit(main())
