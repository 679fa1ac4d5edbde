"""Builds the shell commands that make training's environment on a worker.

The environment is a virtual environment in the folder of the code, with the extra `tpu` at the
versions of launch/pins.txt, which are those that were run together.
"""

import shlex
from collections.abc import Sequence

from launch.pod_config import Pod
from launch.ways import Training

PYTHON = ".venv/bin/python"
PINS = "launch/pins.txt"


def commands_before_copy(pod: Pod) -> Sequence[str]:
    """Returns commands that check a worker before anything is copied to it."""
    return pod.setup


def installation_commands(pod: Pod, archive: str) -> Sequence[str]:
    """Returns commands that unpack the archive and install the code."""
    directory, python = shlex.quote(pod.directory), shlex.quote(pod.python)
    return (
        f"mkdir -p {directory} && tar -xzf {archive} -C {directory}",
        f"cd {directory} && {{ [ -x {PYTHON} ] || {python} -m venv .venv; }} && "
        f"{PYTHON} -m pip install --quiet --constraint {PINS} --editable '.[tpu]'",
    )


def worker_command(training: Training) -> Sequence[str]:
    """Returns the command of one worker; exit status 75 says that it stopped before the end."""
    return (PYTHON, "-m", "launch.worker", "--stopped_status=75", *training.arguments)


def variables(pod: Pod) -> str:
    """Returns assignments that precede a command, or ""."""
    return "".join(
        f"{name}={shlex.quote(str(value))} " for name, value in sorted(pod.variables.items())
    )
