"""Renders tables for the terminal: aligned columns, units in the headings."""

from collections.abc import Iterable, Sequence

from data_pipeline.terminal.tables import format_percent, format_table
from semcoder_jax.evaluation.results import EvaluationRun, Reasoning, Score
from semcoder_jax.evaluation.statistics import Comparison

ANSWERED_ONLY = "answered tasks only"


def interval(low: float, high: float) -> str:
    """Formats the bounds of a share as "30.0–90.3 %"."""
    return f"{100 * low:.1f}–{100 * high:.1f} %"


def score_table(runs: Sequence[EvaluationRun]) -> str:
    """Renders one row per score: accuracy, published figure, reasoning."""
    headings = (
        "model", "benchmark", "asked", "mode", "score", "95 % interval", "published", "tasks",
        ANSWERED_ONLY, "right", "no answer", "no wrong step", "right by wrong", "first wrong step",
    )  # fmt: skip
    rows = [_score_cells(run, score) for run in runs for score in run.scores]
    empty = ("", "–")
    kept = [
        column
        for column in range(len(headings))
        if not rows or any(row[column] not in empty for row in rows)
    ]
    if len({run.model for run in runs}) <= 1:
        kept.remove(0)
    return format_table([headings[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _score_cells(run: EvaluationRun, score: Score) -> tuple[str, ...]:
    found = score.estimate
    published = " ".join(
        format_percent(reference.value) for reference in run.references.get(score.benchmark, ())
    )
    unanswered = sum(score.outcomes.get(name, 0) for name in ("no answer", "missing"))
    return (
        run.model,
        score.benchmark,
        score.variant,
        score.mode,
        f"{format_percent(found.value)}" + ("" if score.k == 1 else f" @{score.k}"),
        interval(found.low, found.high),
        published or "–",
        f"{found.tasks:,}",
        answered_cell(score),
        f"{score.right:,}/{score.samples:,}",
        f"{unanswered:,}",
        *reasoning_cells(score.reasoning),
    )


def answered_cell(score: Score) -> str:
    """Formats the score of the tasks that have a generation; "" if all have one."""
    found = score.answered
    return "" if found is None else f"{format_percent(found.value)} of {found.tasks:,}"


def reasoning_cells(reasoning: Reasoning | None) -> tuple[str, str, str]:
    """Returns (share without a wrong step, right answers after a wrong step, first wrong steps by
    kind), or dashes if no monologue was verified."""
    if reasoning is None:
        return "–", "–", "–"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in reasoning.first_wrong.items())
    return (
        format_percent(reasoning.sound / reasoning.monologues),
        f"{reasoning.right_by_wrong:,}/{reasoning.monologues:,}",
        kinds or "–",
    )


def comparison_table(rows: Iterable[tuple[Sequence[str], Comparison]]) -> str:
    """Renders one row per comparison; each comes with its (benchmark, variant, mode)."""
    headings = (
        "benchmark", "asked", "mode", "tasks", "A", "B", "B − A", "95 % interval", "only A",
        "only B", "McNemar p", "says",
    )  # fmt: skip
    return format_table(
        headings,
        [
            (
                *names,
                found.tasks,
                format_percent(found.a),
                format_percent(found.b),
                f"{100 * found.difference:+.1f} %",
                f"{100 * found.low:+.1f}…{100 * found.high:+.1f} %",
                found.only_a,
                found.only_b,
                f"{found.p_value:.4f}" if found.p_value >= 0.0001 else "<0.0001",
                ("B is better" if found.difference > 0 else "A is better")
                if found.differ
                else "no difference shown",
            )
            for names, found in rows
        ],
    )
