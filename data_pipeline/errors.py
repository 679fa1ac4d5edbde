"""The root of every error that a user can mend."""


class UserError(ValueError):
    """A mistake in what the user gave; the message is one line: what was wrong, where, and what was
    expected. Commands print it after "error: " and exit with code 2."""
