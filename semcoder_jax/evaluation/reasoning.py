"""Verifies each step of each monologue against the real run, in the sandbox.

A run is a program and a call; a run that several answers describe is traced once. A forward
monologue describes the call of the question, a backward one the call of the answer, and a repair
the failing test on the failing program.
"""

import dataclasses
from collections.abc import Sequence

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.tracing import Trace
from data_pipeline.verify import example_outcomes, verify_trace
from semcoder_jax.evaluation.results import Answer

RunOf = tuple[str, str]  # program, call
_LIMITS = TraceLimits(max_lines=20_000, max_characters=2000)


def with_claims(
    answers: Sequence[Answer],
    runs: Sequence[RunOf | None],
    sandbox: Sandbox,
    *,
    progress: str | None = "verifying",
) -> list[Answer]:
    """Adds the verified claims of each monologue; `runs` gives the run of each answer.

    An answer whose run is None stays unchanged. If a run has no trace (it does not end, or
    cannot be called), the monologue gets no claims.
    """
    traces = trace_runs([run for run in runs if run is not None], sandbox, progress=progress)
    return [
        answer
        if run is None
        else dataclasses.replace(answer, claims=_claims(answer, traces[run], sandbox))
        for answer, run in zip(answers, runs, strict=True)
    ]


def trace_runs(
    runs: Sequence[RunOf], sandbox: Sandbox, *, progress: str | None = "tracing"
) -> dict[RunOf, Trace | None]:
    """Traces each distinct run once."""
    wanted = list(dict.fromkeys(runs))
    jobs = (call_job(program, call, trace=_LIMITS) for program, call in wanted)
    bar = tqdm(total=len(wanted), desc=progress, unit="run", disable=progress is None)
    traces: dict[RunOf, Trace | None] = {}
    with bar:
        for run, result in zip(wanted, sandbox.map(jobs), strict=True):
            traces[run] = result.trace
            bar.update()
    return traces


def _claims(answer: Answer, trace: Trace | None, sandbox: Sandbox):
    if trace is None:
        return ()
    outcomes = example_outcomes(trace, answer.text, sandbox.traces)
    return tuple(verify_trace(trace, answer.text, outcomes))
