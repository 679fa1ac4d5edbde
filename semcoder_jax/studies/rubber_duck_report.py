"""Reports the study of repairs: tables and figures from its stored turns."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.terminal.tables import format_percent
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import RubberDuckStudy, RunConfig
from semcoder_jax.evaluation.statistics import Estimate
from semcoder_jax.hf import read_config
from semcoder_jax.hf.layout import parameter_count
from semcoder_jax.studies.intervals import difference_interval, mean_interval
from semcoder_jax.studies.page import Report, figure_line, markdown_table
from semcoder_jax.studies.plots import Panel, Series, draw
from semcoder_jax.studies.repairs import ARMS, GREEDY, REPAIR, RESAMPLE, differing_lines
from semcoder_jax.studies.stored import check_complete, read_run_metrics, read_stored_rows
from semcoder_jax.studies.trainings import curve_steps
from semcoder_jax.training.held_out import EVAL_LOSS

FIGURE = "rubber_duck"
_FIELDS = (  # of a turn
    "arm", "task", "round", "asked", "tokens", "prompt_tokens", "visible", "right", "code",
)  # fmt: skip
ANSWERS, CONTROLS, OWN_FAULTS = "answers", "controls.jsonl", "own_faults"


@dataclasses.dataclass(frozen=True)
class Turns:
    """The stored turns of one arm: tables of seeds (S), problems (N) and rounds (R)."""

    rows: Sequence[Sequence[Mapping[str, Any]]]  # of each seed, in order of rounds

    def table(self, field: str) -> np.ndarray:
        """Returns a field as floats, [S, N, R]; the order of problems is that of their ids."""
        return np.stack([self._of_seed(rows, field) for rows in self.rows])

    @staticmethod
    def _of_seed(rows: Sequence[Mapping[str, Any]], field: str) -> np.ndarray:
        by_task: dict[str, list[float]] = {}
        for row in rows:
            by_task.setdefault(row["task"], []).append(float(row[field]))
        return np.array([by_task[task] for task in sorted(by_task)])

    @cached_property
    def right_SxNxR(self) -> np.ndarray:
        return self.table("right")

    @cached_property
    def spent_SxNxR(self) -> np.ndarray:
        """Generated tokens up to each round."""
        return self.table("tokens").cumsum(axis=2)

    def right_for(self, budget_SxN: np.ndarray) -> np.ndarray:
        """Returns [S, N]: whether the last solution within a budget of tokens is right."""
        last_SxN = (self.spent_SxNxR <= budget_SxN[..., None]).sum(axis=2) - 1
        return np.take_along_axis(self.right_SxNxR, last_SxN[..., None], axis=2)[..., 0]


def asked_steps(study: RubberDuckStudy, recipe: RunConfig) -> list[int]:
    """Returns the steps of the final training after which the model is asked."""
    return curve_steps(recipe.train.num_steps or 0, study.asked_models)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What the stages stored: turns by step and arm, and figures of the trainings by seed."""

    arms: Mapping[int, Mapping[str, Turns]]
    controls: Sequence[Mapping[str, Any]]
    own_faults: Sequence[int]
    losses: Sequence[float]
    tokens: Sequence[int]
    programs: Mapping[str, str]  # right ones of the problems
    parameters: int  # of the model

    @classmethod
    def read(cls, study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> "_Stored":
        seeds = range(study.seeds)
        corpus = workdir / "corpus"
        problems = read_stored_rows(corpus / "problems.jsonl", ("id", "program"), least=1)
        programs = {row["id"]: row["program"] for row in problems}
        arms = {
            step: _read_arms(study, workdir, step, programs) for step in asked_steps(study, recipe)
        }
        of_turn = ("arm", "task", "round", "asked", "right")
        controls = read_stored_rows(workdir / CONTROLS, of_turn, least=1)
        files = [workdir / f"{OWN_FAULTS}-{seed}.jsonl" for seed in seeds]
        own = [len(read_stored_rows(file, ("response",))) for file in files]
        metrics = [
            [
                read_run_metrics(workdir / "runs" / f"{part}-{seed}", last)
                for part, last in (("early", study.early_steps), ("final", max(arms)))
            ]
            for seed in seeds
        ]
        losses = [
            next((row[EVAL_LOSS] for row in reversed(final) if EVAL_LOSS in row), math.nan)
            for _, final in metrics
        ]
        tokens = [sum(row.get("tokens", 0) for part in both for row in part) for both in metrics]
        parameters = parameter_count(read_config(workdir / "runs" / "final-0" / MODEL))
        return cls(arms, controls, own, losses, tokens, programs, parameters)


def _read_arms(
    study: RubberDuckStudy, workdir: Path, step: int, tasks: Iterable[str]
) -> dict[str, Turns]:
    files = [workdir / ANSWERS / f"{seed}-{step}.jsonl" for seed in range(study.seeds)]
    rows = [read_stored_rows(file, _FIELDS) for file in files]
    for file, of_file in zip(files, rows, strict=True):
        _check_turns(study, file, of_file, tasks)
    return {
        arm.name: Turns([[row for row in each if row["arm"] == arm.name] for each in rows])
        for arm in ARMS
    }


def _check_turns(
    study: RubberDuckStudy, file: Path, rows: Sequence[Mapping[str, Any]], tasks: Iterable[str]
) -> None:
    """Raises StoredError unless every arm has all rounds of every problem."""
    rounds = {arm.name: study.resamples if arm is RESAMPLE else study.rounds for arm in ARMS}
    expected = [(arm, task, n) for arm in rounds for task in tasks for n in range(rounds[arm] + 1)]
    found = [(row["arm"], row["task"], row["round"]) for row in rows]
    check_complete(file, sorted(found), sorted(expected), "turns")


def report(study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> Report:
    """Returns the report of the stored turns."""
    stored = _Stored.read(study, recipe, workdir)
    last = max(stored.arms)
    sections = [
        ("What is compared", _setting(study, recipe, stored)),
        ("First programs", _first(stored)),
        *(
            (f"{title}, {'last model' if step == last else f'model of step {step:,}'}", text)
            for step, arms in sorted(stored.arms.items(), reverse=True)
            for title, text in (
                ("Success by round", _by_round(study, arms, f"{FIGURE}_{step}")),
                ("Repair against resampling", _against(study, arms)),
            )
        ),
        ("Is the diagnosis true?", _diagnoses(stored)),
        ("Ceiling and floor", _controls(stored)),
    ]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections)
    figures = {f"{FIGURE}_{step}": _figure(study, arms) for step, arms in stored.arms.items()}
    return Report("Rubber duck: repairing by reading the run", body, figures)


# ==== Sections


def _setting(study: RubberDuckStudy, recipe: RunConfig, stored: _Stored) -> str:
    data = recipe.data
    return (
        f"A model of {stored.parameters:,} parameters learns, with {study.seeds} seeds, to write "
        f"functions of one to three statements from their descriptions ({study.functions:,} "
        "functions, each with two visible tests in the prompt), and to repair faulty variants in "
        "the debug-and-refine format: failed test, inlined run, diagnosis, repaired program. "
        f"After {study.early_steps:,} of {study.early_steps + (recipe.train.num_steps or 0):,} "
        f"steps (rows of {data.sequence_length} tokens, {data.global_batch_size} a step; "
        f"{np.mean(stored.tokens) / 1e6:.2f}M tokens in all) its own wrong programs for "
        f"{study.own_functions:,} training functions join the faults: "
        f"{', '.join(f'{n:,}' for n in stored.own_faults)} by seed. Held-out loss at the end: "
        f"{', '.join(f'{loss:.4f}' for loss in stored.losses)}.\n\n"
        f"It then writes {_count_tasks(stored):,} held-out functions, which share no fingerprint "
        "with a training function. A program that fails a visible test is tried again: by repair, "
        "where the model reads the failing run and diagnoses it before it writes, or by "
        "resampling, where it sees the first prompt once more. Both choose by the visible tests "
        "alone; success is judged by ten hidden tests, whose inputs no prompt and no record "
        f"holds. Sampled arms have temperature {study.temperature} and share their first programs; "
        "the greedy arm takes the likeliest token throughout. Intervals (95 %) resample functions "
        "and seeds."
    )


def _count_tasks(stored: _Stored) -> int:
    return next(iter(stored.arms.values()))[REPAIR.name].right_SxNxR.shape[1]


def _first(stored: _Stored) -> str:
    rows = [
        [f"{step:,}", "sampled" if arm.sampled else "greedy", *_first_cells(arms[arm.name])]
        for step, arms in sorted(stored.arms.items())
        for arm in (REPAIR, GREEDY)
    ]
    headings = [
        "step", "first programs", "right", "by seed", "fail a visible test", "wrong, unnoticed",
    ]  # fmt: skip
    return (
        f"{markdown_table(headings, rows)}\n\nA wrong program that passes the visible tests is "
        "never tried again, so it bounds every arm."
    )


def _first_cells(turns: Turns) -> list[str]:
    right_SxN, visible_SxN = turns.right_SxNxR[..., 0], turns.table("visible")[..., 0]
    return [
        _interval(mean_interval(right_SxN)),
        ", ".join(format_percent(each) for each in right_SxN.mean(axis=1)),
        format_percent(1 - visible_SxN.mean()),
        format_percent(_unnoticed(turns, 0)),
    ]


def _by_round(study: RubberDuckStudy, arms: Mapping[str, Turns], figure: str) -> str:
    rows = [
        [str(number), *(_round_cell(arms[arm.name], number) for arm in ARMS)]
        for number in range(study.rounds + 1)
    ]
    last = arms[RESAMPLE.name].right_SxNxR[..., -1]
    costs = [
        [
            arm.name,
            f"{_per_turn(turns, 'tokens'):.0f}",
            f"{_per_turn(turns, 'prompt_tokens'):.0f}",
            f"{turns.spent_SxNxR[..., study.rounds].mean():.0f}",
            format_percent(turns.table("visible")[..., study.rounds].mean()),
            format_percent(_unnoticed(turns, study.rounds) - _unnoticed(turns, 0)),
        ]
        for arm in ARMS
        for turns in [arms[arm.name]]
    ]
    headings = [
        "arm", "generated, a retry", "read, a retry", f"generated, {study.rounds} rounds",
        "pass the visible tests", "newly wrong, unnoticed",
    ]  # fmt: skip
    return (
        f"{markdown_table(['round', *(arm.name for arm in ARMS)], rows)}\n\n"
        f"{RESAMPLE.name} goes on to round {study.resamples}: {_interval(mean_interval(last))}.\n\n"
        f"{figure_line(figure, 'Success by round and by generated tokens')}\n\n"
        f"Mean tokens of a retry, and of a problem in {study.rounds} rounds; programs that then "
        "pass the visible tests, and by how much the share of those that pass them and are wrong "
        f"has grown since the first programs:\n\n{markdown_table(headings, costs)}"
    )


def _unnoticed(turns: Turns, number: int) -> float:
    """Returns the share of programs after a round that pass the visible tests and are wrong."""
    visible_SxN = turns.table("visible")[..., number]
    return float((visible_SxN * (1 - turns.right_SxNxR[..., number])).mean())


def _round_cell(turns: Turns, number: int) -> str:
    return _interval(mean_interval(turns.right_SxNxR[..., number]))


def _per_turn(turns: Turns, field: str) -> float:
    """Returns the mean of a field over the retries that were asked."""
    asked = turns.table("asked")[..., 1:]
    return float((turns.table(field)[..., 1:] * asked).sum() / max(asked.sum(), 1))


def _against(study: RubberDuckStudy, arms: Mapping[str, Turns]) -> str:
    repair, resample = arms[REPAIR.name], arms[RESAMPLE.name]
    rows = []
    for number in range(1, study.rounds + 1):
        right_SxN = repair.right_SxNxR[..., number]
        equal_SxN = resample.right_for(repair.spent_SxNxR[..., number])
        rows.append(
            [
                str(number),
                f"{repair.spent_SxNxR[..., number].mean():.0f}",
                _interval(mean_interval(right_SxN)),
                _points(difference_interval(resample.right_SxNxR[..., number], right_SxN)),
                format_percent(equal_SxN.mean()),
                _points(difference_interval(equal_SxN, right_SxN)),
            ]
        )
    headings = [
        "round", "tokens", "repair", "minus resampling, equal attempts",
        "resampling, equal tokens", "minus resampling, equal tokens",
    ]  # fmt: skip
    return (
        "Differences in points, repair minus resampling, paired by problem and seed. Equal "
        "attempts: as many retries. Equal tokens: for each problem, resampling may generate as "
        "many tokens as repair did on that problem up to that round.\n\n"
        f"{markdown_table(headings, rows)}"
    )


def _diagnoses(stored: _Stored) -> str:
    rows: list[list[str]] = []
    for step, arms in sorted(stored.arms.items()):
        for arm in (REPAIR, GREEDY):
            seeds = arms[arm.name].rows
            turns = [row for rows in seeds for row in rows if row["round"] and row["asked"]]
            told = [row for row in turns if "diagnosis" in row]
            rows.append([f"{step:,}", arm.name, *_diagnosis_cells(turns, told)])
    headings = [
        "step", "arm", "repairs", "with a diagnosis", "no contradicted step",
        "no contradicted cause", "names a faulty line", "right if it does", "right if not",
        "right if nothing is contradicted",
    ]  # fmt: skip
    retries = [
        [f"{step:,}", arm.name, *_retry_cells(list(_retries(arms[arm.name])), stored.programs)]
        for step, arms in sorted(stored.arms.items())
        for arm in (REPAIR, GREEDY)
    ]
    of_retries = [
        "step", "arm", "repairs", "same program again", "pass the visible tests", "right",
        "one line was wrong", "wrong lines of a program",
    ]  # fmt: skip
    return (
        "The verifier holds the simulated steps and the sentences about the cause against the "
        "failing run. A diagnosis names a faulty line if its repair speaks of a line in which the "
        "program differs from the reference.\n\n" + markdown_table(headings, rows) + "\n\n"
        "What the repairs do, and how many lines of the programs that they repair differ from the "
        "reference; a line named at random would be a wrong one as often as the last column says."
        "\n\n" + markdown_table(of_retries, retries)
    )


def _retries(turns: Turns) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yields the retries that were asked, each with the program that it had to repair."""
    for rows in turns.rows:
        before: dict[str, str] = {}
        for row in rows:
            if row["round"] and row["asked"]:
                yield row, before[row["task"]]
            before[row["task"]] = row["code"]


def _retry_cells(
    retries: Sequence[tuple[Mapping[str, Any], str]], programs: Mapping[str, str]
) -> list[str]:
    wrong = [differing_lines(programs[row["task"]], buggy) for row, buggy in retries]
    bodies = [max(1, buggy.strip().count("\n")) for _, buggy in retries]  # without the first line
    shares = [min(1.0, len(one) / body) for one, body in zip(wrong, bodies, strict=True)]
    return [
        f"{len(retries):,}",
        _share([row["code"].strip() == buggy.strip() for row, buggy in retries]),
        _share([row["visible"] for row, _ in retries]),
        _share([row["right"] for row, _ in retries]),
        _share([len(one) == 1 for one in wrong]),
        format_percent(float(np.mean(shares))) if shares else "–",
    ]


def _diagnosis_cells(
    turns: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]
) -> list[str]:
    found = [row["diagnosis"] for row in told]
    return [
        f"{len(turns):,}",
        _share([True] * len(told), len(turns)),
        _share([not each["steps"]["contradicted"] for each in found]),
        _share([not each["cause"]["contradicted"] for each in found]),
        _share([each["names_line"] for each in found]),
        _share([row["right"] for row in told if row["diagnosis"]["names_line"]]),
        _share([row["right"] for row in told if not row["diagnosis"]["names_line"]]),
        _share([row["right"] for row in told if _is_sound(row["diagnosis"])]),
    ]


def _is_sound(diagnosis: Mapping[str, Any]) -> bool:
    return not (diagnosis["steps"]["contradicted"] or diagnosis["cause"]["contradicted"])


def _share(values: Sequence[bool], of: int | None = None) -> str:
    count = len(values) if of is None else of
    return format_percent(sum(values) / count) if count else "–"


def _controls(stored: _Stored) -> str:
    rows = []
    for arm in dict.fromkeys(row["arm"] for row in stored.controls):
        turns = [row for row in stored.controls if row["arm"] == arm]
        first = {row["task"]: row for row in turns if row["round"] == 0}
        asked = {row["task"]: row for row in turns if row["round"] == 1 and row["asked"]}
        last = {row["task"]: row for row in turns}
        rows.append(
            [
                f"`{arm}`",
                _share([row["right"] for row in first.values()]),
                f"{len(asked):,}",
                _share([row["right"] for row in asked.values()]),
                _share([row["right"] for row in last.values()]),
            ]
        )
    headings = ["stand-in", "right at first", "asked again", "of them right in round 1", "at last"]
    return (
        "Stand-ins take over after the first seed's first programs: `reference` answers with the "
        "right program, `repeat` with the one that it is shown.\n\n"
        + markdown_table(headings, rows)
    )


# ==== Figures


def _figure(study: RubberDuckStudy, arms: Mapping[str, Turns]) -> str:
    rounds = [_series(arm.name, list(range(study.rounds + 1)), arms[arm.name]) for arm in ARMS]
    tokens = [
        _series(arm.name, list(arms[arm.name].spent_SxNxR.mean(axis=(0, 1))), arms[arm.name])
        for arm in ARMS
    ]
    return draw(
        (
            Panel(rounds, "by round", "retries", "right, hidden tests", None),
            Panel(tokens, "by tokens", "generated tokens a problem", "right, hidden tests", None),
        )
    )


def _series(label: str, x: Sequence[float], turns: Turns) -> Series:
    found = [mean_interval(turns.right_SxNxR[..., number]) for number in range(len(x))]
    return Series(
        label, x, [e.value for e in found], [e.low for e in found], [e.high for e in found]
    )


def _interval(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{format_percent(estimate.value)} ({low:.1f}–{high:.1f})"


def _points(estimate: Estimate) -> str:
    value, low, high = (100 * each for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
