"""The report as one HTML page that needs nothing else: no network, no other file.

    python -m semcoder_jax.report_page RESULT.json [RESULT.json ...] --output=report.html

Scores stand in the page as they are; the generations are packed (gzip, base64) in blocks that a
small script of the page unpacks one at a time, so tens of thousands of them open at once. Nothing
that a model wrote is ever markup: here it is escaped, there it is set as text.
"""

import argparse
import base64
import gzip
import html
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import FileError, write_text
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from semcoder_jax.evaluation.report import interval, percent, reasoning_cells
from semcoder_jax.evaluation.results import Answer, ResultError, Run, Score, read_runs

BLOCK = 100  # generations packed together
_HERE = Path(__file__).parent


def page(runs: Sequence[Run], *, title: str = "Evaluation") -> str:
    """The page of ``runs``, of one model or of several."""
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    answers = [(run, answer) for run in runs for answer in run.answers]
    models = list(dict.fromkeys(run.model for run in runs))
    counted = f"{len(answers):,} generations judged"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Even a mistake of ours could not fetch or send anything.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">",
        f"<title>{_text(title)}</title><style>{css}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        f'<p class="lead">{_text(", ".join(models))} · {counted}</p>',
        "<h2>Scores</h2>",
        _score_table(runs),
        *_notes(runs),
        "<h2>Generations</h2>",
        '<div id="browser"><div class="panel"><div id="filters">',
        '<input id="query" type="search" placeholder="Task or answer" aria-label="Search">',
        '<div id="groups" style="display:grid;gap:7px"></div></div><div id="count"></div>',
        '<div id="list" role="listbox" tabindex="0" aria-label="Generations"></div></div>',
        '<div id="detail" class="panel" tabindex="0"></div></div>',
        "<noscript><p>The generations need the page's script.</p></noscript>",
        f'<script type="application/json" id="index">{_script_json(_index(answers))}</script>',
        *_blocks(answer for _, answer in answers),
        f"<script>{script}</script></body></html>",
    ]
    return "\n".join(parts)


def _text(value: str) -> str:
    return html.escape(value).encode("utf-8", "backslashreplace").decode()


# ==== Scores


def _score_table(runs: Sequence[Run]) -> str:
    several = len({run.model for run in runs}) > 1
    headings = [("Model", "")] if several else []
    headings += [
        ("Benchmark", ""),
        ("Asked", ""),
        ("Mode", ""),
        ("Score", "n"),
        ("95 % interval", "n"),
        (
            '<span class="scale"><span>0</span><span>50</span><span>100 %</span></span>',
            "strip-head",
        ),
        ("Published", ""),
        ("Tasks", "n"),
        ("Right", "n"),
        ("No wrong step", "n"),
        ("Right by wrong<br>reasoning", "n"),
        ("First wrong step", ""),
    ]
    rows = [_score_row(run, score, several) for run in runs for score in run.scores]
    head = "".join(f'<th class="{style}">{text}</th>' for text, style in headings)
    return (
        f'<div class="scroll"><table id="scores"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _score_row(run: Run, score: Score, several: bool) -> str:
    value, low, high = (score.estimate.value, score.estimate.low, score.estimate.high)
    references = run.references.get(score.benchmark, ())
    marks = "".join(
        f'<i class="mark" style="left:{100 * reference.value:.2f}%" '
        f'title="{_text(reference.name)}: {percent(reference.value)}"></i>'
        for reference in references
    )
    strip = (
        f'<div class="strip"><i class="track"></i><i class="span" style="left:{100 * low:.2f}%;'
        f'width:{100 * (high - low):.2f}%"></i>{marks}'
        f'<i class="dot" style="left:{100 * value:.2f}%"></i></div>'
    )
    published = "<br>".join(
        f"{percent(reference.value)}<span class=under>{_text(reference.name)}</span>"
        for reference in references
    )
    sound, right_by_wrong, first_wrong = map(_text, reasoning_cells(score.reasoning))
    pass_k = "" if score.k == 1 else f"<span class=under>pass@{score.k}</span>"
    cells = [(_text(run.model), "")] if several else []
    cells += [
        (_text(score.benchmark), ""),
        (_text(score.variant), ""),
        (_text(score.mode), ""),
        (f"<b>{percent(value)}</b>{pass_k}", "n"),
        (_text(interval(low, high)), "n"),
        (strip, ""),
        (published or "–", ""),
        (f"{score.estimate.tasks:,}", "n"),
        (f"{score.right:,} / {score.samples:,}", "n"),
        (sound, "n"),
        (right_by_wrong, "n"),
        (first_wrong, ""),
    ]
    return "<tr>" + "".join(f'<td class="{style}">{text}</td>' for text, style in cells) + "</tr>"


def _notes(runs: Sequence[Run]) -> Iterable[str]:
    yield (
        '<p class="note">The bar is the 95 % interval (bootstrap over tasks)'
        '; <i class="key"></i> a published figure. A missing or malformed answer is a wrong one. '
        "<b>compat</b> asks and scores as upstream does, <b>fixed</b> asks and scores the same "
        "question correctly.</p>"
    )
    sources = {
        f"{reference.name}: {reference.source}"
        for run in runs
        for references in run.references.values()
        for reference in references
    }
    for source in sorted(sources):
        yield f'<p class="note">{_text(source)}</p>'
    for run in runs:
        for note in run.notes:
            yield f'<p class="note">{_text(run.name)}: {_text(note)}</p>'


# ==== Generations


def _index(answers: Sequence[tuple[Run, Answer]]) -> dict[str, Any]:
    """What the list and its filters need, a short row each; names are numbered."""
    columns = {
        "model": [run.model for run, _ in answers],
        "benchmark": [answer.benchmark for _, answer in answers],
        "variant": [answer.variant for _, answer in answers],
        "mode": [answer.mode for _, answer in answers],
        "outcome": [answer.outcome for _, answer in answers],
    }
    fields = {name: list(dict.fromkeys(column)) for name, column in columns.items()}
    numbers = {name: {value: i for i, value in enumerate(fields[name])} for name in fields}
    rows = []
    for i, (_, answer) in enumerate(answers):
        wrong = answer.first_wrong_step
        rows.append(
            [
                *(numbers[name][columns[name][i]] for name in columns),
                answer.task,
                answer.sample,
                _step(answer),
                wrong.kind if wrong else "",
                (answer.answer or "")[:80],
            ]
        )
    return {"fields": fields, "rows": rows, "block": BLOCK}


def _step(answer: Answer) -> int:
    """Place in the script's STEPS."""
    if answer.claims is None:
        return 0
    if answer.sound:
        return 1
    if answer.first_wrong_step is not None:
        return 2
    checked = any(claim.verdict in (CONFIRMED, CONTRADICTED) for claim in answer.claims)
    return 4 if checked and answer.finish_reason == "length" else 3


def _blocks(answers: Iterable[Answer]) -> Iterable[str]:
    bodies = [
        {
            "question": answer.question,
            "expected": answer.expected,
            "answer": answer.answer,
            "detail": answer.detail,
            "text": answer.text,
            "claims": [[c.line, c.kind, c.text, c.verdict, c.truth] for c in answer.claims or ()],
        }
        for answer in answers
    ]
    for start in range(0, len(bodies), BLOCK):
        content = json.dumps(bodies[start : start + BLOCK]).encode()
        packed = base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
        yield f'<script type="text/plain" id="block-{start // BLOCK}">{packed}</script>'


def _script_json(value: Any) -> str:
    """JSON that cannot end the element it stands in, nor open a comment."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


# ==== Command


class _UsageError(ValueError):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise _UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake in one line."""
    parser = _Parser(
        prog="python -m semcoder_jax.report_page",
        description=__doc__.split("\n")[0],
        allow_abbrev=False,
    )
    parser.add_argument("results", nargs="+", help="JSON files of evaluate")
    parser.add_argument("--output", required=True, help="HTML file")
    parser.add_argument("--title", default="Evaluation")
    try:
        args = parser.parse_args(argv)
        runs = [run for path in args.results for run in read_runs(path)]
        write_text(args.output, page(runs, title=args.title) + "\n", errors="backslashreplace")
    except (_UsageError, ResultError, FileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
