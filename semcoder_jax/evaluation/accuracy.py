"""Measures the accuracy of a model's answers while it trains: the hook that `train` is given.

Greedy answers without speculation depend only on the parameters and the mesh: which drafts pay is
found by timing, and products of other shapes may round differently. So a resumed run measures what
an unbroken one does, and all processes of a run generate in step.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from data_pipeline.execution.service import Sandbox
from data_pipeline.files import as_path
from semcoder_jax.config import AccuracyConfig, ConfigError, DataConfig
from semcoder_jax.evaluation.benchmarks.registry import HELD_OUT, LOADERS, load_by_name
from semcoder_jax.evaluation.generators import ModelSource, generate_in_order
from semcoder_jax.evaluation.harness import Benchmark, judge_all, questions
from semcoder_jax.evaluation.response import Response
from semcoder_jax.inference.generate import SamplingParams
from semcoder_jax.loading import LoadedModel

MODE = "fixed"
PROBLEMS_FILE = "problems.jsonl"


def open_accuracy(
    config: AccuracyConfig, data: DataConfig, workdir: Path
) -> Callable[[LoadedModel], dict[str, float]]:
    """Returns the function from a model to the share of right answers of each benchmark.

    A task counts if all its verdicts are right (HumanEval's and HumanEval+'s). Raises a UserError
    if a benchmark is unknown or its tasks cannot be read.
    """
    check_benchmarks(config)
    benchmarks = {name: _load(config, name, data, workdir) for name in config.benchmarks}
    return functools.partial(_measure, config, benchmarks)


def check_benchmarks(config: AccuracyConfig) -> None:
    """Raises ConfigError if a benchmark is unknown; asked before any data is made."""
    for name in config.benchmarks:
        if name not in LOADERS:
            raise ConfigError(
                f"config: accuracy.benchmarks: {name!r}: expected some of {', '.join(LOADERS)}"
            )


def _load(config: AccuracyConfig, name: str, data: DataConfig, workdir: Path) -> Benchmark:
    path = config.data.get(name)
    if path is None and name in HELD_OUT:
        path = _held_out_problems(name, data, workdir)
    benchmark = load_by_name(name, path, config.max_tasks)
    if MODE not in benchmark.modes or _variant(config, benchmark) not in benchmark.variants:
        raise ConfigError(
            f"config: accuracy.variant {config.variant!r}: {name} knows "
            f"{', '.join(benchmark.variants)}"
        )
    return benchmark


def _held_out_problems(name: str, data: DataConfig, workdir: Path) -> Path:
    """Returns the problems of a run's own held-out split. Raises ConfigError if it has none."""
    folders = {
        "synthetic": workdir / "corpus",
        "pyx": data.directory and as_path(data.directory),
        "jsonl": data.eval and as_path(data.eval).parent,
    }
    folder = folders.get(data.source)
    if not folder or not (folder / PROBLEMS_FILE).is_file():
        raise ConfigError(
            f"config: accuracy.data.{name} is missing: no {PROBLEMS_FILE} "
            f"{f'in {folder}' if folder else f'belongs to data.source {data.source!r}'}"
        )
    return folder / PROBLEMS_FILE


def _variant(config: AccuracyConfig, benchmark: Benchmark) -> str:
    return config.variant or benchmark.variants[0]


def _measure(
    config: AccuracyConfig, benchmarks: Mapping[str, Benchmark], model: LoadedModel
) -> dict[str, float]:
    responses = {name: _answer(config, one, model) for name, one in benchmarks.items()}
    right_N = np.zeros(len(benchmarks), np.int32)
    if jax.process_index() == 0:  # one sandbox judges for all processes
        with Sandbox() as sandbox:
            right_N[:] = [
                _count_right(benchmarks[name], given, sandbox) for name, given in responses.items()
            ]
    if jax.process_count() > 1:
        right_N = multihost_utils.broadcast_one_to_all(right_N)
    return {
        name: int(right) / len(given)
        for (name, given), right in zip(responses.items(), right_N, strict=True)
    }


def _answer(config: AccuracyConfig, benchmark: Benchmark, model: LoadedModel) -> list[Response]:
    """Returns the model's responses to all tasks of a benchmark."""
    asked = questions(benchmark, [_variant(config, benchmark)], [MODE], samples=1)
    source = ModelSource(
        model, {}, name="training", batch_size=config.batch_size, speculation="off"
    )
    params = SamplingParams(max_new_tokens=config.max_new_tokens, stop=tuple(benchmark.stop))
    generations = generate_in_order(
        source,
        [question.prompt for _, question in asked],
        params,
        row_seeds=[question.seed for _, question in asked],
    )
    return [
        dataclasses.replace(blank, text=each.text, finish_reason=each.finish_reason)
        for (blank, _), each in zip(asked, generations, strict=True)
    ]


def _count_right(benchmark: Benchmark, responses: Sequence[Response], sandbox: Sandbox) -> int:
    right: dict[str, bool] = {}
    for answer in judge_all(benchmark, responses, sandbox, progress=None):
        right[answer.task] = right.get(answer.task, True) and answer.right
    return sum(right.values())
