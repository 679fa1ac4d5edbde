"""Maps benchmark names (`config.benchmark`) to benchmarks."""

from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from data_pipeline.files import as_path
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.benchmarks import (
    cruxeval,
    evalplus,
    heldout_backward,
    heldout_code,
    livecodebench,
    livecodebench_execution,
    reval,
)
from semcoder_jax.evaluation.benchmarks.heldout import Heldout, read_problems
from semcoder_jax.evaluation.harness import Benchmark

HELD_OUT = ("heldout", "heldout_backward", "heldout_code", "reval")
"""Benchmarks whose tasks are the held-out problems of some training data."""


class BenchmarkConfigError(UserError):
    """Raised if a config names no benchmark, or lacks a field that its benchmark needs."""


def benchmark_name(config: ConfigDict) -> str:
    """Returns `config.benchmark`. Raises BenchmarkConfigError if this is another kind of config."""
    if "benchmark" not in config:
        raise BenchmarkConfigError(
            "config: has no `benchmark`; expected an evaluation config, such as "
            "configs/eval/heldout.py"
        )
    return config.benchmark


def load_benchmark(config: ConfigDict, checkpoint: str | None) -> Benchmark:
    """Loads the benchmark of a config with its tasks. Raises a UserError.

    `checkpoint` is the directory of the model, if one is evaluated.
    """
    if config.benchmark not in LOADERS:
        raise BenchmarkConfigError(
            f"config.benchmark={config.benchmark!r}: expected one of {', '.join(LOADERS)}"
        )
    return LOADERS[config.benchmark](config, checkpoint)


def load_by_name(name: str, data: str | Path | None, max_tasks: int | None) -> Benchmark:
    """Loads a benchmark whose config has the usual fields. Raises a UserError.

    `data` is its file; None: its public home.
    """
    path = None if data is None else str(data)
    dates = {"release": 1, "start_date": None, "end_date": None}
    return load_benchmark(
        ConfigDict({"benchmark": name, "data": path, "max_tasks": max_tasks, **dates}), None
    )


def _heldout_data(config: ConfigDict, checkpoint: str | None) -> str | Path:
    """Returns the file of the held-out problems. Raises BenchmarkConfigError if it is not known."""
    if config.data is not None:
        return config.data
    given = "--config.data=FILE: the problems.jsonl of the data that the model was trained on"
    if checkpoint is None:
        raise BenchmarkConfigError(f"{given} is needed, because no training workdir is given")
    path = as_path(checkpoint) / "corpus" / "problems.jsonl"
    if not path.exists():
        raise BenchmarkConfigError(
            f"{path}: no such file (only a workdir with synthetic data has it); give {given}"
        )
    return path


def _heldout(config: ConfigDict, checkpoint: str | None) -> Benchmark:
    return Heldout(read_problems(_heldout_data(config, checkpoint), limit=config.max_tasks))


def _heldout_backward(config: ConfigDict, checkpoint: str | None) -> Benchmark:
    problems = heldout_backward.read_problems(
        _heldout_data(config, checkpoint), limit=config.max_tasks
    )
    return heldout_backward.HeldoutBackward(problems)


def _heldout_code(config: ConfigDict, checkpoint: str | None) -> Benchmark:
    tasks = heldout_code.read_problems(_heldout_data(config, checkpoint), limit=config.max_tasks)
    return heldout_code.HeldoutCode(tasks)


LOADERS: dict[str, Callable[[ConfigDict, str | None], Benchmark]] = {
    "heldout": _heldout,
    "heldout_backward": _heldout_backward,
    "heldout_code": _heldout_code,
    "reval": lambda config, checkpoint: reval.load(
        _heldout_data(config, checkpoint), limit=config.max_tasks
    ),
    "cruxeval_input": lambda config, _: cruxeval.load(config, "input"),
    "cruxeval_output": lambda config, _: cruxeval.load(config, "output"),
    "humaneval": lambda config, _: evalplus.load(config, "humaneval"),
    "mbpp": lambda config, _: evalplus.load(config, "mbpp"),
    "livecodebench": lambda config, _: livecodebench.load(config),
    "livecodebench_execution": lambda config, _: livecodebench_execution.load(config),
}
