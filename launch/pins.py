"""Writes launch/pins.txt: the versions of all packages that the extra `tpu` installs.

    python -m launch.pins            # from the packages of this environment
    python -m launch.pins --check    # exits with 1 if a requirement has no pin in its range

Pods and images install at these versions, so that a machine that replaces a lost one has the same
environment. Packages that this environment lacks (libtpu, where JAX has no TPU) keep their pin.
"""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from data_pipeline.terminal.installation import DISTRIBUTION

PINS = Path(__file__).with_name("pins.txt")
EXTRA = "tpu"
_LISTS = ("CORE", "DATA", "TRAIN", "EXTRAS")  # of setup.py
_HEAD = "# Versions that were run together; python -m launch.pins writes them.\n"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    wrong = list(find_wrong(read_pins()))
    if "--check" in arguments:
        print("\n".join(wrong), end="\n" if wrong else "")
        return int(bool(wrong))
    pins = read_pins() | _installed_versions()
    PINS.write_text(_HEAD + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins)))
    return 0


def read_pins() -> dict[str, str]:
    """Returns versions by canonical name."""
    text = PINS.read_text(encoding="utf-8") if PINS.is_file() else ""
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.M))


def find_wrong(pins: dict[str, str]) -> Iterator[str]:
    """Yields a line for each requirement of ours without a pin, or with one outside its range."""
    for requirement in own_requirements():
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{requirement.name} has no pin: python -m launch.pins"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name}=={version} is pinned, {requirement} is required"


def own_requirements() -> list[Requirement]:
    """Returns the requirements of setup.py for the extra, with the extras that it includes."""
    source = (Path(__file__).parents[1] / "setup.py").read_text(encoding="utf-8")
    lists = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _LISTS
    ]
    names: dict = {}
    exec(compile(ast.Module(lists, []), "setup.py", "exec"), names)
    found, waiting = [], [*names["CORE"], *names["EXTRAS"][EXTRA]]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name == DISTRIBUTION:
            waiting += [line for extra in requirement.extras for line in names["EXTRAS"][extra]]
        else:
            found.append(requirement)
    return found


def _installed_versions() -> dict[str, str]:
    """Returns the versions of our requirements and of all that they require, as installed."""
    found: dict[str, str] = {}
    waiting = own_requirements()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name in found and not requirement.extras:
            continue
        found[name] = distribution.version
        for line in distribution.requires or ():
            needed = Requirement(line)
            extras = [{"extra": extra} for extra in ("", *requirement.extras)]
            if needed.marker is None or any(map(needed.marker.evaluate, extras)):
                waiting.append(needed)
    return found


if __name__ == "__main__":
    sys.exit(main())
