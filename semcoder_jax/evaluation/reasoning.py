"""Monologues held against real runs: each step of each answer, in the sandbox.

A run is a program and a call. Many answers speak of the same one, which is then traced once. Of a
forward monologue it is the call that was asked about; of a backward one the call that the answer
found; of a repair the failing test's, on the program that fails.
"""

import dataclasses
from collections.abc import Sequence

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.tracing import Trace
from data_pipeline.verify import verify_trace
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
    """`answers` with the claims of their monologues, each about the run in its place of `runs`.

    None: nothing was claimed, the answer stays as it is. A run that gives no trace (it does not
    end, or cannot be called) leaves a monologue without a claim that can be checked.
    """
    traces = trace_runs([run for run in runs if run is not None], sandbox, progress=progress)
    return [
        answer if run is None else dataclasses.replace(answer, claims=_claims(answer, traces[run]))
        for answer, run in zip(answers, runs, strict=True)
    ]


def trace_runs(
    runs: Sequence[RunOf], sandbox: Sandbox, *, progress: str | None = "tracing"
) -> dict[RunOf, Trace | None]:
    """Each different run once."""
    wanted = list(dict.fromkeys(runs))
    jobs = (call_job(program, call, trace=_LIMITS) for program, call in wanted)
    bar = tqdm(total=len(wanted), desc=progress, unit="run", disable=progress is None)
    traces: dict[RunOf, Trace | None] = {}
    with bar:
        for run, result in zip(wanted, sandbox.map(jobs), strict=True):
            traces[run] = result.trace
            bar.update()
    return traces


def _claims(answer: Answer, trace: Trace | None):
    return () if trace is None else tuple(verify_trace(trace, answer.text))
