"""Writes the report of the study of rewards from the files of its stages."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipeline.files import read_rows
from semcoder_jax.checkpoints import CHECKPOINTS
from semcoder_jax.config import RewardsStudy, RunConfig
from semcoder_jax.evaluation.statistics import Estimate
from semcoder_jax.studies.intervals import difference_interval, mean_interval
from semcoder_jax.studies.page import Report, figure_line, markdown_table
from semcoder_jax.studies.plots import Panel, Series, draw
from semcoder_jax.studies.stages import Spent, Stage, spent_by_stage
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.optimizer import learning_rate_schedule

BASE, SUPERVISED = "base", "supervised"
LABELS = {
    BASE: "base",
    SUPERVISED: "supervised",
    "answers": "rewards: answers",
    "answers_and_steps": "rewards: answers and steps",
    "steps": "rewards: steps",
}


def points_of(study: RewardsStudy, run: Path) -> list[int]:
    """Returns the steps whose checkpoints answer; the base answers with its last alone."""
    saved = sorted(int(each.name) for each in (run / CHECKPOINTS).iterdir() if each.name.isdigit())
    if run.name.startswith(BASE):
        return saved[-1:]
    every = max(1, saved[-1] // study.points)
    return [step for step in saved[:-1] if step % every == 0][: study.points - 1] + saved[-1:]


def answers_file(workdir: Path, run: str, step: int) -> Path:
    return workdir / "answers" / f"{run}-{step}.jsonl"


def last_rate(study: RewardsStudy, recipe: RunConfig) -> float:
    """Returns the learning rate of the base's last step."""
    schedule = learning_rate_schedule(recipe.optimizer, recipe.train.num_steps)
    return float(schedule(study.base_steps - 1))


@dataclasses.dataclass(frozen=True)
class ArmSeed:
    """The answers of one training of an arm, by step, and what the training took."""

    answers: Mapping[int, Sequence[Mapping]]
    spent: Spent
    trained: float  # tokens
    sampled: float

    @property
    def last(self) -> Sequence[Mapping]:
        return self.answers[max(self.answers)]


def report(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> Report:
    names = (BASE, SUPERVISED, *study.arms)
    arms = {name: [_read_arm(workdir, name, seed) for seed in range(study.seeds)] for name in names}
    body = "\n\n".join(
        (
            _design(study, recipe, json.loads((workdir / "data.json").read_text(encoding="utf-8"))),
            "## Held-out functions after learning",
            _result_table(arms),
            "## Difference to more supervised steps",
            _difference_table(arms, study.arms),
            "## By seed",
            _seed_table(arms),
            "## Equal compute",
            _compute_table(arms),
            "## Learning curves",
            figure_line("rewards_curves", "Right answers and sound monologues over CPU seconds"),
        )
    )
    return Report("Rewards for verified steps", body, {"rewards_curves": _curves(arms)})


def _read_arm(workdir: Path, name: str, seed: int) -> ArmSeed:
    run = f"{name}-{seed}"
    files = sorted((workdir / "answers").glob(f"{run}-*.jsonl"))
    answers = {
        int(path.stem.rpartition("-")[2]): [row for _, row in read_rows(path)] for path in files
    }
    spent = spent_by_stage([Stage(run, lambda: None)], workdir)[run]
    rows = [row for row in read_metrics(workdir / "runs" / run / METRICS_FILE) if "tokens" in row]
    size = _answers_a_step(workdir / "runs" / run)
    return ArmSeed(
        answers,
        spent,
        sum(row["tokens"] for row in rows),
        sum(row.get("answer_tokens", 0.0) for row in rows) * size,
    )


def _answers_a_step(run: Path) -> int:
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return record["data"]["global_batch_size"]


# ==== Text and tables


def _design(study: RewardsStudy, recipe: RunConfig, data: Mapping[str, int]) -> str:
    prompts = study.answers // study.group_size
    return (
        f"Bases: {study.seeds} models, each the recipe of configs/quickstart.py without direct "
        f"answers, stopped after {study.base_steps:,} of {recipe.train.num_steps:,} steps, on "
        f"{data['base']:,} functions. Every arm goes on from them with {data['new']:,} new "
        f"functions. Arms with rewards: {study.updates} updates, each on {study.answers} answers "
        f"to {prompts} prompts, sampled at temperature 1; AdamW, rate "
        f"{study.reward_learning_rate:g} falling to zero. Supervised: the true monologues of the "
        f"same new functions, the recipe's optimizer, its rate falling from the base's last "
        f"({last_rate(study, recipe):.2g}) to zero, for the CPU seconds that the arms with rewards "
        f"took on average. All answer the same {data['problems']} held-out functions, greedily. "
        f"Functions that two of the three sets share: {data['shared']}.\n\n"
        "Right: the answer has the run's value and type. Sound: the monologue ended, the run "
        "confirms a step and contradicts none. Intervals: 95 %, bootstrap over functions and seeds."
    )


def _result_table(arms: Mapping[str, Sequence[ArmSeed]]) -> str:
    headings = ["arm", "right", "95 %", "sound", "95 %", "tokens", "confirmed claims", "not ended"]
    rows = [
        [
            LABELS[name],
            *_cells(mean_interval(_table(seeds, "right"))),
            *_cells(mean_interval(_table(seeds, "sound"))),
            f"{_table(seeds, 'tokens').mean():.1f}",
            f"{_table(seeds, 'confirmed').mean():.2f}",
            f"{1 - _table(seeds, 'ended').mean():.1%}",
        ]
        for name, seeds in arms.items()
    ]
    return markdown_table(headings, rows)


def _difference_table(arms: Mapping[str, Sequence[ArmSeed]], rewarded: Sequence[str]) -> str:
    pairs = [(SUPERVISED, name) for name in rewarded] + [(BASE, name) for name in rewarded]
    pairs.append((BASE, SUPERVISED))
    if len(rewarded) > 1:
        pairs += [(rewarded[0], name) for name in rewarded[1:]]
    rows = []
    for before, after in pairs:
        cells = [f"{LABELS[after]} − {LABELS[before]}"]
        for field in ("right", "sound"):
            found = difference_interval(_table(arms[before], field), _table(arms[after], field))
            cells += _signed_cells(found)
        rows.append(cells)
    return markdown_table(["difference", "right", "95 %", "sound", "95 %"], rows)


def _seed_table(arms: Mapping[str, Sequence[ArmSeed]]) -> str:
    seeds = range(len(arms[BASE]))
    headings = ["arm", *(f"right, seed {seed}" for seed in seeds)]
    headings += [f"sound, seed {seed}" for seed in seeds]
    rows = [
        [
            LABELS[name],
            *(f"{_mean(each.last, 'right'):.1%}" for each in found),
            *(f"{_mean(each.last, 'sound'):.1%}" for each in found),
        ]
        for name, found in arms.items()
    ]
    return markdown_table(headings, rows)


def _compute_table(arms: Mapping[str, Sequence[ArmSeed]]) -> str:
    def mean(seeds: Sequence[ArmSeed], value: Callable[[ArmSeed], float]) -> str:
        return f"{np.mean([value(each) for each in seeds]):,.0f}"

    rows = [
        [
            LABELS[name],
            mean(seeds, lambda each: each.spent.cpu_seconds),
            mean(seeds, lambda each: each.spent.wall_seconds),
            mean(seeds, lambda each: max(each.answers)),
            mean(seeds, lambda each: each.trained),
            mean(seeds, lambda each: each.sampled),
        ]
        for name, seeds in arms.items()
    ]
    headings = ["arm", "CPU s", "wall s", "updates", "tokens trained on", "tokens sampled"]
    return markdown_table(headings, rows)


def _table(seeds: Sequence[ArmSeed], field: str) -> np.ndarray:
    """Returns a field of the last answers, [seeds, functions]."""
    return np.array([[row[field] for row in each.last] for each in seeds], float)


def _mean(rows: Sequence[Mapping], field: str) -> float:
    return float(np.mean([row[field] for row in rows]))


def _cells(found: Estimate) -> list[str]:
    return [f"{found.value:.1%}", f"{found.low:.1%} to {found.high:.1%}"]


def _signed_cells(found: Estimate) -> list[str]:
    low, high = 100 * found.low, 100 * found.high
    return [f"{100 * found.value:+.1f} points", f"{low:+.1f} to {high:+.1f}"]


# ==== Figure


def _curves(arms: Mapping[str, Sequence[ArmSeed]]) -> str:
    """Draws both shares over the CPU seconds since the base, on the problems of all points."""
    panels = [
        Panel(
            [_series(arms, name, field) for name in arms if name != BASE],
            title,
            "CPU seconds after the base",
            "share of held-out functions",
            y_limits=None,
        )
        for field, title in (("right", "Right answers"), ("sound", "Monologues without wrong step"))
    ]
    return draw(panels)


def _series(arms: Mapping[str, Sequence[ArmSeed]], name: str, field: str) -> Series:
    seeds = arms[name]
    count = min(len(rows) for each in seeds for rows in each.answers.values())
    points = [(0.0, [_mean(each.last[:count], field) for each in arms[BASE]])]
    for place in range(len(seeds[0].answers)):
        steps = [sorted(each.answers)[place] for each in seeds]
        spent = [
            each.spent.cpu_seconds * step / max(each.answers)
            for each, step in zip(seeds, steps, strict=True)
        ]
        shares = [
            _mean(each.answers[step][:count], field)
            for each, step in zip(seeds, steps, strict=True)
        ]
        points.append((float(np.mean(spent)), shares))
    return Series(
        LABELS[name],
        [x for x, _ in points],
        [float(np.mean(shares)) for _, shares in points],
        [min(shares) for _, shares in points],
        [max(shares) for _, shares in points],
    )
