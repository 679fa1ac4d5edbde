"""Defines the base class of errors that a user can fix, and errors that several rooms raise."""

from data_pipeline.errors import UserError

__all__ = ["HFError", "UserError"]


class HFError(UserError):
    """Raised if a Hugging Face model cannot be imported, exported, verified or pushed."""
