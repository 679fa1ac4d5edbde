"""Finds the command that installs an extra, given how this package was installed."""

import importlib.metadata
import re
import shlex
from pathlib import Path

DISTRIBUTION = "semcoder-jax"


def install_command(extra: str) -> str:
    """Returns the shell command that installs the requirements of `extra`.

    Names the extra for a source checkout (or an editable install), and the extra's requirements for
    a wheel, because a package index may not have this package.
    """
    checkout = _checkout()
    if checkout is not None:
        place = "." if checkout == Path.cwd() else str(checkout)
        return f"pip install -e {_quote(f'{place}[{extra}]')}"
    return " ".join(["pip install", *map(_quote, _requirements(extra))])


def _checkout() -> Path | None:
    """Returns the folder of setup.py if this package runs from a source checkout."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "setup.py").is_file() else None


def _requirements(extra: str) -> list[str]:
    """Returns the requirements of the extra from the installed metadata."""
    mark = re.compile(rf"""\bextra\s*==\s*["']{re.escape(extra)}["']""")
    lines = importlib.metadata.requires(DISTRIBUTION) or []
    parts = [line.partition(";") for line in lines]
    return [name.strip() for name, _, marker in parts if mark.search(marker)]


def _quote(text: str) -> str:
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{text}'"
