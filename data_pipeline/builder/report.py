"""Holds the results of a build: a table for the terminal, and the same figures as JSON."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.tally import Tally, quantile
from data_pipeline.builder.workers import Worker, describe_workers
from data_pipeline.pyx.records import KINDS
from data_pipeline.terminal.tables import format_percent, format_table, rank_counts

KIND_TITLES = {
    "nl": "description → code",
    "fwd_mnl": "forward monologue",
    "bwd_mnl": "backward monologue",
    "fault": "debug and refine (PyX-R)",
}
REFUSALS = {
    "functions refused": "functions that are no seed",
    "functions removed": "functions that repeat a benchmark or another function",
    "runs refused": "runs not kept",
    "monologues refused": "monologues not written",
    "answers refused": "a teacher's answers not kept",
    "faults refused": "faulty variants not kept",
    "records refused": "records not kept",
    "dead letters": "dead letters, by stage",
}


@dataclass(frozen=True)
class Report:
    """Holds the results of a build.

    Args:
      output: the build's folder.
      fingerprint: hash of everything that decided the records.
      options: BuildOptions as a dict.
      tally: counts, lengths and examples.
      seconds: wall time by stage, in the session that finished the build.
      reused: functions whose rows an earlier session made.
      removed, dead: the first rows of removed.jsonl and dead_letters.jsonl.
      function_fingerprint: name of the fingerprint that identifies functions.
      workers: machines that ran programs: {"host", "tier", "weakness"}, see `workers.Worker`.
    """

    output: str
    fingerprint: str
    options: dict[str, Any]
    tally: Tally
    seconds: dict[str, float]
    reused: int
    removed: list[dict[str, Any]] = field(default_factory=list)
    dead: list[dict[str, Any]] = field(default_factory=list)
    function_fingerprint: str | None = None
    workers: list[dict[str, str]] = field(default_factory=list)

    @property
    def records(self) -> int:
        return self.tally.get("records").total()

    @property
    def unit(self) -> str:
        """Returns the unit of lengths."""
        return "tokens" if self.options["tokenizer"] else "characters"

    def of_kind(self, kind: str, split: str | None = None) -> int:
        """Counts the records of a kind, in one split or all."""
        records = self.tally.get("records")
        return sum(records[f"{kind}/{name}"] for name in ((split,) if split else (TRAIN, EVAL)))

    def to_json(self) -> str:
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(row | {"tally": json.loads(self.tally.to_json())}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Report":
        row = json.loads(text)
        return cls(**row | {"tally": Tally.from_json(json.dumps(row["tally"]))})


def kind_rows(report: Report) -> list[tuple[Any, ...]]:
    """Returns (kind, train, eval, median, 99th percentile, longest) for each kind and for all."""
    rows: list[tuple[Any, ...]] = []
    everything: Counter[int] = Counter()
    for kind in KINDS:
        lengths = report.tally.lengths.get(kind, Counter())
        everything += lengths
        rows.append((KIND_TITLES[kind], *_numbers(report, kind), *_lengths(lengths)))
    totals = [sum(column) for column in zip(*(row[1:3] for row in rows), strict=True)]
    return [*rows, ("all", *totals, *_lengths(everything))]


def _numbers(report: Report, kind: str) -> tuple[int, int]:
    return report.of_kind(kind, TRAIN), report.of_kind(kind, EVAL)


def _lengths(lengths: Counter[int]) -> tuple[Any, ...]:
    if not lengths:
        return "–", "–", "–"
    return quantile(lengths, 0.5), quantile(lengths, 0.99), max(lengths)


def summary(report: Report) -> str:
    """Returns the report as text for the terminal."""
    unit = report.unit
    kinds = format_table(
        ("records", "train", "held out", f"median {unit}", f"99 % {unit}", f"longest {unit}"),
        kind_rows(report),
    )
    refusals = []
    for group, title in REFUSALS.items():
        counts = report.tally.get(group)
        if counts:
            reasons = [f"{_short(name)} {number:,}" for name, number in rank_counts(counts, 3)]
            if len(counts) > 3:
                reasons.append(f"{len(counts) - 3} more reasons")
            refusals.append((title, counts.total(), ", ".join(reasons)))
    width = max(len(name) for name, _ in facts(report))
    lines = [f"{name:<{width}}  {value}" for name, value in facts(report)]
    parts = [kinds, format_table(("not taken", "number", "reasons"), refusals), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def _short(reason: str, characters: int = 36) -> str:
    return reason if len(reason) <= characters else f"{reason[: characters - 1]}…"


def facts(report: Report) -> list[tuple[str, str]]:
    """Returns (name, value) of the single figures of a build."""
    tally = report.tally
    functions, claims = tally.get("functions"), tally.get("claims")
    seconds = sum(report.seconds.values())
    found = [
        ("files read", f"{tally.get('sources')['files']:,}"),
        ("functions", f"{functions['found']:,}, {functions['with records']:,} of them told"),
        ("lines reached", coverage(tally, "lines")),
        ("branches reached", coverage(tally, "branches")),
        ("inputs that keep to annotations", lawful_inputs(tally)),
        ("distinct paths", distinct_paths(tally)),
        ("discarded tries", discarded_tries(tally)),
        (
            "claims checked",
            f"{claims['confirmed']:,} confirmed, {claims['not_checkable']:,} not checkable, "
            f"{claims['contradicted']:,} contradicted",
        ),
        (
            "held out",
            f"{tally.get('held out')['functions and classes']:,} functions and classes; "
            f"held-out functions that share a whole function with training: "
            f"{tally.get('held out')['shared with training']:,}",
        ),
        ("sandbox", describe_workers([Worker(**row) for row in report.workers]) or "–"),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    if (made := functions["found"] - report.reused) and (spent := report.seconds.get("rows")):
        share = report.records * made / functions["found"]
        found.append(("speed", f"{made / spent:,.1f} functions/s, {share / spent:,.1f} records/s"))
    if report.reused:
        found.append(("kept", f"{report.reused:,} functions of an earlier session"))
    if teacher := report.options["teacher"]:
        usage = tally.get("teacher")
        price_in, price_out = teacher["prices"]
        tokens_in, tokens_out = usage["prompt tokens"], usage["completion tokens"]
        cost = (tokens_in * price_in + tokens_out * price_out) / 1e6
        found.append(
            (
                "teacher",
                f"{usage['monologues kept']:,} of {usage['monologues asked']:,} monologues kept, "
                f"{usage['requests']:,} requests, {tokens_in:,} tokens in, {tokens_out:,} out, "
                f"cost {cost:,.2f}",
            )
        )
    if not report.options["benchmarks"]:
        found.append(("benchmarks", "not compared: --benchmarks=DIR was not given"))
    return [*found, ("written to", report.output)]


def coverage(tally: Tally, what: str) -> str:
    """Returns the share of all lines or branches reached by kept runs, and by any run."""
    counts = tally.get("coverage")
    if not counts[what]:
        return "–"
    kept, seen = counts[f"{what}_kept"], counts[f"{what}_seen"]
    return (
        f"{format_percent(kept / counts[what])} of {counts[what]:,} by the kept runs, "
        f"{format_percent(seen / counts[what])} by any"
    )


def lawful_inputs(tally: Tally) -> str:
    """Returns the share of the kept runs of annotated functions whose inputs keep to them."""
    counts = tally.get("inputs")
    total = counts["of annotated functions"]
    if not total:
        return "–"
    lawful = counts["that keep to annotations"]
    return f"{format_percent(lawful / total)} of {total:,} runs of annotated functions"


def distinct_paths(tally: Tally) -> str:
    """Returns the mean number of paths and of runs of the functions that have runs."""
    functions = tally.get("tries")["functions with kept runs"]
    if not functions:
        return "–"
    paths, runs = tally.get("inputs")["paths"], tally.get("runs")["kept"]
    return f"{paths / functions:.1f} a function, of {runs / functions:.1f} kept runs"


def discarded_tries(tally: Tally) -> str:
    """Returns the number of runs thrown away, and the functions with most of them."""
    tries = tally.get("tries")
    if not tries["discarded"]:
        return "–"
    most = ", ".join(f"{name} {number:,} (kept {kept:,})" for number, name, kept in tally.hardest)
    functions = tries["functions with discarded runs"]
    return f"{tries['discarded']:,} in {functions:,} functions; most: {most}"
