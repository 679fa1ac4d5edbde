"""Writes a config file like a user's."""

from pathlib import Path


def write_config_file(folder: Path, config: dict) -> Path:
    """Writes FOLDER/config.py, whose get_config() returns `config`."""
    path = folder / "config.py"
    path.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    return ConfigDict({config!r})\n"
    )
    return path
