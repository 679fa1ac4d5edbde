"""Runs `python -m data_pipeline.verify`; the command is data_pipeline.commands.verify."""

from data_pipeline.commands.verify import main
from data_pipeline.terminal.command_line import end_process

end_process(main())
