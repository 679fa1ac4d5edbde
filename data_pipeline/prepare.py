"""Runs `python -m data_pipeline.prepare` (data_pipeline.commands.prepare)."""

import sys

from data_pipeline.terminal.missing_packages import run_module

if __name__ == "__main__":
    sys.exit(run_module("data_pipeline.commands.prepare", extra="data"))
