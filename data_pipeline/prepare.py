"""Runs `python -m data_pipeline.prepare`; the command is data_pipeline.tokens.tokenize."""

import sys

from data_pipeline.tokens.tokenize import main

if __name__ == "__main__":
    sys.exit(main())
