"""The command that installs an extra, as it works for the way this package was installed."""

import importlib.metadata
import re
import shlex
from pathlib import Path

DISTRIBUTION = "semcoder-jax"


def install_command(extra: str) -> str:
    """The shell command that installs what `extra` needs.

    From a source checkout (also an editable install) the extra itself is installed; beside a wheel,
    which no index need have, the extra's requirements by name.
    """
    checkout = _checkout()
    if checkout is not None:
        place = "." if checkout == Path.cwd() else str(checkout)
        return f"pip install -e {_quote(f'{place}[{extra}]')}"
    return " ".join(["pip install", *map(_quote, _requirements(extra))])


def _checkout() -> Path | None:
    """The folder of setup.py and this package, if the package was not copied out of it."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "setup.py").is_file() else None


def _requirements(extra: str) -> list[str]:
    """The requirements of the extra, as the installed metadata names them."""
    mark = re.compile(rf"""\bextra\s*==\s*["']{re.escape(extra)}["']""")
    lines = importlib.metadata.requires(DISTRIBUTION) or []
    parts = [line.partition(";") for line in lines]
    return [name.strip() for name, _, marker in parts if mark.search(marker)]


def _quote(text: str) -> str:
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{text}'"
