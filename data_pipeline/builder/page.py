"""The report as one HTML page that needs nothing beside it."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from data_pipeline.builder.charts import bar, histogram
from data_pipeline.builder.report import KIND_TITLES, REFUSALS, Report, facts, kind_rows
from data_pipeline.builder.tally import quantile
from data_pipeline.files import write_text
from data_pipeline.pyx.records import KINDS
from data_pipeline.terminal.tables import percent

_REASONS = 15  # shown of each kind of refusal
_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def write_page(report: Report, path: Path) -> None:
    write_text(path, page(report), durable=True)


def page(report: Report) -> str:
    """The whole page. Texts out of programs are escaped; nothing is fetched."""
    sources = ", ".join(Path(source).name for source in report.options["sources"])
    parts = [
        f"<h1>PyX from {escape(sources)}</h1>",
        f'<p class="lead">{report.records:,} records, each run again before it was written</p>',
        _tiles(report),
        "<h2>Records</h2>",
        _records(report),
        f"<h2>Lengths of prompt and response, in {report.unit}</h2>",
        _histograms(report),
        "<h2>Coverage</h2>",
        _coverage(report),
        "<h2>What was not taken</h2>",
        *_refusals(report),
        "<h2>Duplicates and benchmark overlap</h2>",
        _removed(report),
        "<h2>Dead letters</h2>",
        _dead(report),
        "<h2>Examples</h2>",
        *_examples(report),
        "<h2>How it was made</h2>",
        _table(("option", "value"), _option_rows(report.options)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>PyX from {escape(sources)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _tiles(report: Report) -> str:
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts(report)
        if name != "written to"  # a page is handed on, a machine's folders are not
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _records(report: Report) -> str:
    unit = report.unit
    headings = ("kind", "train", "held out", f"median {unit}", f"99 % {unit}", f"longest {unit}")
    return _table(headings, kind_rows(report))


def _histograms(report: Report) -> str:
    figures = []
    for kind in KINDS:
        lengths = report.tally.lengths.get(kind, Counter())
        if not lengths:
            continue
        marks = {"median": quantile(lengths, 0.5), "99 %": quantile(lengths, 0.99)}
        figures.append(
            f"<figure><figcaption>{KIND_TITLES[kind]}, {lengths.total():,} records</figcaption>"
            f"{histogram(lengths, report.unit, marks)}</figure>"
        )
    return f'<div class="figures">{"".join(figures)}</div>'


def _coverage(report: Report) -> str:
    counts = report.tally.get("coverage")
    rows = []
    for what in ("lines", "branches"):
        for reached, title in (("kept", "kept runs"), ("seen", "any run")):
            number, total = counts[f"{what}_{reached}"], counts[what]
            share = number / total if total else 0.0
            rows.append((f"{what}, by {title}", number, total, _Html(bar(share)), percent(share)))
    return _table(("reached", "number", "of", "", "share"), rows)


def _refusals(report: Report) -> Iterable[str]:
    for group, title in REFUSALS.items():
        counts = report.tally.get(group)
        if not counts or group == "dead letters":
            continue
        total, highest = counts.total(), max(counts.values())
        rows = [
            (name, number, _Html(bar(number / highest)), percent(number / total))
            for name, number in counts.most_common(_REASONS)
        ]
        more = len(counts) - len(rows)
        note = f'<p class="note">{more:,} more reasons, in report.json.</p>' if more > 0 else ""
        yield (
            f"<details open><summary>{title}: {total:,}</summary>"
            f"{_table(('reason', 'number', '', 'share'), rows)}{note}</details>"
        )


def _removed(report: Report) -> str:
    note = (
        ""
        if report.options["benchmarks"]
        else '<p class="note">Not compared with benchmarks: --benchmarks=DIR was not given.</p>'
    )
    total = report.tally.get("functions removed").total()
    if not total:
        return note + '<p class="note">None removed.</p>'
    rows = [
        (row["name"], row["origin"], row["reason"], row["matched"], f"{row['similarity']:.2f}")
        for row in report.removed
    ]
    more = _more(len(rows), total, "removed.jsonl")
    return note + _table(("function", "from", "reason", "repeats", "similarity"), rows) + more


def _dead(report: Report) -> str:
    total = report.tally.get("dead letters").total()
    if not total:
        return '<p class="note">None: everything that was read could be worked on.</p>'
    rows = [(row["stage"], row["item"], row["origin"], row["reason"]) for row in report.dead]
    more = _more(len(rows), total, "dead_letters.jsonl")
    return _table(("stage", "item", "from", "reason"), rows) + more


def _more(shown: int, total: int, name: str) -> str:
    return f'<p class="note">{shown:,} of {total:,}; all in {name}.</p>' if shown < total else ""


def _examples(report: Report) -> Iterable[str]:
    for kind in KINDS:
        for _, row in report.tally.examples.get(kind, ())[:1]:
            yield (
                f"<details><summary>{KIND_TITLES[kind]}: {escape(row['id'])}"
                f'<span class="soft"> from {escape(row["origin"])}</span></summary>'
                f'<div class="example"><pre>{escape(row[kind])}</pre>'
                f"<pre>{escape(row['response'])}</pre></div></details>"
            )


def _option_rows(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Paths by their last part only, see _tiles."""
    shown = dict(options)
    for name in ("sources", "benchmarks"):
        shown[name] = [Path(value).name for value in options[name]]
    if options["tokenizer"]:
        shown["tokenizer"] = Path(options["tokenizer"]).name
    return [(name, json.dumps(value)) for name, value in shown.items()]


class _Html(str):
    """Text that is HTML already."""


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    rows = list(rows)
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(headings))]
    head = "".join(
        f"<th{_class(number)}>{escape(heading)}</th>"
        for heading, number in zip(headings, right, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row, right))}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(value: Any, right: bool) -> str:
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td{_class(right)}>{shown if isinstance(value, _Html) else escape(shown)}</td>"


def _class(right: bool) -> str:
    return ' class="n"' if right else ""


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return True
    text = str(value)
    return text == "–" or text.removesuffix(" %").replace(".", "").replace(",", "").isdigit()
