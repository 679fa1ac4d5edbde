"""Digests the files of sources, in any order and on any number of machines."""

import hashlib
from collections.abc import Iterable, Iterator

from data_pipeline.files import as_path
from data_pipeline.seeds import Unit

_SPACE = 2**256


def digest_units(units: Iterable[Unit]) -> str:
    """Digests the files of all units, and the files that their imports may lead to."""
    units = list(units)
    files = {(unit.root, unit.path) for unit in units}
    for place in {(unit.root, unit.within) for unit in units if not unit.first}:
        files.update(files_within(*place))
    return join_digests(digest_file(*file) for file in files)


def files_within(root: str, within: str) -> Iterator[tuple[str, str]]:
    """Yields (root, relative path) of each Python file that imports may be followed into."""
    folder = as_path(root)
    for path in (folder / within).rglob("*.py"):
        yield root, path.relative_to(folder).as_posix()


def digest_file(root: str, path: str) -> str:
    """Digests a file's relative path and content."""
    digest = hashlib.sha256(f"{path}\n".encode())
    try:
        digest.update(hashlib.sha256((as_path(root) / path).read_bytes()).digest())
    except OSError:  # the stage that reads it reports it
        digest.update(b"unreadable")
    return digest.hexdigest()


def join_digests(digests: Iterable[str]) -> str:
    """Joins digests of files, or joined ones, regardless of their order."""
    return f"{sum(int(digest, 16) for digest in digests) % _SPACE:064x}"
