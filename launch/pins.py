"""Writes launch/pins.txt: the version of every package on a pod, resolved by uv.

    python -m launch.pins [--upgrade]

The pod's virtual environment (launch/environment.sh) and the container image (launch/Dockerfile)
install exactly these versions, which lie within the ranges of setup.py. Run the command after a
change of those ranges: it keeps every version that still fits, and with --upgrade takes the newest.
"""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

from data_pipeline.files import write_text
from data_pipeline.terminal.command_line import CommandParser, run_command
from launch.errors import LaunchError

REPOSITORY = Path(__file__).parents[1]
PINS = REPOSITORY / "launch" / "pins.txt"
EXTRAS = ("tpu", "gcs", "s3")  # workdirs of pods lie in object stores
PYTHONS = ("3.11", "3.12", "3.13")
# An editable installation needs it, and --no-build-isolation takes it from the environment.
BUILD = ("setuptools>=68",)
_DISTRIBUTION = "semcoder-jax"


def read_requirements(
    setup: Path = REPOSITORY / "setup.py", extras: Sequence[str] = EXTRAS
) -> list[str]:
    """Returns what setup.py requires with extras, without the extras that it names of itself."""
    tree = ast.parse(setup.read_text(encoding="utf-8"))
    lists = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Dict)
    ]
    names: dict = {}
    exec(compile(ast.Module(lists, []), str(setup), "exec"), names)
    found = [*names["CORE"], *BUILD]
    for extra in extras:
        found += _expand(names["EXTRAS"], extra)
    return sorted(set(found), key=str.lower)


def digest(requirements: Sequence[str]) -> str:
    """Returns the text by which the pins name the requirements that they were resolved from."""
    return hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:16]


def holds_on_a_pod(requirement: Requirement) -> bool:
    """Whether a requirement concerns Linux on x86-64 with any supported Python."""
    return requirement.marker is None or any(
        requirement.marker.evaluate(pod_environment(python)) for python in PYTHONS
    )


def pod_environment(python: str) -> dict[str, str]:
    """Returns the variables of requirement markers on a pod."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "extra": "",
    }


def parse_pins(text: str) -> list[Requirement]:
    """Returns the versions of the file, each with the Pythons that it is for."""
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def format_pins(requirements: Sequence[str], resolved: str) -> str:
    """Returns the text of the file: the resolver's lines that concern a pod."""
    pins = filter(holds_on_a_pod, parse_pins(resolved))
    return "\n".join(
        [
            "# Packages of a pod, for launch/environment.sh and launch/Dockerfile.",
            "# Written by `python -m launch.pins`; do not edit.",
            f"# Requirements of setup.py: {digest(requirements)}",
            *(str(_without_idle_marker(pin)) for pin in pins),
            "",
        ]
    )


def _expand(extras: dict[str, list[str]], extra: str) -> list[str]:
    found = []
    for line in extras[extra]:
        own = re.fullmatch(rf"{_DISTRIBUTION}\[(\w+)\]", line)
        found += _expand(extras, own[1]) if own else [line]
    return found


def _without_idle_marker(pin: Requirement) -> Requirement:
    """Leaves out a marker that is true on every pod."""
    if pin.marker and all(pin.marker.evaluate(pod_environment(python)) for python in PYTHONS):
        pin.marker = None
    return pin


def _resolve(requirements: Sequence[str], before: str) -> str:
    """Returns uv's lines "name==version"; takes the versions of `before` where they still fit."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise LaunchError("uv is not installed; it resolves the versions: pip install uv")
    options = ["--universal", f"--python-version={PYTHONS[0]}", "--no-header", "--no-annotate"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pins.txt"
        output.write_text(before, encoding="utf-8")  # uv prefers the versions that it finds there
        done = subprocess.run(
            [uv, "pip", "compile", "-", *options, "--quiet", f"--output-file={output}"],
            input="\n".join(requirements),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = " ".join(done.stderr.split()) or "no reason given"
            raise LaunchError(f"uv cannot resolve the requirements of setup.py: {reason}")
        return output.read_text(encoding="utf-8")


def _run(arguments: Sequence[str]) -> None:
    parser = CommandParser(prog="python -m launch.pins", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args(arguments).upgrade
    before = "" if upgrade or not PINS.exists() else PINS.read_text(encoding="utf-8")
    requirements = read_requirements()
    text = format_pins(requirements, _resolve(requirements, before))
    write_text(PINS, text)
    print(f"{PINS.relative_to(REPOSITORY)}: {len(parse_pins(text))} versions")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 written, 2 user error."""
    return run_command(_run, argv)


if __name__ == "__main__":
    sys.exit(main())
