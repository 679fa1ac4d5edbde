"""Writes the report of the study of rewards from the files of its stages."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semcoder_jax.config import RewardsStudy, RunConfig
from semcoder_jax.evaluation.statistics import Estimate
from semcoder_jax.studies.intervals import difference_interval, mean_interval
from semcoder_jax.studies.page import Report, figure_line, markdown_table
from semcoder_jax.studies.plots import Panel, Series, draw
from semcoder_jax.studies.stages import Spent, Stage, spent_by_stage
from semcoder_jax.studies.stored import (
    check_complete,
    read_object,
    read_run_metrics,
    read_stored_rows,
)
from semcoder_jax.training.optimizer import learning_rate_schedule
from semcoder_jax.training.workdir import CONFIG_FILE

BASE, SUPERVISED = "base", "supervised"
DATA = "data.json"
_COUNTS = ("base", "new", "problems", "shared")  # of DATA
_FIELDS = ("id", "right", "sound", "tokens", "ended", "confirmed")  # of an answer
LABELS = {
    BASE: "base",
    SUPERVISED: "supervised",
    "answers": "rewards: answers",
    "answers_and_steps": "rewards: answers and steps",
    "steps": "rewards: steps",
}


def asked_steps(study: RewardsStudy, name: str, last: int) -> list[int]:
    """Returns the steps whose models answer, of a run of `last`; the base answers at its end."""
    every = max(1, last // study.points)
    earlier = [] if name == BASE else list(range(every, last, every))
    return [*earlier[: study.points - 1], last]


def last_step(study: RewardsStudy, workdir: Path, name: str, seed: int) -> int:
    """Returns a run's length: the base's and the rewarded arms' are given, the other's measured."""
    if name == BASE:
        return study.base_steps
    if name != SUPERVISED:
        return study.updates
    return int(_read_config(workdir, f"{name}-{seed}")["train"]["num_steps"])


def answer_files(study: RewardsStudy, workdir: Path, name: str, seed: int) -> list[Path]:
    """Returns the files of a run's answers; before a measured length is known, its config."""
    config = workdir / "runs" / f"{name}-{seed}" / CONFIG_FILE
    if name == SUPERVISED and not config.exists():
        return [config]
    steps = asked_steps(study, name, last_step(study, workdir, name, seed))
    return [answers_file(workdir, f"{name}-{seed}", step) for step in steps]


def _read_config(workdir: Path, run: str) -> dict[str, Any]:
    return read_object(workdir / "runs" / run / CONFIG_FILE, ("train", "data"))


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
    problems = read_stored_rows(workdir / "data" / "problems.jsonl", ("id",), least=1)
    ids, seeds = [row["id"] for row in problems], range(study.seeds)
    arms = {name: [_read_arm(study, workdir, name, seed, ids) for seed in seeds] for name in names}
    body = "\n\n".join(
        (
            _design(study, recipe, read_object(workdir / DATA, _COUNTS), arms),
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


def _read_arm(
    study: RewardsStudy, workdir: Path, name: str, seed: int, ids: Sequence[str]
) -> ArmSeed:
    """Reads one training and its answers to the problems `ids`. Raises StoredError."""
    run = f"{name}-{seed}"
    *earlier, last = asked_steps(study, name, last_step(study, workdir, name, seed))
    asked = dict.fromkeys(earlier, ids[: study.curve_problems]) | {last: ids}
    answers = {step: _read_answers(workdir, run, step, asked[step]) for step in asked}
    spent = spent_by_stage([Stage(run, lambda: None)], workdir)[run]
    metrics = read_run_metrics(workdir / "runs" / run, last)
    rows = [row for row in metrics if "tokens" in row]
    size = _read_config(workdir, run)["data"]["global_batch_size"]
    return ArmSeed(
        answers,
        spent,
        sum(row["tokens"] for row in rows),
        sum(row.get("answer_tokens", 0.0) for row in rows) * size,
    )


def _read_answers(workdir: Path, run: str, step: int, ids: Sequence[str]) -> list[dict[str, Any]]:
    path = answers_file(workdir, run, step)
    rows = read_stored_rows(path, _FIELDS)
    check_complete(path, [row["id"] for row in rows], ids, "answers")
    return rows


# ==== Text and tables


def _design(
    study: RewardsStudy,
    recipe: RunConfig,
    data: Mapping[str, int],
    arms: Mapping[str, Sequence[ArmSeed]],
) -> str:
    prompts = study.answers // study.group_size
    return (
        f"Bases: {study.seeds} models, stopped after {study.base_steps:,} of "
        f"{recipe.train.num_steps:,} steps of the config's recipe, on "
        f"{data['base']:,} functions. Every arm goes on from them with {data['new']:,} new "
        f"functions. Arms with rewards: {study.updates} updates, each on {study.answers} answers "
        f"to {prompts} prompts, sampled at temperature 1; AdamW, rate "
        f"{study.reward_learning_rate:g} falling to zero. Supervised: the true monologues of the "
        f"same new functions, the recipe's optimizer, its rate falling from the base's last "
        f"({last_rate(study, recipe):.2g}) to zero, for as many steps as the CPU seconds of the "
        "seed's arms with rewards pay for on average, at the price of a step of its base: "
        f"{_describe_times(arms)}. All answer the same {data['problems']} held-out functions, "
        f"greedily. Functions that two of the three sets share: {data['shared']}.\n\n"
        "Right: the answer has the run's value and type. Sound: the monologue ended, the run "
        "confirms a step and contradicts none. Intervals: 95 %, bootstrap over functions and seeds."
    )


def _describe_times(arms: Mapping[str, Sequence[ArmSeed]]) -> str:
    """Compares the CPU seconds of the supervised arm with the mean of those with rewards."""
    means = {
        name: float(np.mean([each.spent.cpu_seconds for each in seeds]))
        for name, seeds in arms.items()
    }
    took = means[SUPERVISED]
    rewarded = float(np.mean([means[name] for name in arms if name not in (BASE, SUPERVISED)]))
    return f"it took {took:,.0f}, they {rewarded:,.0f} ({took / rewarded - 1:+.0%})"


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
