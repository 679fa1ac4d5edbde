"""Local copies of objects for libraries that read local files only.

A copy lies in the cache folder under the address and the versions of what was copied: an unchanged
file or folder is downloaded once, a changed one again. Copies may be deleted at any time between
runs.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from data_pipeline.files.file_error import FileError
from data_pipeline.files.paths import as_path, is_remote

CACHE_VARIABLE = "SEMCODER_CACHE"


def local_copy(path: str | os.PathLike, *, into: Path | None = None) -> Path:
    """Returns a local path with the content of the file or folder `path`: itself if it is local.

    Raises FileNotFoundError, FileError.
    into: the folder for copies; $SEMCODER_CACHE/objects or ~/.cache/semcoder-jax/objects.
    """
    path = as_path(path)
    if not is_remote(path):
        return path
    from data_pipeline.files.uploads import list_files

    versions = list_files(path) or _single_version(path)
    key = hashlib.sha256(repr((str(path), sorted(versions.items()))).encode()).hexdigest()[:24]
    place = (into or _cache()) / key
    if not place.is_dir():
        _download(path, versions, place)
    return place / path.name


def _single_version(path) -> dict[str, str]:
    from data_pipeline.files.object_path import object_errors

    with object_errors(path):
        info = path.fs.info(str(path))
    return {"": str(info.get("generation") or info.get("ETag"))}


def _download(path, versions: dict[str, str], place: Path) -> None:
    """Downloads into a hidden folder and renames it: copies are complete, whoever makes them."""
    from data_pipeline.files.object_path import object_errors

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise FileError(error.errno, error.strerror, error.filename) from error
    try:
        for name in versions:
            source, target = (
                (path / name, partial / path.name / name) if name else (path, partial / path.name)
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            with object_errors(source):
                source.fs.get_file(str(source), str(target))
        if not place.is_dir():
            partial.rename(place)
    except OSError:
        if not place.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _cache() -> Path:
    cache = os.environ.get(CACHE_VARIABLE) or "~/.cache/semcoder-jax"
    return Path(cache).expanduser() / "objects"
