"""Runs `python -m data_pipeline.questions`; the command is data_pipeline.commands.questions."""

import sys

from data_pipeline.commands.questions import main

sys.exit(main())
