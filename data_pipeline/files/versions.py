"""Tells whether files have changed, from the metadata of their file system."""

import os

from data_pipeline.files.paths import as_path, is_remote


def file_versions(folder: str | os.PathLike) -> dict[str, tuple[int, int | str]]:
    """Returns (size, time or version) of the files directly in a folder, by name, sorted."""
    folder = as_path(folder)
    if is_remote(folder):
        from data_pipeline.files.listings import list_objects

        objects = list_objects(folder)
        return {each.name: (each.size, each.version) for each in objects if "/" not in each.name}
    return {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
