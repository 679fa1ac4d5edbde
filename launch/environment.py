"""Builds the shell commands that make training's environment on a worker.

The environment is a virtual environment in the folder of the code, at the versions of
launch/pins.txt; launch/environment.sh makes it.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from launch.pod_config import Pod
from launch.ways import Training

PYTHON = ".venv/bin/python"
STOPPED = 75  # exit status of training that saved before its last step
WORKER = ("-m", "launch.worker", f"--stopped_status={STOPPED}")
SCRIPT = Path(__file__).with_name("environment.sh")


def commands_before_copy(pod: Pod) -> Sequence[str]:
    """Returns commands that prepare a worker, and find its Python before anything is copied."""
    text = SCRIPT.read_text(encoding="utf-8")
    find = shlex.join(["bash", "-c", text, "environment.sh", "find"])
    return (*pod.setup, f"{_python(pod)}{find}")


def installation_commands(pod: Pod, archive: str) -> Sequence[str]:
    """Returns commands that unpack the archive and install the code."""
    directory = shlex.quote(pod.directory)
    return (
        f"mkdir -p {directory} && tar -xzf {archive} -C {directory}",
        f"cd {directory} && {install_command(pod)}",
    )


def install_command(pod: Pod) -> str:
    """Returns the command that makes or completes the environment, in the folder of the code."""
    return f"{_python(pod)}bash launch/environment.sh install"


def worker_command(training: Training) -> Sequence[str]:
    """Returns the command of one worker; exit status 75 says that it stopped before the end."""
    return (PYTHON, *WORKER, *training.arguments)


def worker_line(training: Training) -> str:
    """Returns the command of one worker as a line of a shell script."""
    return shlex.join(worker_command(training))


def variables(pod: Pod) -> str:
    """Returns assignments that precede a command, or ""."""
    return "".join(
        f"{name}={shlex.quote(str(value))} " for name, value in sorted(pod.variables.items())
    )


def _python(pod: Pod) -> str:
    return f"PYTHON={shlex.quote(pod.python)} "
