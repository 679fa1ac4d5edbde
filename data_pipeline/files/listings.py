"""Lists the objects below a folder of a store. Import it only for a remote path."""

import errno
import os
from dataclasses import dataclass

from data_pipeline.files.object_path import ObjectPath, object_errors


@dataclass(frozen=True)
class ListedObject:
    """An object: its path, its name below the folder that was listed, size in bytes and version.

    `name` is "" for the object at the listed path itself. `version` is the generation (Google Cloud
    Storage) or the ETag (S3), which each write changes.
    """

    path: ObjectPath
    name: str
    size: int
    version: str


def list_objects(path: ObjectPath) -> list[ListedObject]:
    """Returns the object at a path, or all below it, sorted; [] if there is none. Raises FileError.

    Objects whose names end in "/" stand for folders and are left out.
    """
    with object_errors(path):
        found = path.fs.find(str(path), detail=True)
    start = len(str(path).partition("://")[2].rstrip("/"))
    scheme = str(path).partition("://")[0]
    return [
        ListedObject(
            ObjectPath(f"{scheme}://{key}"),
            key[start:].lstrip("/"),
            int(info["size"] or 0),
            str(info.get("generation") or info.get("ETag")),
        )
        for key, info in sorted(found.items())
        if info["type"] == "file" and not key.endswith("/")
    ]


def list_existing(path: ObjectPath) -> list[ListedObject]:
    """Returns what `list_objects` does. Raises FileNotFoundError if there is none."""
    objects = list_objects(path)
    if not objects:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return objects
