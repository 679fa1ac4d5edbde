"""Finds the command that installs an extra, given how this package was installed."""

import shlex
from pathlib import Path

DISTRIBUTION = "semcoder-jax"


def install_command(extra: str) -> str:
    """Returns the shell command that installs the requirements of `extra`.

    Names the folder of a source checkout (or an editable install), and the distribution for a
    wheel: pip takes the extra's requirements from the installed metadata, without asking an index
    for this package.
    """
    checkout = _checkout()
    if checkout is None:
        return f"pip install {_quote(f'{DISTRIBUTION}[{extra}]')}"
    place = "." if checkout == Path.cwd() else str(checkout)
    return f"pip install -e {_quote(f'{place}[{extra}]')}"


def _checkout() -> Path | None:
    """Returns the folder of setup.py if this package runs from a source checkout."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "setup.py").is_file() else None


def _quote(text: str) -> str:
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{text}'"
