"""Defines the error of a lock that another process holds."""

import os

from data_pipeline.errors import UserError


class LockError(UserError):
    """Another process holds the lock. `holder` describes it: "process 12 on host"."""

    def __init__(self, path: str | os.PathLike, holder: str):
        super().__init__(f"{os.fspath(path)}: in use by {holder}")
        self.holder = holder
