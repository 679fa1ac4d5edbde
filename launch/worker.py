"""Runs training in one of several processes, e.g. on each worker of a TPU pod.

    python -m launch.worker --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]

On a TPU pod JAX finds the other workers itself. Elsewhere pass --coordinator=HOST:PORT (of
process 0), --num_processes=N and --process_id=I to each process. The workdir must be on storage
shared by all processes. After SIGTERM to any process, all save the same step and exit, with status
0 or the one that --stopped_status=N gives.
"""

import argparse
import sys
from collections.abc import Sequence

import jax

from data_pipeline.terminal.command_line import CommandParser, run_command
from semcoder_jax.errors import UserError


class LaunchError(UserError):
    """Reports flags that do not describe a process of a group."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of training."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(add_help=False)
    parser.add_argument("--coordinator")
    parser.add_argument("--num_processes")
    parser.add_argument("--process_id")
    parser.add_argument("--stopped_status", type=int, default=0)
    group, rest = parser.parse_known_args(arguments)
    stopped_status = vars(group).pop("stopped_status")
    try:
        jax.distributed.initialize(**_group(group))
    except (RuntimeError, ValueError) as error:
        raise LaunchError(str(error).strip().splitlines()[0]) from None
    from semcoder_jax.commands import train  # must follow initialize: it may use devices

    return train.main(rest, stopped_status=stopped_status)


def _group(arguments: argparse.Namespace) -> dict:
    """Returns arguments for jax.distributed.initialize; {} lets JAX find them."""
    given = [value is not None for value in vars(arguments).values()]
    if not any(given):
        return {}
    if not all(given):
        raise LaunchError("--coordinator, --num_processes and --process_id go together")
    try:
        count, index = int(arguments.num_processes), int(arguments.process_id)
    except ValueError:
        raise LaunchError("--num_processes and --process_id must be whole numbers") from None
    if not 0 <= index < count:
        raise LaunchError(f"--process_id {index} must lie between 0 and {count - 1}")
    return {
        "coordinator_address": arguments.coordinator,
        "num_processes": count,
        "process_id": index,
    }


if __name__ == "__main__":
    sys.exit(main())
