"""The root of every error that a user can mend, and the errors that several rooms raise."""

from data_pipeline.errors import UserError

__all__ = ["HFError", "UserError"]


class HFError(UserError):
    """A Hugging Face source, destination or setting that cannot be imported, exported, verified or
    pushed."""
