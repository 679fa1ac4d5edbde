"""Turns the text of a path that a user names into a path: a local file or an object in a store.

A local path stays a `pathlib.Path`. `gs://BUCKET/NAME` (extra gcs) and `s3://BUCKET/NAME` (extra
s3) become an `ObjectPath`, an `etils.epath` path with the same methods. The libraries are imported
only for such a path.

How this package's writes work on an object store, which has no rename, no append and no flock:

- A file is written beside the program and uploaded in one request, which replaces the object whole
  or not at all (`atomic`).
- A folder is built locally and uploaded file by file; the file by which readers recognize a
  complete folder comes last (`atomic.replace_folder`).
- An appended log is a local file that is uploaded whole at a bounded rate (`appended`).
- A lock is an object with a holder and a time to live, created and renewed under preconditions
  (`leases`).
- Libraries that need local files get a copy (`local_copies`).
"""

import functools
import importlib.util
import os
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeAlias

from data_pipeline.errors import UserError
from data_pipeline.terminal.installation import install_command

if TYPE_CHECKING:
    from data_pipeline.files.object_path import ObjectPath

    AnyPath: TypeAlias = Path | ObjectPath
else:
    AnyPath = PurePath  # the class of both; the name of ObjectPath needs an extra

# The extra that serves a scheme, and the package by which fsspec reaches it.
SCHEMES = {"gs": ("gcs", "gcsfs"), "s3": ("s3", "s3fs")}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")  # file:/a; not C:/a
_MANGLED = re.compile(rf"({'|'.join(SCHEMES)}):(?!//)")  # pathlib makes gs:/ of gs://
_URL_PARTS = "?#"  # TensorStore would take what follows them for a query or a fragment


def as_path(path: str | os.PathLike) -> AnyPath:
    """Returns the path that `path` names; `~/` at its begin is the home folder.

    A shell expands it in some places and not in others (`--workdir=~/run`).

    Raises UserError for a scheme that is not supported, an address without a bucket or with `?` or
    `#`, and a store whose extra is not installed.
    """
    text = os.fspath(path)
    if not is_remote(text):
        return path if isinstance(path, Path) else Path(expand_home(text))
    return _object_path(text)


def expand_home(text: str) -> str:
    """Returns the text of a local path with `~` or `~/` at its begin replaced."""
    return os.path.expanduser(text) if text == "~" or text.startswith("~/") else text


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether `path` is in an object store. Raises UserError for other schemes."""
    text = os.fspath(path)
    if _MANGLED.match(text):
        raise UserError(f"{text}: expected {text.partition(':')[0]}://BUCKET/NAME")
    found = _SCHEME.match(text) or _ONE_SLASH.match(text)
    if found and _ONE_SLASH.match(text) and os.path.lexists(f"{found[1]}:"):
        return False  # a local folder whose name ends in a colon
    if found and found[1] not in SCHEMES:
        known = " and ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UserError(f"{text}: no storage {found[1]}://; expected a local path, {known}")
    return found is not None


def store_url(path: AnyPath) -> tuple[str, str, str]:
    """Returns (scheme, bucket, name of the object) of a remote path."""
    scheme, _, rest = os.fspath(path).partition("://")
    bucket, _, name = rest.partition("/")
    return scheme, bucket, name


def _object_path(text: str) -> "ObjectPath":
    scheme, bucket, _ = store_url(text)
    if not bucket:
        raise UserError(f"{text}: expected {scheme}://BUCKET/NAME")
    if found := next((part for part in _URL_PARTS if part in text), None):
        raise UserError(f"{text}: expected a name without {found!r}, which ends names in URLs")
    _check_installed(scheme)
    from data_pipeline.files.object_path import ObjectPath

    return ObjectPath(text)


@functools.cache
def _check_installed(scheme: str) -> None:
    extra, package = SCHEMES[scheme]
    for name in ("etils", package):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{scheme}:// needs {name}: {install_command(extra)}")
