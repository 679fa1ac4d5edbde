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

from semcoder_jax.errors import UserError


class LaunchError(UserError):
    """Flags that do not describe a process of a group."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code of training."""
    argv = list(sys.argv if argv is None else argv)
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--coordinator")
    parser.add_argument("--num_processes")
    parser.add_argument("--process_id")
    group, rest = parser.parse_known_args(argv[1:])
    try:
        jax.distributed.initialize(**_group(group))
    except (LaunchError, RuntimeError, ValueError) as error:
        print(f"error: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return 2
    from semcoder_jax.training import (
        loop as train,  # after initialize: nothing may touch a device before it
    )

    return train.main([argv[0], *rest])


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
