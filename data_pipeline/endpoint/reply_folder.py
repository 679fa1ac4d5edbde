"""Caches an endpoint's replies as one object each, for machines that share an object store.

An object cannot be appended to by several processes; a reply of its own needs no lock.
"""

import os

from data_pipeline.endpoint.client import Reply
from data_pipeline.endpoint.reply_cache import ReplyCache, ReplyCacheError, decode_reply, reply_row
from data_pipeline.files import AnyPath, FileError, as_path, encode_row, is_remote, write_bytes


class ReplyFolder:
    """Stores replies in a folder. Safe for threads, processes and machines."""

    def __init__(self, folder: AnyPath):
        self._folder = folder

    def close(self) -> None:
        """Does nothing: each reply is complete."""

    def get(self, key: str) -> Reply | None:
        """Returns the cached reply, or None. Raises ReplyCacheError."""
        try:
            found, reply = decode_reply(self._path(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        except FileError as error:
            raise ReplyCacheError(str(error)) from error
        return reply if found == key else None

    def put(self, key: str, reply: Reply) -> None:
        """Writes a reply. Raises ReplyCacheError."""
        try:
            write_bytes(self._path(key), encode_row(reply_row(key, reply)), durable=True)
        except FileError as error:
            raise ReplyCacheError(str(error)) from error

    def _path(self, key: str) -> AnyPath:
        return self._folder / f"{key}.json"


def open_replies(path: str | os.PathLike) -> ReplyCache | ReplyFolder:
    """Opens the file of replies `path`, in an object store a folder. Raises ReplyCacheError."""
    return ReplyFolder(as_path(path)) if is_remote(path) else ReplyCache(path)
