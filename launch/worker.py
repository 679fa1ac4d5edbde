"""Training in one process of many, as every worker of a TPU pod runs it:

    python -m launch.worker --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]

On a TPU pod JAX finds the other workers by itself. Elsewhere each process is told:
--coordinator=HOST:PORT (of process 0), --num_processes=N, --process_id=I. WORKDIR must be on
storage that all processes see. SIGTERM to any process ends in one common, saved step.
"""

import argparse
import sys
from collections.abc import Sequence

import jax

from data_pipeline.terminal.command_line import CommandParser, run_command
from semcoder_jax.errors import UserError


class LaunchError(UserError):
    """Flags that do not describe a process of a group."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: that of training."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(add_help=False)
    parser.add_argument("--coordinator")
    parser.add_argument("--num_processes")
    parser.add_argument("--process_id")
    group, rest = parser.parse_known_args(arguments)
    try:
        jax.distributed.initialize(**_group(group))
    except (RuntimeError, ValueError) as error:
        raise LaunchError(str(error).strip().splitlines()[0]) from None
    from semcoder_jax.commands import train  # after initialize, before which no device may be used

    return train.main(rest)


def _group(arguments: argparse.Namespace) -> dict:
    """Arguments of jax.distributed.initialize; none where JAX is to find them."""
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
