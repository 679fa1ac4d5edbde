"""Renders the report as one self-contained HTML page from page.html.j2."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.builder.charts import Histogram, lay_out_histogram
from data_pipeline.builder.report import KIND_TITLES, REFUSALS, Report, facts, kind_rows
from data_pipeline.builder.tally import quantile
from data_pipeline.files import write_text
from data_pipeline.pages.rendering import render_page
from data_pipeline.pyx.records import KINDS
from data_pipeline.terminal.tables import format_percent, rank_counts

_REASONS = 15  # shown of each kind of refusal
_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Table:
    """Holds a table of text, whole numbers, and shares (float), which are shown as bars."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]

    def numeric_columns(self) -> list[bool]:
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.headings)
        return [bool(column) and all(map(_is_number, column)) for column in columns]


@dataclass(frozen=True)
class Refusals:
    """Holds refusals by reason; `more` reasons are not shown."""

    title: str
    total: int
    table: Table
    more: int


@dataclass(frozen=True)
class TableExcerpt:
    """Holds the first of the `total` rows in `file`."""

    table: Table
    total: int
    file: str


def write_page(report: Report, path: Path) -> None:
    write_text(path, page(report) + "\n", durable=True)


def page(report: Report) -> str:
    """Returns the page. Text from programs is escaped; the page loads no other file."""
    tally, unit = report.tally, report.unit
    sources = ", ".join(Path(source).name for source in report.options["sources"])
    headings = ("kind", "train", "held out", f"median {unit}", f"99 % {unit}", f"longest {unit}")
    return render_page(
        _TEMPLATE,
        title=f"PyX from {sources}",
        report=report,
        # Pages are shared, so they show no local folders.
        facts=[(name, value) for name, value in facts(report) if name != "written to"],
        records=Table(headings, kind_rows(report)),
        histograms=list(_histograms(report)),
        coverage=_coverage_table(report),
        all_refusals=list(_refusals(report)),
        removed=TableExcerpt(
            _removed_table(report), tally.get("functions removed").total(), "removed.jsonl"
        ),
        dead=TableExcerpt(
            _dead_letter_table(report), tally.get("dead letters").total(), "dead_letters.jsonl"
        ),
        examples=list(_examples(report)),
        options=Table(("option", "value"), _option_rows(report.options)),
    )


def _histograms(report: Report) -> Iterator[tuple[str, Histogram]]:
    for kind in KINDS:
        if lengths := report.tally.lengths.get(kind, Counter()):
            marks = {"median": quantile(lengths, 0.5), "99 %": quantile(lengths, 0.99)}
            caption = f"{KIND_TITLES[kind]}, {lengths.total():,} records"
            yield caption, lay_out_histogram(lengths, marks)


def _coverage_table(report: Report) -> Table:
    counts = report.tally.get("coverage")
    rows = []
    for what in ("lines", "branches"):
        for reached, title in (("kept", "kept runs"), ("seen", "any run")):
            number, total = counts[f"{what}_{reached}"], counts[what]
            share = number / total if total else 0.0
            rows.append((f"{what}, by {title}", number, total, share, format_percent(share)))
    return Table(("reached", "number", "of", "", "share"), rows)


def _refusals(report: Report) -> Iterator[Refusals]:
    for group, title in REFUSALS.items():
        counts = report.tally.get(group)
        if not counts or group == "dead letters":
            continue
        total, highest = counts.total(), max(counts.values())
        rows = [
            (name, number, number / highest, format_percent(number / total))
            for name, number in rank_counts(counts, _REASONS)
        ]
        table = Table(("reason", "number", "", "share"), rows)
        yield Refusals(title, total, table, len(counts) - len(rows))


def _removed_table(report: Report) -> Table:
    rows = [
        (row["name"], row["origin"], row["reason"], row["matched"], f"{row['similarity']:.2f}")
        for row in report.removed
    ]
    return Table(("function", "from", "reason", "repeats", "similarity"), rows)


def _dead_letter_table(report: Report) -> Table:
    rows = [(row["stage"], row["item"], row["origin"], row["reason"]) for row in report.dead]
    return Table(("stage", "item", "from", "reason"), rows)


def _examples(report: Report) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields (title, prompt, record), one of each kind."""
    for kind in KINDS:
        for _, row in report.tally.examples.get(kind, ())[:1]:
            yield KIND_TITLES[kind], row[kind], row


def _option_rows(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Lists the options; paths show their last part only, as in `facts`."""
    shown = dict(options)
    for name in ("sources", "benchmarks"):
        shown[name] = [Path(value).name for value in options[name]]
    if options["tokenizer"]:
        shown["tokenizer"] = Path(options["tokenizer"]).name
    return [(name, json.dumps(value)) for name, value in shown.items()]


def _is_number(cell: Any) -> bool:
    if isinstance(cell, int | float):
        return isinstance(cell, int)
    text = str(cell)
    return text == "–" or text.removesuffix(" %").replace(".", "").replace(",", "").isdigit()
