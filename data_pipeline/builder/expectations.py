"""Checks a record by parsing its text and running what it claims.

Reads program, call and value from prompt and response, as a model sees them, so it finds mistakes
of every earlier stage.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from data_pipeline.execution.oracles import returns_literal
from data_pipeline.execution.outcomes import Result
from data_pipeline.execution.service import Sandbox, call_job
from data_pipeline.pyx.record_text import Expectation, RefutedRecordError, expectations
from data_pipeline.pyx.records import Record

__all__ = ["Expectation", "RefutedRecordError", "expectations", "recheck_all"]


def recheck_all(
    records: Sequence[Record], sandbox: Sandbox, *, alone: bool = False
) -> list[str | None]:
    """Returns for each record None if it holds, else the reason. Equal runs are made once.

    alone: whether each run has a process of its own, also beside others of its program
    """
    parts: list[list[Expectation] | str] = []
    for record in records:
        try:
            parts.append(expectations(record))
        except RefutedRecordError as error:
            parts.append(str(error))
    runs = {(e.program, e.call) for part in parts if isinstance(part, list) for e in part}
    ordered = sorted(runs)
    results = dict(zip(ordered, _run_all(ordered, sandbox, alone), strict=True))
    return [part if isinstance(part, str) else _first_wrong(part, results) for part in parts]


def _run_all(runs: Sequence[tuple[str, str]], sandbox: Sandbox, alone: bool) -> Iterator[Result]:
    """Yields the results of (program, call), given sorted."""
    if alone:
        yield from sandbox.map(call_job(program, call) for program, call in runs)
        return
    for program, group in itertools.groupby(runs, key=lambda run: run[0]):
        yield from sandbox.run_calls(program, [call for _, call in group])


def _first_wrong(
    expected: Iterable[Expectation], results: dict[tuple[str, str], Result]
) -> str | None:
    for one in expected:
        result = results[one.program, one.call]
        if returns_literal(result, one.output) != one.holds:
            verb = "returns" if one.holds else "does not return"
            return f"{one.call} {verb} {one.output}, it says; the run: {_outcome_text(result)}"[
                :300
            ]
    return None


def _outcome_text(result: Result) -> str:
    row = result.to_json()
    return str(row.get("text", row.get(result.kind)))
