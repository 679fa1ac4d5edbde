"""The one error of this package: something a user can mend, said in one line."""


class HFError(ValueError):
    """A source, destination or setting that cannot be imported, exported, verified or pushed."""
