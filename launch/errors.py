"""Defines the errors of launching."""

from semcoder_jax.errors import UserError


class LaunchError(UserError):
    """Reports in one line why training could not be started or brought to its end."""


class CommandFailed(LaunchError):
    """Reports that an external command failed.

    Attributes:
      argv: the command.
      status: its exit status.
      stderr: what it printed on stderr.
    """

    def __init__(self, message: str, argv: tuple[str, ...], status: int, stderr: str):
        super().__init__(message)
        self.argv, self.status, self.stderr = argv, status, stderr


class MachineLost(LaunchError):
    """Reports that the cloud took the machine away: preemption, maintenance, a failed host."""
