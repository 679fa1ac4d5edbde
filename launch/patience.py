"""Asks programs again that fail for a while: a network that is gone must not end a launch."""

import time
from collections.abc import Callable
from typing import TypeVar

from launch.errors import LaunchError
from launch.shell import Shell

T = TypeVar("T")
QUESTIONS = 10  # in a row that may fail
DELETIONS = 3


def ask_patiently(
    ask: Callable[[], T], shell: Shell, *, attempts: int = QUESTIONS, seconds: float
) -> T:
    """Returns the answer of `ask`; after a LaunchError asks again, `attempts` times in all.

    seconds: pause between two attempts.
    """
    for _ in range(attempts - 1):
        try:
            return ask()
        except LaunchError as error:
            shell.say(f"{error}; trying again")
            time.sleep(seconds)
    return ask()
