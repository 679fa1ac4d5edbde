"""The root of every error that a user can mend: that of data_pipeline."""

from data_pipeline.errors import UserError

__all__ = ["UserError"]
