"""Compiles programs in a separate process, one at a time, and caches the results.

The process starts with the first program that the cache lacks and ends with its owner.
"""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semcoder_jax.config import RunConfig
from semcoder_jax.errors import UserError
from semcoder_jax.planner.cache import PROCESS, REPOSITORY, PlanCache, plan_key
from semcoder_jax.planner.compiled_step import CompiledStep
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import StepBounds
from semcoder_jax.planner.topologies import Topology, TopologyError

FOLDER_VARIABLE = "SEMCODER_LIBTPU"
_TICK = 1.0  # seconds between two calls of `progress`


def _silently(seconds: float) -> None:
    pass


class CompileError(UserError):
    """Raised if the compiler is missing, rejects a program, or has ended."""


def libtpu_version() -> str:
    """Returns the version of libtpu. Raises CompileError if it is not installed."""
    folder = os.environ.get(FOLDER_VARIABLE)
    found = list(importlib.metadata.distributions(name="libtpu", path=[folder])) if folder else []
    if found:
        return found[0].version
    if importlib.util.find_spec("libtpu") is not None:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version("libtpu")
    where = f"not in {folder} ({FOLDER_VARIABLE}) and not installed" if folder else "not installed"
    raise CompileError(
        f'the TPU compiler (libtpu) is {where}: pip install "jax[tpu]", or pip install --no-deps '
        f"--target=FOLDER libtpu and {FOLDER_VARIABLE}=FOLDER; it needs no TPU"
    )


class Compiler:
    """Compiles programs of training; a context manager that ends its process.

    `process` is the module that answers (see compiler_process and reward_process).
    `progress(seconds)` is called about once a second while a program compiles.
    """

    def __init__(
        self,
        cache: PlanCache | None = None,
        python: tuple[str, ...] = (sys.executable,),
        process: str = PROCESS,
    ):
        self._cache, self._python, self._module = cache or PlanCache(), python, process
        self._version = libtpu_version()
        self._process: subprocess.Popen | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._complaints: list[str] = []

    def __enter__(self) -> "Compiler":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def read_cached(self, run: RunConfig, topology: Topology) -> CompiledStep | None:
        """Returns the cached result, or None."""
        kept = self.read(run, topology)
        with contextlib.suppress(KeyError, TypeError):
            return None if kept is None else CompiledStep.from_record(kept)
        return None

    def compile(
        self, run: RunConfig, topology: Topology, progress: Callable[[float], None] = _silently
    ) -> CompiledStep:
        """Returns the cached result, or compiles the step. Raises CompileError or TopologyError."""
        known = self.read_cached(run, topology)
        if known is not None:
            return known
        return CompiledStep.from_record(self.ask(run, topology, {}, progress))

    def read(self, run: RunConfig, topology: Topology, question: dict | None = None) -> Any:
        """Returns the cached answer to a question, or None."""
        return self._cache.get(self._key(run, topology, question))

    def ask(
        self,
        run: RunConfig,
        topology: Topology,
        question: dict,
        progress: Callable[[float], None] = _silently,
    ) -> Any:
        """Returns the process's answer (a JSON object), and caches it.

        Raises CompileError or TopologyError.
        """
        found = self._ask(run, topology, question, progress)
        self._cache.put(self._key(run, topology, question or None), found)
        return found

    def _key(self, run: RunConfig, topology: Topology, question: object) -> str:
        return plan_key(run, topology.name, self._version, question, self._module)

    def bounds(
        self,
        run: RunConfig,
        topology: Topology,
        settings: Sequence[Setting],
        progress: Callable[[float], None] = _silently,
    ) -> list[StepBounds | None]:
        """Returns the bounds of each setting, without compiling.

        Raises CompileError, or TopologyError if the compiler does not know the slice.
        None stands for a setting whose mesh cannot be laid over the chips.
        """
        question = [dataclasses.asdict(setting) for setting in settings]
        key = self._key(run, topology, question)
        with contextlib.suppress(KeyError, TypeError):
            if kept := self._cache.get(key):
                return _read_bounds(kept["bounds"])
        records = self._ask(run, topology, {"settings": question}, progress)
        self._cache.put(key, {"bounds": records})
        return _read_bounds(records)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, run: RunConfig, topology: Topology, more: dict, progress) -> Any:
        question = {"run": run.to_record(), "topology": topology.name} | more
        started = time.monotonic()
        if self._process is None:
            self._start()
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._process_error() from None
        while True:
            try:
                line = self._answers.get(timeout=_TICK)
            except queue.Empty:
                progress(time.monotonic() - started)
                continue
            if not line:
                raise self._process_error()
            said = json.loads(line)
            if said.get("kind") == TopologyError.__name__:
                raise TopologyError(said["error"])
            if "error" in said:
                raise CompileError(f"{topology.name}: {said['kind']}: {said['error']}")
            return said["answer"]

    def _process_error(self) -> CompileError:
        code = self._process.wait()
        self._process = None
        self._listener.join(_TICK)  # its last words may still be on their way
        said = next((line for line in reversed(self._complaints) if line), "it said nothing")
        return CompileError(f"the compiler's process ended (exit code {code}): {said}")

    def _start(self) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        paths = [str(REPOSITORY), folder, os.environ.get("PYTHONPATH")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        }
        self._process = subprocess.Popen(
            [*self._python, "-m", self._module],
            cwd=Path.cwd(),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # else Ctrl-C reaches it, and it prints a traceback
        )
        self._answers, self._complaints = queue.Queue(), []
        threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()
        self._listener = threading.Thread(
            target=_keep_last, args=(self._process.stderr, self._complaints), daemon=True
        )
        self._listener.start()


def _read_bounds(records: Sequence[dict | None]) -> list[StepBounds | None]:
    return [record and StepBounds(**record) for record in records]


def _read(process: subprocess.Popen, answers: queue.Queue) -> None:
    for line in process.stdout:
        answers.put(line)
    answers.put("")


def _keep_last(stream, lines: list[str], most: int = 50) -> None:
    for line in stream:
        lines.append(line.strip())
        del lines[:-most]
