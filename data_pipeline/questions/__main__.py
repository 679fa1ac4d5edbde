"""Runs `python -m data_pipeline.questions`; the command is data_pipeline.commands.questions."""

from data_pipeline.commands.questions import main
from data_pipeline.terminal.command_line import end_process

end_process(main())
