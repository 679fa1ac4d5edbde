"""Defines the errors of launching."""

import contextlib
from collections.abc import Iterator

from semcoder_jax.errors import UserError


class LaunchError(UserError):
    """Reports in one line why training could not be started or brought to its end."""


class CommandFailed(LaunchError):
    """Reports that an external command failed.

    Attributes:
      argv: the command.
      status: its exit status.
      stderr, output: what it printed on stderr and stdout.
    """

    def __init__(
        self, message: str, argv: tuple[str, ...], status: int, stderr: str, output: str = ""
    ):
        super().__init__(message)
        self.argv, self.status, self.stderr, self.output = argv, status, stderr, output


@contextlib.contextmanager
def documented_answer(program: str) -> Iterator[None]:
    """Raises LaunchError where the block meets another answer than `program` is documented to give.

    The block reads JSON and takes out fields.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise LaunchError(f"{program}: expected JSON as documented, but {reason}") from None


class MachineLost(LaunchError):
    """Reports that the cloud took the machine away: preemption, maintenance, a failed host."""
