"""Runs a sample of a built dataset again and compares the results with the records.

Reads programs, calls and values from prompts and responses. Each run gets its own process and a
different hash seed than in the build. The steps of forward monologues are verified against new
traces.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from data_pipeline.builder.expectations import RefutedRecordError, expectations, recheck_all
from data_pipeline.execution.service import (
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


@dataclass
class Recheck:
    """Counts results.

    `held` and `refuted` count records by kind, `claims` counts verdicts on the steps of forward
    monologues, and `wrong` lists (id, reason).
    """

    held: Counter[str] = field(default_factory=Counter)
    refuted: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)
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
            verdicts = recheck_all(batch, sandbox)
            traced = _contradictions(batch, sandbox, found)
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


def _contradictions(records: Iterable[Record], sandbox: Sandbox, found: Recheck) -> dict[str, str]:
    """Maps record ids to the first claim that a new trace contradicts, in forward monologues."""
    pairs = []
    for record in records:
        if record.kind == "fwd_mnl":
            try:
                pairs.append((record, expectations(record)[0]))
            except RefutedRecordError:
                continue  # counted by recheck_all
    jobs = (call_job(claim.program, claim.call, trace=_TRACE) for _, claim in pairs)
    wrong = {}
    for (record, _), result in zip(pairs, sandbox.map(jobs), strict=True):
        if result.trace is None:
            wrong[record.id] = f"no trace: {result.kind}"
            continue
        claims = verify_trace(result.trace, record.response)
        found.claims.update(claim.verdict for claim in claims)
        first = next((claim for claim in claims if claim.verdict == CONTRADICTED), None)
        if first is not None:
            wrong[record.id] = f"{first.text}; the run: {first.truth}"
    return wrong


def summary(found: Recheck) -> str:
    """Returns the results as a table for the terminal."""
    rows = [
        (kind, found.held[kind], found.refuted[kind])
        for kind in KINDS
        if found.held[kind] + found.refuted[kind]
    ]
    rows.append(("all", found.held.total(), found.refuted.total()))
    claims = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(found.claims.items()))
    lines = [f"{name}: {why}" for name, why in found.wrong[:20]]
    counts = format_table(("records run again", "hold", "do not"), rows)
    return "\n".join([counts, "", f"claims of forward monologues: {claims or 'none'}", *lines])
