"""Runs `python -m data_pipeline.monologue.ask`; the command is data_pipeline.commands.ask."""

import sys

from data_pipeline.commands.ask import main

if __name__ == "__main__":
    sys.exit(main())
