"""Defines the errors of launching."""

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


class MachineLost(LaunchError):
    """Reports that the cloud took the machine away: preemption, maintenance, a failed host."""
