"""The path of an object in a store: an epath whose errors are those of files.

Import it only for a remote path: it needs the extra of a store.
"""

import contextlib
import errno
import io
import logging
import os
import stat
import types
from collections.abc import Iterator
from typing import Any, BinaryIO

# epath prefers TensorFlow's own file system if TensorFlow is installed; ours has to be the one
# that the tests cover.
os.environ.setdefault("EPATH_USE_TF", "false")

import fsspec
from etils.epath.gpath import PosixGPath

from data_pipeline.files.file_error import FileError

# Another process may write beside us: a listing that is kept would hide what it wrote.
for _store in ("gcs", "gs", "s3"):
    fsspec.config.conf.setdefault(_store, {}).setdefault("use_listings_cache", False)
# gcsfs logs a traceback beside the exception that it raises.
if logging.getLogger("gcsfs").level == logging.NOTSET:
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)

_LIBRARIES = {"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs"}
NO_BUCKET = "the bucket does not exist"
_BUFFER = 1 << 20


class ObjectPath(PosixGPath):
    """A path in an object store with the methods of pathlib.Path that this package uses.

    Raises FileNotFoundError, and FileError for every other failure of the store.
    """

    @property
    def fs(self) -> Any:
        """The fsspec file system of the store."""
        return fsspec.filesystem("gcs" if self._uri_scheme == "gs" else "s3")

    def exists(self) -> bool:
        with object_errors(self):
            return self.fs.exists(str(self))

    def is_dir(self) -> bool:
        with object_errors(self):
            return self.fs.isdir(str(self))

    def is_file(self) -> bool:
        with object_errors(self):
            return self.fs.isfile(str(self))

    def iterdir(self) -> Iterator["ObjectPath"]:
        with object_errors(self):
            found = self.fs.ls(str(self), detail=False)
        own = str(self).partition("://")[2].rstrip("/")  # the object that stands for the folder
        yield from (self / os.path.basename(name) for name in found if name.rstrip("/") != own)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        with object_errors(self):
            found = sorted(self.fs.glob(f"{self}/{pattern}"))
        yield from (self._new(f"{self._uri_scheme}://{name}") for name in found)

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        return self.glob(f"**/{pattern}")

    def open(self, mode: str = "r", *, encoding=None, errors=None, **_) -> Any:
        """Opens for reading or writing; a file that is written appears when it is closed."""
        if mode.strip("bt") not in ("r", "w"):
            raise ValueError(f"mode {mode!r}: an object can be read or written whole")
        with object_errors(self):
            binary = self.fs.open(str(self), mode.strip("bt") + "b")
        if mode.startswith("r"):
            binary = io.BufferedReader(_Reader(binary, self), _BUFFER)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding or "utf-8", errors)

    def read_bytes(self) -> bytes:
        with object_errors(self):
            return self.fs.cat_file(str(self))

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_bytes(self, content: bytes) -> int:
        with object_errors(self):
            self.fs.pipe_file(str(self), content)
        return len(content)

    def write_text(self, text: str, encoding: str | None = None, errors: str | None = None) -> int:
        return self.write_bytes(text.encode(encoding or "utf-8", errors or "strict"))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with object_errors(self):
                self.fs.rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self, missing_ok: bool = False) -> None:
        try:
            with object_errors(self):
                self.fs.rm(str(self), recursive=True)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rename(self, target: os.PathLike) -> "ObjectPath":
        """Copies all objects to `target`, then removes them here: a kill may leave both."""
        with object_errors(self):
            self.fs.copy(str(self), os.fspath(target), recursive=True)
            self.fs.rm(str(self), recursive=True)
        return self._new(target)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: folders of an object store exist while something is in them."""

    def rmdir(self) -> None:
        """Does nothing, see `mkdir`."""

    def stat(self) -> Any:
        """Returns st_size, st_mtime, st_mtime_ns and st_mode."""
        with object_errors(self):
            info = self.fs.info(str(self))
        changed = info.get("mtime") or info.get("LastModified")
        kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
        seconds = changed.timestamp() if changed else 0.0
        return types.SimpleNamespace(
            st_size=info.get("size") or 0,
            st_mtime=seconds,
            st_mtime_ns=round(seconds * 1e3) * 10**6,
            st_mode=kind | 0o644,
        )

    def absolute(self) -> "ObjectPath":
        return self

    def resolve(self, strict: bool = False) -> "ObjectPath":
        return self

    def expanduser(self) -> "ObjectPath":
        return self


class _Reader(io.RawIOBase):
    """Reads an object that fsspec opened; raises the errors of files."""

    def __init__(self, file: BinaryIO, path: ObjectPath):
        self._file, self._path = file, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        with object_errors(self._path):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def object_errors(path: os.PathLike) -> Iterator[None]:
    """Raises errors of a store in the block as FileNotFoundError or FileError about `path`."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        is_theirs = type(error).__module__.partition(".")[0] in _LIBRARIES
        if not (is_theirs or isinstance(error, OSError | TimeoutError)):
            raise
        if isinstance(error, FileNotFoundError):
            reason = os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, reason, os.fspath(path)) from error
        raise FileError(_errno(error), _reason(error), os.fspath(path)) from error


def _errno(error: Exception) -> int:
    is_forbidden = isinstance(error, PermissionError) or str(error).startswith("Forbidden")
    return errno.EACCES if is_forbidden else errno.EIO


def _reason(error: Exception) -> str:
    """Returns one line; gcsfs puts the address into the first and the store's words below it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if _errno(error) == errno.EACCES:
        said = [line for line in lines if not line.startswith("Forbidden")]
        return "; ".join(["access denied by the store", *said[:1]])
    return f"the store failed: {lines[0] if lines else type(error).__name__}"
