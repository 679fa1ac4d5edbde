"""The report as one HTML page that needs nothing else: no network, no other file.

    python -m semcoder_jax.evaluation.page RESULT.json [RESULT.json ...] --output=report.html

Scores stand in the page as they are; the generations are packed (gzip, base64) in blocks that a
small script of the page unpacks one at a time, so tens of thousands of them open at once. Nothing
that a model wrote is ever markup: the template escapes it, the script sets it as text.
"""

import base64
import gzip
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from data_pipeline.pages.rendering import render_page
from data_pipeline.terminal.command_line import CommandParser, run_command
from data_pipeline.terminal.tables import format_percent
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from semcoder_jax.evaluation.report import interval, reasoning_cells
from semcoder_jax.evaluation.results import Answer, Run, read_runs

BLOCK = 100  # generations packed together
_TEMPLATE = Path(__file__).with_name("page.html.j2")


def page(runs: Sequence[Run], *, title: str = "Evaluation") -> str:
    """The page of `runs`, of one model or of several."""
    answers = [(run, answer) for run in runs for answer in run.answers]
    return render_page(
        _TEMPLATE,
        title=title,
        models=list(dict.fromkeys(run.model for run in runs)),
        runs=runs,
        notes=list(_notes(runs)),
        generations=len(answers),
        index=_index(answers),
        blocks=list(_blocks(answer for _, answer in answers)),
        interval=interval,
        percent=format_percent,
        reasoning_cells=reasoning_cells,
    )


def _notes(runs: Sequence[Run]) -> Iterable[str]:
    yield from sorted(
        {
            f"{reference.name}: {reference.source}"
            for run in runs
            for references in run.references.values()
            for reference in references
        }
    )
    for run in runs:
        yield from (f"{run.name}: {note}" for note in run.notes)


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
    """Packed generations, BLOCK at a time."""
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
        yield base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


# ==== Command


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> None:
    parser = CommandParser(prog="python -m semcoder_jax.evaluation.page", description=__doc__)
    parser.add_argument("results", nargs="+", help="JSON files of evaluate")
    parser.add_argument("--output", required=True, help="HTML file")
    parser.add_argument("--title", default="Evaluation")
    args = parser.parse_args(arguments)
    runs = [run for path in args.results for run in read_runs(path)]
    write_text(args.output, page(runs, title=args.title) + "\n", errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
