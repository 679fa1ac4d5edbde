"""Writes CRUXEval's problems as one more level of a study's held-out functions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import write_rows
from data_pipeline.forms.corpus import problem_row
from data_pipeline.source.calls import parse_value
from data_pipeline.source.literals import LiteralError, same_value
from semcoder_jax.config import ConfigError
from semcoder_jax.evaluation.benchmarks.cruxeval import CruxEvalProblem, read_problems
from semcoder_jax.evaluation.reasoning import trace_runs

LEVEL = "cruxeval"


def check_cruxeval(source: str) -> None:
    """Raises ConfigError if `source` is not CRUXEval's file."""
    try:
        read_problems(source)
    except UserError as error:
        raise ConfigError(f"config: study.cruxeval: {error}") from None


def write_cruxeval_level(source: str, target: Path) -> None:
    """Writes the problems whose run, traced in the sandbox, returns their output.

    Raises DataError if `source` is not CRUXEval's file, and SandboxUnavailable.
    """
    write_rows(target, _rows(read_problems(source)))


def _rows(problems: tuple[CruxEvalProblem, ...]) -> Iterator[dict[str, Any]]:
    with Sandbox() as sandbox:
        traces = trace_runs([(each.code, each.call) for each in problems], sandbox)
    for problem in problems:
        trace = traces[problem.code, problem.call]
        if trace is not None and _is_equal(trace.result, problem.output):
            yield problem_row(problem.id, trace, LEVEL)


def _is_equal(result: str | None, output: str) -> bool:
    try:
        return result is not None and same_value(parse_value(result), parse_value(output))
    except LiteralError:
        return False
