"""Runs training in one of several processes, e.g. on each worker of a TPU pod.

A config with a section `rollouts` learns from rewards (`semcoder reinforce`).

    python -m launch.worker --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]

On a TPU pod JAX finds the other workers itself. Elsewhere pass --coordinator=HOST:PORT (of
process 0), --num_processes=N and --process_id=I to each process. The workdir must be on storage
shared by all processes. After SIGTERM to any process, all save the same step and exit, with status
0 or the one that --stopped_status=N gives.

--heartbeat_timeout=SECONDS (60): a process that has sent no sign of life for so long is taken for
dead, and all others end. Exit status: 0 trained, 2 user error, 1 a failure: a process that hangs or
whose peer is gone ends with it, too, and the same command goes on from the last checkpoint.
"""

import argparse
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import jax

from data_pipeline.errors import UserError
from data_pipeline.terminal.command_line import CommandParser, run_command
from launch.errors import LaunchError

HEARTBEAT_TIMEOUT = 60  # seconds
_LEAVE_TOGETHER = 20.0  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of training."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(add_help=False)
    parser.add_argument("--coordinator")
    parser.add_argument("--num_processes")
    parser.add_argument("--process_id")
    parser.add_argument("--heartbeat_timeout", default=str(HEARTBEAT_TIMEOUT))
    parser.add_argument("--stopped_status", type=int, default=0)
    group, rest = parser.parse_known_args(arguments)
    timeout = _seconds(vars(group).pop("heartbeat_timeout"))
    stopped_status = vars(group).pop("stopped_status")
    try:
        jax.distributed.initialize(**_group(group), heartbeat_timeout_seconds=timeout)
    except (RuntimeError, ValueError) as error:
        raise LaunchError(str(error).strip().splitlines()[0]) from None
    try:
        status = _command(rest)(rest, stopped_status=stopped_status)
    except BaseException:
        traceback.print_exc()
        status = 1
    if status not in (0, stopped_status):
        _leave_group(status)
    return status


def _command(arguments: Sequence[str]) -> Callable[..., int]:
    """Returns the command that the config is for; `train` tells what is wrong with arguments."""
    from semcoder_jax.commands import reinforce, train  # must follow initialize: may use devices

    with contextlib.suppress(UserError, SystemExit):
        config, _ = train.parse_arguments(train.split_profile(arguments)[0])
        return reinforce.main if config.get("rollouts") else train.main
    return train.main


def _leave_group(status: int) -> NoReturn:
    """Ends this process after a failure, without waiting long for others to fail, too.

    At a normal exit JAX waits minutes for all processes, but these may wait for this one in a
    collective: they end when it is gone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    leaving = threading.Thread(target=_shut_down, daemon=True)
    leaving.start()
    leaving.join(_LEAVE_TOGETHER)
    os._exit(status)


def _shut_down() -> None:
    with contextlib.suppress(Exception):  # the group may be broken already
        jax.distributed.shutdown()


def _seconds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise LaunchError(
            f"--heartbeat_timeout is {text!r}, expected a whole number of seconds, at least 1"
        )
    return int(text)


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
