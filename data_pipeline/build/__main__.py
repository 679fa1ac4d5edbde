"""Runs `python -m data_pipeline.build` (data_pipeline.commands.build)."""

import signal
import sys

from data_pipeline.commands.build import main, stop

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    sys.exit(main())
