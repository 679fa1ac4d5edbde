"""Copies objects of a store to this machine, for libraries that read local files alone.

ArrayRecord, safetensors, tokenizers and Python packages are read from local files. A copy of
gs://bucket/a/b lies at CACHE/objects/gs/bucket/a/b, where CACHE is $SEMCODER_CACHE or
~/.cache/semcoder-jax. It is used again while the object's size and version are the same.

Several processes may copy at once: one of them downloads an object, which appears under its name
when it is complete. Nothing is removed to make room: where the disk lacks the bytes, the error says
how many are needed before any is copied. Copies may be deleted at any time between runs.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from data_pipeline.files.atomic import PARTIAL, make_folder, write_json
from data_pipeline.files.cache import cache_folder
from data_pipeline.files.file_error import FileError
from data_pipeline.files.locks import hold_lock
from data_pipeline.files.paths import as_path, is_remote

if TYPE_CHECKING:
    from data_pipeline.files.listings import ListedObject

OBJECTS = "objects"
_VERSIONS = ".versions"  # of the copies, and the locks of those under way
_AT_ONCE = 8  # downloads
_TRIES = 3  # of an object that is replaced while it is copied


def local_copy(
    path: str | os.PathLike, *, wanted: Callable[[str], bool] = lambda name: True
) -> Path:
    """Returns a local file or folder with the content of `path`: itself if it is local.

    Raises FileNotFoundError, and FileError if the store refuses or the disk is too small.
    wanted: takes the names below a remote folder, such as "a/b.json"; others are not copied.
    """
    source = as_path(path)
    if not is_remote(source):
        return source
    from data_pipeline.files.listings import list_existing

    target = place_of_copy(source)
    objects = list_existing(source)
    _remove_others(target, {each.name for each in objects})
    missing = [each for each in objects if wanted(each.name) and not _is_current(each)]
    if missing:
        _check_space(source, missing)
        _copy(source, missing)
    if not target.exists():  # nothing in the folder was wanted
        make_folder(target)
    return target


def place_of_copy(path: str | os.PathLike) -> Path:
    """Returns where `local_copy` puts the copy of a remote path; a local path itself."""
    if not is_remote(path):
        return Path(path)
    scheme, _, key = os.fspath(path).partition("://")
    return cache_folder() / OBJECTS / scheme / key


def _record(stored: "ListedObject") -> Path:
    key = hashlib.sha256(str(stored.path).encode()).hexdigest()[:32]
    return cache_folder() / OBJECTS / _VERSIONS / f"{key}.json"


def _identity(stored: "ListedObject") -> list:
    return [str(stored.path), stored.size, stored.version]


def _is_current(stored: "ListedObject") -> bool:
    try:
        known = json.loads(_record(stored).read_text(encoding="utf-8"))
        return known == _identity(stored) and place_of_copy(stored.path).stat().st_size == known[1]
    except (OSError, ValueError):
        return False


def _remove_others(target: Path, names: set[str]) -> None:
    """Removes copies of objects that the store does not have any more."""
    if not target.is_dir():
        return
    for path in list(target.rglob("*")):
        is_other = path.relative_to(target).as_posix() not in names
        if is_other and path.is_file() and not path.name.endswith(PARTIAL):
            path.unlink(missing_ok=True)


def _check_space(source: os.PathLike, objects: "Sequence[ListedObject]") -> None:
    folder = cache_folder() / OBJECTS
    make_folder(folder)
    needed, free = sum(each.size for each in objects), shutil.disk_usage(folder).free
    if needed > free:
        raise FileError(
            errno.ENOSPC,
            f"a copy needs {needed:,} bytes in {folder}, whose disk has {free:,} bytes free; "
            "SEMCODER_CACHE=DIR names another folder",
            str(source),
        )


def _copy(source: os.PathLike, objects: "Sequence[ListedObject]") -> None:
    total = sum(each.size for each in objects)
    bar = tqdm(total=total, desc=f"copy {source}", unit="B", unit_scale=True, delay=2, disable=None)
    with bar, ThreadPoolExecutor(min(_AT_ONCE, len(objects))) as pool:
        for size in pool.map(_copy_object, objects):
            bar.update(size)


def _copy_object(stored: "ListedObject") -> int:
    """Downloads an object unless another process has done so meanwhile; returns its size."""
    from data_pipeline.files.listings import list_existing
    from data_pipeline.files.object_path import object_errors

    record, place = _record(stored), place_of_copy(stored.path)
    make_folder(place.parent)
    partial = place.with_name(f".{place.name[:200]}{PARTIAL}")
    with hold_lock(record.with_suffix(".lock"), wait=True):
        for _ in range(_TRIES):
            if _is_current(stored):
                return stored.size
            with object_errors(stored.path):
                stored.path.fs.get_file(str(stored.path), str(partial))
            copied, stored = stored, list_existing(stored.path)[0]
            if (stored.version, stored.size) == (copied.version, partial.stat().st_size):
                os.replace(partial, place)
                write_json(record, _identity(stored))
                return stored.size
        partial.unlink(missing_ok=True)
    raise FileError(errno.EAGAIN, "changes while it is copied", str(stored.path))
