"""Defines the base class of all errors that the user can correct."""


class UserError(ValueError):
    """Reports a mistake in the user's input.

    The message is one line that says what was wrong, where, and what was expected. Commands print
    it after "error: " and exit with code 2.
    """
