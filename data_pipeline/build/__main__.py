"""Runs `python -m data_pipeline.build` (data_pipeline.commands.build)."""

import signal

from data_pipeline.terminal.command_line import end_process, run_command
from data_pipeline.terminal.missing_packages import requires_extra


def start(arguments: list[str]) -> int:
    with requires_extra("data"):
        from data_pipeline.commands.build import main, stop

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        return main(arguments)


if __name__ == "__main__":
    end_process(run_command(start, None))
