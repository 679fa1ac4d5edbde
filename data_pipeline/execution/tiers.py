"""Starts workers in three tiers of isolation and finds the strongest that this machine supports.

A  bubblewrap: separate namespaces (user, process, mount, network, ...), a read-only view of the
   interpreter alone, no /proc; and the measures of B except Landlock.
B  no namespaces: an unprivileged uid (if this process is root), Landlock (may only read the
   interpreter), seccomp, resource limits, an empty environment.
C  B without Landlock: the program can read any file that the uid may read. For building data,
   never for scoring, and only on request.
To test a tier, starts a worker and lets a sample try to escape.
"""

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.execution import answers
from data_pipeline.execution.channel import START_SECONDS, Run, WorkerLost, WorkerProcess
from data_pipeline.execution.guest import landlock
from data_pipeline.execution.job import FunctionJob, Limits
from data_pipeline.execution.outcomes import Value
from data_pipeline.terminal.notices import logger

SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache")

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",  # numpy's libraries: a worker that forks has one thread
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# Modules sent into the sandbox; they import only the standard library and each other.
_MODULES = (
    "data_pipeline", "data_pipeline.errors", "data_pipeline.execution",
    "data_pipeline.execution.guest", "data_pipeline.execution.guest.batch",
    "data_pipeline.execution.guest.determinism",
    "data_pipeline.execution.guest.jobs",
    "data_pipeline.execution.guest.landlock", "data_pipeline.execution.guest.messages",
    "data_pipeline.execution.guest.program", "data_pipeline.execution.guest.proxies",
    "data_pipeline.execution.guest.seccomp", "data_pipeline.execution.guest.series",
    "data_pipeline.execution.guest.surroundings",
    "data_pipeline.execution.guest.thread_limit", "data_pipeline.execution.guest.values",
    "data_pipeline.execution.guest.worker",
    "data_pipeline.source", "data_pipeline.source.constructed", "data_pipeline.source.literals",
    "data_pipeline.source.calls", "data_pipeline.source.pure_modules", "data_pipeline.tracing",
    "data_pipeline.tracing.events", "data_pipeline.tracing.markers", "data_pipeline.tracing.parts",
    "data_pipeline.tracing.reading", "data_pipeline.tracing.recorder",
    "data_pipeline.tracing.rendering", "data_pipeline.tracing.runs",
)  # fmt: skip
_PACKAGES = (
    "data_pipeline", "data_pipeline.execution", "data_pipeline.execution.guest",
    "data_pipeline.source", "data_pipeline.tracing",
)  # fmt: skip

# Run by `python -c`: reads the sources from the control descriptor (the sandbox may not be able to
# read their folder) and gives them their own builtins, which no program can replace.
_BOOTSTRAP = """
import os
register_at_fork, os.register_at_fork = os.register_at_fork, lambda **hooks: None
# The hooks of `random` and `threading` would run in every sample; a single-threaded worker that
# reseeds needs neither, and they cost a quarter of a fork.
import builtins, importlib.util, json, sys

def read(size):
    data = b""
    while len(data) < size:
        part = os.read(3, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data

order = json.loads(read(int.from_bytes(read(4), "big")))
own = dict(vars(builtins))

class Finder:
    def find_spec(name, path=None, target=None):
        if name in order["sources"]:
            package = name in order["packages"]
            return importlib.util.spec_from_loader(name, Finder, is_package=package)
    def create_module(spec):
        return None
    def exec_module(module):
        module.__dict__["__builtins__"] = own
        name = module.__name__
        exec(compile(order["sources"][name], f"<{name}>", "exec"), module.__dict__)

sys.meta_path.insert(0, Finder)
from data_pipeline.execution.guest import worker
worker.main(order["options"])
"""


class SandboxUnavailable(UserError, RuntimeError):
    """This machine cannot start a requested tier; the message says why and what to install."""


@dataclass(frozen=True)
class Setup:
    """The options of a worker.

    python:        path of the interpreter; None for the one of this process
    packages:      folders to add to the sample's sys.path, readable in the sandbox
    preload:       modules to import once, before the forks
    scratch_bytes: size of a writable folder /scratch (tier A only), 0 for none
    threads:       whether samples may start threads
    uid:           unprivileged uid to switch to if this process is root; None for one of the
                   worker's own, so that no worker's threads count against another's limit
    hash_seed:     hash seed of the interpreter, which decides the order of sets of strings
    """

    python: str | None = None
    packages: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    scratch_bytes: int = 0
    threads: bool = False
    uid: int | None = None
    hash_seed: int = 0


@dataclass(frozen=True)
class Interpreter:
    executable: str
    prefix: str
    version: str


@lru_cache(maxsize=16)
def find_interpreter(python: str | None) -> Interpreter:
    """Returns the interpreter at a path, or the base interpreter of a virtual environment.

    Raises SandboxUnavailable if it does not run or is older than Python 3.11.
    """
    if python is None:
        executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
        return Interpreter(executable, os.path.realpath(sys.base_prefix), platform.python_version())
    ask = (
        "import sys\nprint(sys.version_info >= (3, 11))\n"
        "print(sys._base_executable)\nprint(sys.base_prefix)\nprint(sys.version.split()[0])"
    )
    try:
        answer = subprocess.run(
            [python, "-I", "-c", ask], capture_output=True, text=True, check=True, timeout=60
        ).stdout.split("\n")
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            f"--python={python}: expected a Python interpreter that runs: {error}"
        ) from None
    if answer[0] != "True":
        raise SandboxUnavailable(f"--python={python}: expected Python 3.11 or newer")
    return Interpreter(os.path.realpath(answer[1]), os.path.realpath(answer[2]), answer[3])


Starter = Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]]


def start_worker(tier: str, setup: Setup, start: Starter = lambda make: make()) -> WorkerProcess:
    """Starts a worker of a tier. Raises SandboxUnavailable with the reason.

    start: calls its argument in a thread that lives as long as the worker: the kernel kills the
           worker when the thread that started it ends (PDEATHSIG)
    """
    python = find_interpreter(setup.python)
    readable = [python.prefix, os.path.dirname(python.executable), *setup.packages]
    root = os.geteuid() == 0
    closed = _find_closed_ancestors(readable, setup.uid) if root else {}
    argv = [python.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", _BOOTSTRAP]
    if tier == "A":
        argv = _bubblewrap(readable, setup) + argv
    elif setup.scratch_bytes:
        raise SandboxUnavailable("a scratch folder needs tier A (apt-get install bubblewrap)")
    if tier == "B" and landlock.version() < 1:
        raise SandboxUnavailable("the kernel has no Landlock (Linux 5.13 or newer, lsm=landlock)")
    ours, theirs = socket.socketpair()
    order = {
        "control": theirs.fileno(), "drop": root, "uid": setup.uid, "reveal": closed,
        "argv": argv, "env": _environment(setup),
    }  # fmt: skip
    errors = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        process = start(lambda: _launch(order, theirs, errors))
    finally:
        theirs.close()
    worker = WorkerProcess(process, ours, tier, errors)
    options = {
        "packages": list(setup.packages),
        "preload": list(setup.preload),
        "scratch_bytes": setup.scratch_bytes,
        "threads": setup.threads,
        # For kernels on which the worker cannot count a sample's threads (`thread_limit`): what
        # RLIMIT_NPROC counts already. A worker with a uid of its own shares it with nobody.
        "tasks": 0 if root or not setup.threads else _count_tasks(os.getuid()),
        "pid_namespace": tier == "A",
        "landlock": tier == "B",
        "readable": [*SYSTEM_FOLDERS, *readable, "/dev/null", "/dev/urandom"],
    }
    boot = {"sources": dict(_sources()), "packages": _PACKAGES, "options": options}
    try:
        ours.settimeout(START_SECONDS)
        worker.send(boot)
        hello = worker.receive(1 << 16)
    except (OSError, EOFError, ValueError):
        worker.stop()
        reason = worker.last_words() or "the worker did not start"
        worker.close()
        raise SandboxUnavailable(reason.splitlines()[-1]) from None
    if root and hello["uid"] == 0:
        worker.close()
        raise SandboxUnavailable("the worker still runs as root")
    return worker


def _launch(order: Any, control: socket.socket, errors: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("launch.py")),
            json.dumps(order),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=[control.fileno()],
        start_new_session=True,
    )


def _count_tasks(uid: int) -> int:
    """Counts the threads of a uid, which the kernel counts against RLIMIT_NPROC."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == uid:
                count += sum(1 for _ in (folder / "task").iterdir())
    return count


def _environment(setup: Setup) -> dict[str, str]:
    return _ENVIRONMENT | {"PYTHONHASHSEED": str(setup.hash_seed)}


def _bubblewrap(readable: Sequence[str], setup: Setup) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxUnavailable("bubblewrap is not installed (apt-get install bubblewrap)")
    argv = [
        program, "--unshare-all", "--unshare-user", "--as-pid-1", "--cap-drop", "ALL",
        "--new-session", "--hostname", "box", "--clearenv",
    ]  # fmt: skip
    for name, value in _environment(setup).items():
        argv += ["--setenv", name, value]
    for folder in dict.fromkeys([*SYSTEM_FOLDERS, *readable]):
        argv += ["--ro-bind-try", folder, folder]
    for device in ("/dev/null", "/dev/urandom"):
        argv += ["--dev-bind-try", device, device]
    if setup.scratch_bytes:
        argv += ["--size", str(setup.scratch_bytes), "--tmpfs", "/scratch"]
    home = "/scratch" if setup.scratch_bytes else "/"
    return [*argv, "--remount-ro", "/", "--chdir", home, "--"]


def _find_closed_ancestors(folders: Sequence[str], uid: int | None) -> dict[str, str]:
    """Returns folder -> its outermost ancestor that `uid`, without any group, cannot enter.

    uid: None for one that owns nothing
    """
    found = {}
    for folder in dict.fromkeys(folders):
        for ancestor in [*reversed(Path(folder).parents), Path(folder)]:
            status = ancestor.stat()
            if not status.st_mode & 0o001 and status.st_uid != uid:
                found[folder] = str(ancestor)
                break
    return found


@lru_cache(maxsize=1)
def _sources() -> Mapping[str, str]:
    root = Path(__file__).parents[2]
    found = {}
    for name in _MODULES:
        path = root.joinpath(*name.split("."))
        path = path / "__init__.py" if name in _PACKAGES else path.with_suffix(".py")
        found[name] = path.read_text(encoding="utf-8")
    return found


# ---- finding a tier

# Tries to escape and returns the actions that succeeded, which must be none.
_ESCAPES = """
import os, signal, socket, ctypes

def attempt(name, action):
    try:
        return [] if action() is None else [name]
    except BaseException:
        return []

def escapes(secret, writable, parent):
    libc = ctypes.CDLL(None, use_errno=True)
    return sum([
        attempt("read a file", lambda: open(secret).read()),
        attempt("list a folder", lambda: os.listdir(os.path.dirname(secret))),
        attempt("write a file", lambda: open(writable, "w")),
        attempt("fork", os.fork),
        attempt("open a socket", socket.socket),
        attempt("signal the worker", lambda: os.kill(os.getppid(), 0) or 1),
        attempt("signal the host", lambda: os.kill(parent, 0) or 1),
        attempt("trace", lambda: libc.ptrace(0, 0, 0, 0) + 1 or None),
        attempt("see the environment", lambda: os.environ.get("SEMCODER_SECRET")),
        attempt("be root", lambda: 1 if os.getuid() == 0 else None),
    ], [])
"""


def find_escapes(worker: WorkerProcess) -> list[str]:
    """Returns the forbidden actions that a sample of this worker could perform."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        secret = Path(folder, "secret")
        secret.write_text("secret")
        secret.chmod(0o644)
        open_folder = Path(folder, "open")
        open_folder.mkdir()
        open_folder.chmod(0o777)
        arguments = (str(secret), str(open_folder / "mark"), os.getpid())
        job = FunctionJob(_ESCAPES, "escapes", arguments)
        limits = Limits(10.0, 30.0, 1 << 28, output_bytes=1 << 16, answer_bytes=1 << 16)
        report = worker.run(Run(job.request(), limits))
    if report.ended is not None:
        return [f"the probe itself: {report.ended}"]
    outcome, _ = answers.read_answer(report.answer, None)
    done = outcome.python() if isinstance(outcome, Value) else None
    return done if isinstance(done, list) else [f"the probe itself: {outcome}"]


@dataclass(frozen=True)
class TierChoice:
    """The tier that this machine uses.

    weakness: why no stronger one works; "" if it is A or was requested
    """

    tier: str
    weakness: str


def warn_if_weaker(found: TierChoice) -> None:
    """Warns if the tier is not the strongest, and why.

    Commands call it after their work, so that an error that ends them stays one line.
    """
    if found.weakness:
        logger.warning("the sandbox is of tier %s: %s", found.tier, found.weakness)


def probe(setup: Setup, tier: str | None = None, allow_weak: bool = False) -> TierChoice:
    """Finds the strongest tier that works on this machine, or checks `tier`.

    Raises SandboxUnavailable, whose message says why each tier fails and what to install.
    """
    if tier is not None and tier not in "ABC":
        raise SandboxUnavailable(f"--tier={tier}: expected A, B or C")
    if tier == "C" and not allow_weak:
        raise SandboxUnavailable("--tier=C is for building data only: allow it with --allow_weak")
    find_interpreter(setup.python)  # its own error, not that of every tier
    reasons = []
    for candidate in [tier] if tier else ["A", "B", *(["C"] if allow_weak else [])]:
        reason = _try_tier(candidate, setup)
        if reason is None:
            return TierChoice(candidate, f"no {'; '.join(reasons)}" if reasons else "")
        reasons.append(f"tier {candidate}: {reason}")
    raise SandboxUnavailable(
        "this machine can start no sandbox. Install bubblewrap (apt-get install bubblewrap), or "
        "allow user namespaces, or use a kernel with Landlock; to build data only, --allow_weak. "
        + "; ".join(reasons)
    )


def _try_tier(tier: str, setup: Setup) -> str | None:
    try:
        worker = start_worker(tier, setup)
    except SandboxUnavailable as error:
        return str(error)
    try:
        done = set(find_escapes(worker)) - (
            {"read a file", "list a folder"} if tier == "C" else set()
        )
        return f"a sample could {', '.join(sorted(done))}" if done else None
    except WorkerLost as error:
        return f"the worker was lost: {error}"
    finally:
        worker.close()
