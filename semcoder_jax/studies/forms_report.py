"""Reports the study of forms: tables and figures from its stored answers."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.forms import FORMS
from data_pipeline.terminal.tables import format_percent
from semcoder_jax.config import FormsStudy, RunConfig
from semcoder_jax.evaluation.statistics import Estimate
from semcoder_jax.studies.answering import PROBLEMS
from semcoder_jax.studies.intervals import difference_interval, mean_interval
from semcoder_jax.studies.page import Report, figure_line, markdown_table
from semcoder_jax.studies.plots import Panel, Series, draw
from semcoder_jax.studies.stored import check_complete, read_object, read_stored_rows
from semcoder_jax.studies.trainings import curve_steps

ANSWERS = "answers"
TEXTS = "texts.json"
_FIELDS = (
    "form", "seed", "step", "tokens_seen", "id", "level", "steps", "right", "tokens",
    "finish_reason", "checked", "contradicted",
)  # fmt: skip
_LEAST_IN_BIN = 30  # problems
_TASKS = {"forward": "monologue", "backward": "backward_monologue"}  # task -> form of interest


def curve_ids(problems: Iterable[Mapping[str, Any]], of_each_level: int) -> list[str]:
    """Returns the ids of the first problems of each level: those that learning curves ask."""
    by_level: dict[str, list[str]] = {}
    for problem in problems:
        by_level.setdefault(problem["level"], []).append(problem["id"])
    return [id for ids in by_level.values() for id in ids[:of_each_level]]


@dataclasses.dataclass(frozen=True)
class _Answers:
    """Answers of the last step, and those of the learning curves, in the order of the problems."""

    forms: Sequence[str]
    seeds: int
    levels: Sequence[str]
    last: Sequence[Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    texts: Mapping[str, Any]
    outputs: Mapping[str, str]  # of the problems, by id

    @classmethod
    def read(cls, study: FormsStudy, steps: Sequence[int], workdir: Path) -> "_Answers":
        outputs = {
            row["id"]: row["output"]
            for row in read_stored_rows(workdir / PROBLEMS, ("id", "output"), least=1)
        }
        rows = [
            row
            for form in study.forms
            for seed in range(study.seeds)
            for row in _read_answers(
                study, steps, workdir / ANSWERS / f"{form}-{seed}.jsonl", list(outputs)
            )
        ]
        last = [row for row in rows if row["step"] == steps[-1]]
        first = [row for row in last if (row["form"], row["seed"]) == (study.forms[0], 0)]
        asked = set(curve_ids(first, study.curve_problems))
        return cls(
            study.forms,
            study.seeds,
            list(dict.fromkeys(row["level"] for row in first)),
            last,
            [row for row in rows if row["id"] in asked],
            read_object(workdir / TEXTS, study.forms),
            outputs,
        )

    def of(self, form: str, level: str | None = None) -> list[Mapping[str, Any]]:
        """Returns the last answers of a form, of one level or of all."""
        return [row for row in self.last if row["form"] == form and level in (None, row["level"])]

    def table(self, form: str, level: str | None = None, field: str = "right") -> np.ndarray:
        """Returns a field of the last answers, seeds by problems."""
        values = [row[field] for row in self.of(form, level)]
        return np.array(values, np.float64).reshape(self.seeds, -1)

    def tokens_seen(self, form: str) -> float:
        """Returns the tokens that a training of this form has seen, mean over seeds."""
        return float(np.mean([row["tokens_seen"] for row in self.of(form)]))

    def tokens_learnt(self, form: str) -> float:
        """Returns the tokens seen that belong to responses: the loss is on those alone."""
        share = self.texts[form]["response_tokens"] / self.record_tokens(form)
        return self.tokens_seen(form) * share

    def record_tokens(self, form: str) -> float:
        """Returns the tokens of one training record, prompt and response."""
        return self.texts[form]["prompt_tokens"] + self.texts[form]["response_tokens"]

    def forms_of(self, task: str) -> list[str]:
        return [form for form in self.forms if FORMS[form].task == task]


def _read_answers(
    study: FormsStudy, steps: Sequence[int], path: Path, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the answers of a form and seed. Raises StoredError if some are missing."""
    rows = read_stored_rows(path, _FIELDS)
    last = [row for row in rows if row["step"] == steps[-1]]
    check_complete(path, [row["id"] for row in last], ids, "answers at the end of training")
    asked = curve_ids(last, study.curve_problems)
    for step in steps[:-1]:
        found = [row["id"] for row in rows if row["step"] == step]
        check_complete(path, found, asked, f"answers after step {step}")
    return rows


def report(study: FormsStudy, recipe: RunConfig, workdir: Path) -> Report:
    """Returns the report of the stored answers."""
    steps = curve_steps(recipe.train.num_steps or 0, study.curve_points)
    answers = _Answers.read(study, steps, workdir)
    sections = (
        ("What is compared", _comparison(study, recipe, answers)),
        ("Right answers", _accuracy(answers)),
        ("Differences", _differences(answers)),
        ("Tokens of an answer", _lengths(answers)),
        ("Contradicted steps", _contradictions(answers)),
        ("Learning curves", _curves(answers)),
        ("Accuracy against executed steps", _by_steps(answers)),
        ("Equal tokens and equal records", _equal_records(answers)),
    )
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections)
    return Report("Forms of a response", body, _figures(answers))


# ==== Sections


def _comparison(study: FormsStudy, recipe: RunConfig, answers: _Answers) -> str:
    data, steps = recipe.data, recipe.train.num_steps
    source = "synthetic functions" if data.source == "synthetic" else "functions of real packages"
    levels = ", ".join(_describe_level(answers, level) for level in answers.levels)
    text = (
        f"Only the form of the response differs. Every form is trained with {_seed_count(study)} "
        f"(initialization and order) on the same functions and calls ({source}), for {steps:,} "
        f"steps of {data.global_batch_size} × {data.sequence_length} tokens, with the same model, "
        "optimizer and schedule, and asked greedily in its own form about held-out functions "
        f"({levels}). A forward answer is right if it is the value that the call returns, a "
        "backward one if its call returns the given value when it is run."
    )
    rows = [
        [
            f"`{form}`",
            FORMS[form].task,
            f"{answers.texts[form]['prompt_tokens']:.0f}",
            f"{answers.texts[form]['response_tokens']:.0f}",
            f"{answers.tokens_seen(form) / 1e6:.2f}M",
            f"{answers.tokens_learnt(form) / 1e6:.2f}M",
            f"{(seen := answers.tokens_seen(form) / answers.record_tokens(form)):,.0f}",
            f"{seen / answers.texts[form]['records']:.2f}",
        ]
        for form in answers.forms
    ]
    headings = ["form", "task", "prompt, tokens", "response, tokens", "tokens seen"]
    headings += ["of responses", "records seen", "passes"]
    return f"{text}\n\n{markdown_table(headings, rows)}\n\n{_spread(answers)}"


def _spread(answers: _Answers) -> str:
    """States how equal the numbers of tokens are: rows are packed, and padding is not counted."""
    seen = [answers.tokens_seen(form) for form in answers.forms]
    return (
        f"Tokens seen are equal up to packing: {min(seen) / 1e6:.2f}M to {max(seen) / 1e6:.2f}M, "
        f"{format_percent(max(seen) / min(seen) - 1)} more in the longest training than in the "
        "shortest. Padding is not counted."
    )


def _seed_count(study: FormsStudy) -> str:
    return "one seed" if study.seeds == 1 else f"{study.seeds} seeds"


def _describe_level(answers: _Answers, level: str) -> str:
    steps_N = answers.table(answers.forms[0], level, "steps")[0]
    least, most = int(steps_N.min()), int(steps_N.max())
    return f"{level}: {len(steps_N)} functions of {least} to {most} executed steps"


def _accuracy(answers: _Answers) -> str:
    rows = [
        [f"`{form}`", *(_interval(mean_interval(answers.table(form, each))) for each in levels)]
        for levels in [[*answers.levels, None]]
        for form in answers.forms
    ]
    seeds = [
        [f"`{form}`", *(_seeds(answers.table(form, level)) for level in answers.levels)]
        for form in answers.forms
    ]
    return "\n\n".join(
        [
            "Share of right answers at the end of training, with 95 % intervals that hold for "
            "other functions and other seeds (bootstrap over both; see `studies/intervals.py`).",
            markdown_table(["form", *answers.levels, "all"], rows),
            "Always giving the most common output of a level would be right for "
            + ", ".join(f"{_commonest(answers, level)} ({level})" for level in answers.levels)
            + " of the forward questions.",
            figure_line("forms_accuracy", "Right answers by level and form"),
            "Each seed:",
            markdown_table(["form", *answers.levels], seeds),
        ]
    )


def _commonest(answers: _Answers, level: str) -> str:
    """Returns the share of the most common output of a level."""
    outputs = [answers.outputs[row["id"]] for row in answers.of(answers.forms[0], level)]
    ((_, count),) = Counter(outputs).most_common(1)
    return format_percent(count / len(outputs))


def _differences(answers: _Answers) -> str:
    rows = [
        [f"`{ours}` − `{form}`", *(_difference(answers, form, ours, e) for e in answers.levels)]
        for task, ours in _TASKS.items()
        for form in answers.forms_of(task)
        if form != ours and ours in answers.forms
    ]
    return (
        "Percentage points, paired by function and seed, with 95 % intervals.\n\n"
        + markdown_table(["difference", *answers.levels], rows)
    )


def _lengths(answers: _Answers) -> str:
    rows = [
        [
            f"`{form}`",
            *(f"{answers.table(form, level, 'tokens').mean():.0f}" for level in answers.levels),
            *(_true_length(answers, form, level) for level in answers.levels),
            format_percent(_share(answers.of(form), lambda row: row["finish_reason"] == "length")),
        ]
        for form in answers.forms
    ]
    headings = [*answers.levels, *(f"{level}, true text" for level in answers.levels)]
    return "Mean tokens that the model writes, and those of the true response.\n\n" + (
        markdown_table(["form", *headings, "cut at the limit"], rows)
    )


def _true_length(answers: _Answers, form: str, level: str) -> str:
    """Returns the mean tokens of the true responses; no run of a level may be one to tell."""
    length = answers.texts[form]["true_tokens"].get(level)
    return "–" if length is None else f"{length:.0f}"


def _contradictions(answers: _Answers) -> str:
    forms = [form for form in answers.forms if _counts(answers.of(form))]
    rows = [
        [f"`{form}`", *(_contradicted(answers.of(form, level)) for level in answers.levels)]
        for form in forms
    ]
    earned = [
        [f"`{form}`", *(_interval(mean_interval(_earned(answers, form, each))) for each in levels)]
        for levels in [[*answers.levels, None]]
        for form in forms
    ]
    wrong = [[f"`{form}`", *_reasoning(answers.of(form))] for form in forms]
    return "\n\n".join(
        [
            "Share of the checked steps that the run contradicts. Forward steps are held against "
            "the run of the question, backward steps against the run of the answer's own call.",
            markdown_table(["form", *answers.levels], rows),
            "Share of all answers that are right and have no contradicted step; other right ones "
            "are right in spite of a wrong step.",
            markdown_table(["form", *answers.levels, "all"], earned),
            "Answers by their reasoning:",
            markdown_table(
                [
                    "form",
                    "no contradicted step",
                    "right answers with one",
                    "wrong answers with one",
                ],
                wrong,
            ),
        ]
    )


def _earned(answers: _Answers, form: str, level: str | None) -> np.ndarray:
    """Returns which answers are right and have no contradicted step, seeds by problems."""
    contradicted_SxN = answers.table(form, level, "contradicted")
    return answers.table(form, level) * (contradicted_SxN == 0)


def _reasoning(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the shares of answers without a wrong step, and of right and wrong ones with one."""
    groups = [[row for row in rows if row["right"] == right] for right in (True, False)]
    shares = [_share(group, lambda row: row["contradicted"]) for group in groups]
    sound = _share(rows, lambda row: not row["contradicted"])
    return [format_percent(share) for share in (sound, *shares)]


def _curves(answers: _Answers) -> str:
    asked = len({row["id"] for row in answers.curve})
    return (
        f"Asked about the same {asked} held-out functions at each point. The learning rate falls "
        "to its minimum at the last point only.\n\n"
        + figure_line("forms_curves", "Right answers against tokens seen")
    )


def _by_steps(answers: _Answers) -> str:
    return (
        f"Groups of at least {_LEAST_IN_BIN} functions, ordered by the executed steps of the "
        "program.\n\n" + figure_line("forms_steps", "Right answers against executed steps")
    )


def _equal_records(answers: _Answers) -> str:
    rows = []
    for task in _TASKS:
        forms = answers.forms_of(task)
        ends = {form: answers.tokens_seen(form) / answers.record_tokens(form) for form in forms}
        least = min(ends.values(), default=0.0)
        rows += [
            [
                f"`{form}`",
                f"{ends[form]:,.0f}",
                format_percent(_curve_at(answers, form, ends[form])),
                f"{least:,.0f}",
                format_percent(_curve_at(answers, form, least)),
            ]
            for form in forms
        ]
    headings = ["records", "right", "equal records", "right"]
    return (
        "At equal tokens a form with short responses sees more records, and learns from fewer "
        "tokens: the loss is on responses alone. The last two columns read "
        "its learning curve where it had seen as many records as the form of its task with the "
        "longest texts at the end (between two points: linear). There its learning rate had not "
        "fallen yet, so that figure is a lower bound for a training of that length.\n\n"
        + markdown_table(["form", *headings], rows)
    )


# ==== Figures


def _figures(answers: _Answers) -> dict[str, str]:
    return {
        "forms_accuracy": draw([_accuracy_panel(answers)], width=6.5),
        "forms_curves": draw([_curve_panel(answers, level) for level in answers.levels]),
        "forms_steps": draw(
            [_steps_panel(answers, task) for task in _TASKS if answers.forms_of(task)]
        ),
    }


def _accuracy_panel(answers: _Answers) -> Panel:
    return Panel(
        [
            _series(form, answers.levels, [answers.table(form, each) for each in answers.levels])
            for form in answers.forms
        ],
        "Right answers at the end of training",
        "level",
        "share",
        bars=True,
    )


def _curve_panel(answers: _Answers, level: str) -> Panel:
    series = []
    for form in answers.forms:
        points = _curve(answers, form, level)
        series.append(
            _series(form, [tokens / 1e6 for tokens, _ in points], [table for _, table in points])
        )
    return Panel(series, level, "million tokens seen", "right answers")


def _steps_panel(answers: _Answers, task: str) -> Panel:
    series = []
    for form in answers.forms_of(task):
        steps_N = answers.table(form, field="steps")[0]
        groups = _step_groups(steps_N)
        right_SxN = answers.table(form)
        series.append(
            _series(
                form,
                [steps_N[group].mean() for group in groups],
                [right_SxN[:, group] for group in groups],
            )
        )
    return Panel(series, task, "executed steps", "right answers")


def _series(label: str, x: Sequence, tables: Sequence[np.ndarray]) -> Series:
    found = [mean_interval(table) for table in tables]
    return Series(
        label,
        x,
        [each.value for each in found],
        [each.low for each in found],
        [each.high for each in found],
    )


def _curve(answers: _Answers, form: str, level: str | None) -> list[tuple[float, np.ndarray]]:
    """Returns (tokens seen, right answers as seeds by problems) of each point."""
    rows = [r for r in answers.curve if r["form"] == form and level in (None, r["level"])]
    points = []
    for step in sorted({row["step"] for row in rows}):
        here = [row for row in rows if row["step"] == step]
        right_SxN = np.array([row["right"] for row in here], np.float64)
        tokens = float(np.mean([row["tokens_seen"] for row in here]))
        points.append((tokens, right_SxN.reshape(answers.seeds, -1)))
    return points


def _curve_at(answers: _Answers, form: str, records: float) -> float:
    """Returns the share of right answers after `records`; nothing is right before the first."""
    points = [(0.0, 0.0)] + [
        (tokens, float(table.mean())) for tokens, table in _curve(answers, form, None)
    ]
    tokens, shares = zip(*points, strict=True)
    return float(np.interp(records * answers.record_tokens(form), tokens, shares))


def _step_groups(steps_N: np.ndarray) -> list[np.ndarray]:
    """Returns indices of problems, grouped by equal or neighbouring numbers of steps."""
    groups: list[np.ndarray] = []
    left = np.array([], np.int64)
    for steps in np.unique(steps_N):
        left = np.concatenate([left, np.flatnonzero(steps_N == steps)])
        if len(left) >= _LEAST_IN_BIN:
            groups.append(left)
            left = np.array([], np.int64)
    if groups and len(left):
        groups[-1] = np.concatenate([groups[-1], left])
    return groups or [left]


# ==== Cells


def _interval(found: Estimate) -> str:
    return f"{100 * found.value:.1f} ({100 * found.low:.1f}–{100 * found.high:.1f})"


def _difference(answers: _Answers, form: str, ours: str, level: str) -> str:
    found = difference_interval(answers.table(form, level), answers.table(ours, level))
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _seeds(right_SxN: np.ndarray) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in right_SxN.mean(1))


def _counts(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(row["checked"] for row in rows)


def _contradicted(rows: Sequence[Mapping[str, Any]]) -> str:
    checked = _counts(rows)
    if not checked:
        return "–"
    share = sum(row["contradicted"] for row in rows) / checked
    return f"{format_percent(share)} of {checked:,}"


def _share(rows: Sequence[Mapping[str, Any]], condition) -> float:
    return sum(bool(condition(row)) for row in rows) / len(rows) if rows else 0.0
