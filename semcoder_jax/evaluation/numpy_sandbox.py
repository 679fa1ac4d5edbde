"""Runs programs that import numpy in a sandbox that has it: a copy of this installation's numpy.

EvalPlus's and LiveCodeBench's environments have numpy, our sandbox only the standard library. The
second sandbox starts when the first such program comes. A probe run decides whether numpy works
there; if not, the programs run without it, and the notes count them.
"""

import ast
import contextlib
import dataclasses
import importlib.metadata
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Hashable
from pathlib import Path

from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Sandbox, SandboxUnavailable
from semcoder_jax.cache import cache_folder

_PROBE = "import numpy\ndef f():\n    return int(numpy.arange(4).sum())\n"
_PARTS = ("numpy", "numpy.libs")
_LEFT_OUT = shutil.ignore_patterns("tests", "*.pyi", "include", "__pycache__", "f2py", "distutils")


def imported_packages(program: str) -> frozenset[str]:
    """Returns the top-level names of modules that a program imports from outside the library."""
    if "import" not in program:
        return frozenset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return frozenset(name.partition(".")[0] for name in names) - sys.stdlib_module_names


class NumpySandbox(contextlib.AbstractContextManager):
    """Gives the sandbox for a program, beside `sandbox` one with numpy, and counts the programs."""

    def __init__(self, sandbox: Sandbox, *, cache: str | Path | None = None):
        self._plain, self._cache = sandbox, cache
        self._stack, self._lock = contextlib.ExitStack(), threading.Lock()
        self._with_numpy: Sandbox | None = None
        self._reason: str | None = None  # why there is none
        self._samples: dict[Hashable, frozenset[str]] = {}

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def has_numpy(self) -> bool:
        """Whether programs that import numpy can; starts the sandbox at the first call."""
        with self._lock:
            if self._with_numpy is None and self._reason is None:
                try:
                    self._with_numpy = self._open()
                except (OSError, SandboxUnavailable, importlib.metadata.PackageNotFoundError) as e:
                    self._reason = str(e).splitlines()[0]
            return self._with_numpy is not None

    def is_for_numpy(self, program: str) -> bool:
        """Whether the program imports numpy and there is a sandbox that has it."""
        return "numpy" in program and "numpy" in imported_packages(program) and self.has_numpy()

    def sandbox_for(self, program: str) -> Sandbox:
        return self._with_numpy if self.is_for_numpy(program) else self._plain

    def count(self, sample: Hashable, program: str) -> None:
        """Counts what a sample imports for the notes."""
        if packages := imported_packages(program):
            self._samples[sample] = packages

    def notes(self) -> tuple[str, ...]:
        found, notes = self._samples.values(), []
        had = {"numpy"} if self._with_numpy is not None else set()
        if had and (number := sum("numpy" in packages for packages in found)):
            version = importlib.metadata.version("numpy")
            notes.append(f"{number:,} samples import numpy: the sandbox has {version} for them")
        if lacking := [packages - had for packages in found if packages - had]:
            names = ", ".join(sorted(frozenset().union(*lacking))[:10])
            reason = f" (numpy: {self._reason})" if self._reason else ""
            notes.append(
                f"{len(lacking):,} samples import modules that the sandbox lacks: {names}{reason}"
            )
        return tuple(notes)

    def _open(self) -> Sandbox:
        setup = dataclasses.replace(
            self._plain.setup, packages=(str(_copy_numpy(self._cache)),), preload=("numpy",)
        )
        plain = self._plain
        sandbox = self._stack.enter_context(
            Sandbox(tier=plain.tier, workers=plain.workers, limits=plain.limits, setup=setup)
        )
        result = sandbox.call(_PROBE, "f()")
        if result.outcome != Value(6):
            raise OSError(f"numpy does not run in the sandbox: {result.kind}")
        return sandbox


def _copy_numpy(cache: str | Path | None) -> Path:
    """Returns a folder that holds only numpy, copied from this installation if it is new."""
    distribution = importlib.metadata.distribution("numpy")
    source = Path(distribution.locate_file(""))
    name = f"numpy-{distribution.version}-{sys.implementation.cache_tag}"
    folder = cache_folder(cache) / "sandbox_packages" / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            for part in _PARTS:
                if (source / part).is_dir():
                    shutil.copytree(source / part, Path(made, "all", part), ignore=_LEFT_OUT)
            for path in Path(made, "all").rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            Path(made, "all").chmod(0o755)
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(Path(made, "all"), folder)
    return folder


# ==== Values of numpy as values of Python

SCALAR, ARRAY = "\0numpy scalar", "\0numpy array"
"""Tags of results that are numpy's own: (tag, value) in place of the result."""

_PLAIN = """

def _semcoder_plain(function, collects):
    import numpy
    def plain(value):
        kind = type(value)
        if isinstance(value, numpy.generic):
            return value.item()
        if kind in (list, tuple, set, frozenset):
            return kind(map(plain, value))
        if kind is dict:
            return {plain(key): plain(item) for key, item in value.items()}
        return value
    def called(*arguments):
        value = function(*arguments)
        if collects:
            return plain(value.tolist() if isinstance(value, numpy.ndarray) else value)
        if isinstance(value, numpy.generic):
            return (SCALAR, value.item())
        if isinstance(value, numpy.ndarray):
            return (ARRAY, value.tolist())
        return plain(value)
    return called
"""


def with_plain_results(program: str, entry: str, *, collects: bool) -> str:
    """Adds code that turns numpy's numbers in the results of `entry` into Python's.

    A result that is itself a number or an array of numpy is tagged, since EvalPlus compares those
    by rules of their own. collects: whether only the members of the result count.
    """
    code = _PLAIN.replace("SCALAR", repr(SCALAR)).replace("ARRAY", repr(ARRAY))
    return f"{program}\n{code}\n{entry} = _semcoder_plain({entry}, {collects})\n"
