"""Locates built datasets and reads their metadata, without TFDS, whose import takes a second."""

import json
import os
from pathlib import Path
from typing import Any

from data_pipeline.files import as_path

VERSION = "1.0.0"
"""Version of the features; it stays the same if only the records change."""

NAME = "pyx"


def folder_of(data_dir: str | os.PathLike, name: str = NAME) -> Path:
    """Returns the folder of a dataset."""
    return as_path(data_dir) / name / VERSION


def fingerprint_of(folder: Path) -> str | None:
    """Returns the hash of a prepared dataset's sources; None if there is no complete dataset."""
    return metadata_of(folder).get("fingerprint")


def metadata_of(folder: Path) -> dict[str, Any]:
    """Reads a prepared dataset's metadata; {} if there is no complete dataset."""
    try:
        metadata = json.loads((folder / "metadata.json").read_text())
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
