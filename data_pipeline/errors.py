"""Defines the base class of all errors that a user can correct."""


class UserError(ValueError):
    """Invalid user input.

    The message is one line that names the place, the fault and the expected input. Commands print
    it after "error: " and exit with code 2.
    """
