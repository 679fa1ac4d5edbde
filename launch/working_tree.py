"""Packs the files of the checkout that travel to the workers.

All tracked files travel with their edits, and untracked files that git does not ignore, so that a
pod runs the code on this machine. With `committed` the tree must be as committed.
"""

import shutil
import subprocess
import tarfile
from pathlib import Path

from launch.errors import LaunchError

REPOSITORY = Path(__file__).parents[1]
_SHOWN_FILES = 5
_MEGABYTE = 2**20


def check_committed(repository: Path = REPOSITORY) -> None:
    """Raises LaunchError, naming files, if the tree differs from the last commit."""
    listed = _git(
        repository, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames"
    )
    edited = [entry[3:] for entry in listed.split("\0") if entry]
    if edited:
        raise LaunchError(
            f"--committed: {_name_files(edited)} differ from the last commit; commit or stash "
            "them, or leave out --committed to send them as they are"
        )


def list_files(repository: Path = REPOSITORY) -> list[str]:
    """Returns the paths that travel, relative to the checkout."""
    listed = _git(
        repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"
    )
    paths = sorted({path for path in listed.split("\0") if path})
    return [path for path in paths if _is_file(repository / path)]


def pack(archive: Path, repository: Path = REPOSITORY, *, most_megabytes: float = 200) -> int:
    """Writes the archive (.tar.gz) and returns the number of files.

    Raises LaunchError, naming the largest files, if they hold more than `most_megabytes`: data
    belongs on shared storage, and whatever is not ignored would be sent to every worker.
    """
    paths = list_files(repository)
    sizes = {path: (repository / path).lstat().st_size for path in paths}
    total = sum(sizes.values()) / _MEGABYTE
    if total > most_megabytes:
        largest = sorted(paths, key=lambda path: -sizes[path])[:_SHOWN_FILES]
        raise LaunchError(
            f"the working tree has {total:,.0f} MB in files that git does not ignore, at most "
            f"{most_megabytes:g} MB travel to the workers; ignore or move {_name_files(largest)}"
        )
    with tarfile.open(archive, "w:gz", compresslevel=6) as packed:
        for path in paths:
            packed.add(repository / path, arcname=path, recursive=False, filter=_anonymous)
    return len(paths)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks an archive into a folder that only it fills, for programs that send folders."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Earlier patch versions of 3.11 know no filter.
    options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as packed:
        packed.extractall(folder, **options)


def _git(repository: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, text=True
        )
    except OSError as error:
        raise LaunchError(f"git cannot be run ({error.strerror}); it lists what travels") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise LaunchError(f"git cannot list the files of {repository}: {reason}")
    return done.stdout


def _is_file(path: Path) -> bool:
    """Whether a path is a file or a link; deleted files and submodules do not travel."""
    return path.is_symlink() or path.is_file()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Removes the owner, whom the workers do not know."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _name_files(paths: list[str]) -> str:
    rest = len(paths) - _SHOWN_FILES
    return ", ".join(paths[:_SHOWN_FILES]) + (f" and {rest} more" if rest > 0 else "")
