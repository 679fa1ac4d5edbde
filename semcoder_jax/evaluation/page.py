"""Renders the report as one self-contained HTML page; it needs no network and no other file.

    python -m semcoder_jax.evaluation.page RESULT.json [RESULT.json ...] --output=report.html

The generations are packed (gzip, base64) in blocks that a small script unpacks one at a time, so
a page with tens of thousands of them opens fast. Model text never becomes markup: the template
escapes it, and the script inserts it as text.
"""

import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import check_output, is_page, path_text, write_text
from data_pipeline.pages.rendering import render_page
from data_pipeline.terminal.command_line import CommandParser, run_command
from data_pipeline.terminal.tables import format_percent
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts
from semcoder_jax.evaluation.report import answered_cell, interval, reasoning_cells
from semcoder_jax.evaluation.results import Answer, EvaluationRun, read_runs

BLOCK = 100  # generations packed together
_NAME = 40  # characters of a model in the table of scores
_TEMPLATE = Path(__file__).with_name("page.html.j2")


def page(runs: Sequence[EvaluationRun], *, title: str = "Evaluation") -> str:
    """Renders the page of `runs`, from one model or several."""
    answers = [(run, answer) for run in runs for answer in run.answers]
    return render_page(
        _TEMPLATE,
        title=title,
        models=list(dict.fromkeys(run.model for run in runs)),
        runs=runs,
        notes=list(_notes(runs)),
        generations=Counter(answer.mode for _, answer in answers),
        index=_index(answers),
        blocks=list(_blocks(answer for _, answer in answers)),
        answered_cell=answered_cell,
        interval=interval,
        percent=format_percent,
        reasoning_cells=reasoning_cells,
        tail=_tail,
    )


def _tail(text: str) -> str:
    """Returns the end of a long path, which tells models apart; the heading has it whole."""
    return text if len(text) <= _NAME else f"…{text[1 - _NAME :]}"


def _notes(runs: Sequence[EvaluationRun]) -> Iterable[str]:
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


def _index(answers: Sequence[tuple[EvaluationRun, Answer]]) -> dict[str, Any]:
    """Returns short rows for the list and its filters; names are replaced by indices."""
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
    """Returns the index in the script's STEPS."""
    if answer.claims is None:
        return 0
    if answer.sound:
        return 1
    if answer.first_wrong_step is not None:
        return 2
    checked = any(claim.verdict in (CONFIRMED, CONTRADICTED) for claim in answer.claims)
    return 4 if checked and answer.finish_reason == "length" else 3


def _blocks(answers: Iterable[Answer]) -> Iterable[str]:
    """Yields packed generations, BLOCK at a time."""
    bodies = [
        {
            "question": answer.question,
            "expected": answer.expected,
            "answer": answer.answer,
            "detail": answer.detail,
            "text": answer.text,
            "claims": [[c.line, c.kind, c.text, c.verdict, c.truth] for c in answer.claims or ()],
            "marks": list(line_verdicts(answer.claims or ()).items()),
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
    parser.add_argument("results", nargs="+", type=path_text, help="JSON files of evaluate")
    parser.add_argument("--output", required=True, type=path_text, help="HTML file")
    parser.add_argument("--title", default="Evaluation")
    args = parser.parse_args(arguments)
    check_output("--output", args.output, is_page)
    runs = [run for path in args.results for run in read_runs(path)]
    write_text(args.output, page(runs, title=args.title) + "\n", errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
