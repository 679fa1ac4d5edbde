"""Runs a sample of a built dataset again and compares the results with the records.

Reads programs, calls and values from prompts and responses. Each run gets its own process and a
different hash seed than in the build. The steps of forward monologues are verified against new
traces, and the traces of all rows that tell of a run are compared with a second recorder that
shares nothing with the tracer, so that a fault of the tracer cannot hide from it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from data_pipeline.builder.expectations import (
    Expectation,
    RefutedRecordError,
    expectations,
    recheck_all,
)
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.second_opinion import first_difference, second_record_job
from data_pipeline.execution.service import (
    Limits,
    Sandbox,
    Setup,
    TraceLimits,
    call_job,
)
from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.records import KINDS, Record
from data_pipeline.terminal.tables import format_table
from data_pipeline.verify import CONTRADICTED, verify_trace

_TRACE = TraceLimits(max_lines=20_000)  # more than any narrated run
_SECOND = Limits(cpu_seconds=20.0, wall_seconds=60.0)  # hooks are slower than the tracer
_TELLS_NO_RUN = ("nl",)


@dataclass
class Recheck:
    """Counts results.

    `held` and `refuted` count records by kind, `claims` counts verdicts on the steps of forward
    monologues, `traces` counts traces that the second recorder confirmed ("equal"), contradicted
    ("different") or could not follow ("not compared"), and `wrong` lists (id, reason).
    """

    held: Counter[str] = field(default_factory=Counter)
    refuted: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)
    traces: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def recheck(
    data_dir: str, *, sample: int = 1000, hash_seed: int = 1, progress: bool = True
) -> Recheck:
    """Runs `sample` records of all splits again, or all if there are fewer.

    `hash_seed` decides the choice of records and is the hash seed of the interpreters. Raises
    PyxError and SandboxUnavailable.
    """
    found = Recheck()
    with Sandbox(setup=Setup(hash_seed=hash_seed)) as sandbox:
        chosen = list(_sample(data_dir, sample, hash_seed))
        bar = tqdm(total=len(chosen), desc="recheck", unit="record", disable=not progress)
        for batch in (chosen[i : i + 50] for i in range(0, len(chosen), 50)):
            verdicts = recheck_all(batch, sandbox, alone=True)
            traced = faults_of_told_runs(batch, sandbox, found)
            for record, wrong in zip(batch, verdicts, strict=True):
                wrong = wrong or traced.get(record.id)
                (found.held if wrong is None else found.refuted)[record.kind] += 1
                if wrong is not None:
                    found.wrong.append((record.id, wrong))
            bar.update(len(batch))
        bar.close()
    sandbox.warn_if_weaker()
    return found


def _sample(data_dir: str, size: int, seed: int) -> Iterator[Record]:
    """Yields the `size` records with the lowest hash of their ids."""
    ranked = []
    for split in pyx.splits(data_dir):
        source = pyx.load(data_dir, split)
        for first in range(0, len(source), 1000):
            for i, record in enumerate(source[first : first + 1000], first):
                rank = hashlib.sha256(f"{seed}/{record.id}".encode()).digest()
                ranked.append((rank, split, i))
        ranked = sorted(ranked)[:size]
    for split in pyx.splits(data_dir):
        source = pyx.load(data_dir, split)
        yield from source.__getitems__([i for _, of, i in ranked if of == split])


def faults_of_told_runs(
    records: Sequence[Record], sandbox: Sandbox, found: Recheck
) -> dict[str, str]:
    """Maps ids of records that tell of runs to what is wrong with the trace or the monologue."""
    pairs = list(_told_runs(records))
    traced = sandbox.map(call_job(run.program, run.call, trace=_TRACE) for _, run in pairs)
    seen = sandbox.map(second_record_job(r.program, r.call, limits=_SECOND) for _, r in pairs)
    wrong: dict[str, str] = {}
    for (record, run), result, second in zip(pairs, list(traced), seen, strict=True):
        fault = _trace_fault(result, second, found)
        if fault is None and record.kind == "fwd_mnl":
            fault = _monologue_fault(record, result, found)
        if fault is not None:
            wrong.setdefault(record.id, f"{run.call}: {fault}")
    return wrong


def _told_runs(records: Sequence[Record]) -> Iterator[tuple[Record, Expectation]]:
    for record in records:
        if record.kind not in _TELLS_NO_RUN:
            try:
                runs = expectations(record)
            except RefutedRecordError:
                continue  # counted by recheck_all
            yield from ((record, run) for run in runs)


def _trace_fault(result: Result, second: Result, found: Recheck) -> str | None:
    """Returns the first difference between a trace and the second record of the same run."""
    if result.trace is None or not isinstance(second.outcome, Value):
        found.traces["not compared"] += 1
        return None
    difference = first_difference(result.trace, second.outcome.python())
    found.traces["equal" if difference is None else "different"] += 1
    return None if difference is None else f"the tracer is wrong: {difference}"[:300]


def _monologue_fault(record: Record, result: Result, found: Recheck) -> str | None:
    """Returns the first claim of a forward monologue that its trace contradicts."""
    if result.trace is None:
        return f"no trace: {result.kind}"
    claims = verify_trace(result.trace, record.response)
    found.claims.update(claim.verdict for claim in claims)
    first = next((claim for claim in claims if claim.verdict == CONTRADICTED), None)
    return None if first is None else f"{first.text}; the run: {first.truth}"


def summary(found: Recheck) -> str:
    """Returns the results as a table for the terminal."""
    rows = [
        (kind, found.held[kind], found.refuted[kind])
        for kind in KINDS
        if found.held[kind] + found.refuted[kind]
    ]
    rows.append(("all", found.held.total(), found.refuted.total()))
    claims = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(found.claims.items()))
    traces = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(found.traces.items()))
    lines = [f"{name}: {why}" for name, why in found.wrong[:20]]
    counts = format_table(("records run again", "hold", "do not"), rows)
    notes = [
        f"claims of forward monologues: {claims or 'none'}",
        f"traces beside the second recorder: {traces or 'none'}",
    ]
    return "\n".join([counts, "", *notes, *lines])
