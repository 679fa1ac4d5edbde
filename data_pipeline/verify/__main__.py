"""Runs `python -m data_pipeline.verify`; the command is data_pipeline.commands.verify."""

import sys

from data_pipeline.commands.verify import main

sys.exit(main())
