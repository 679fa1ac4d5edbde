"""Evaluation results: judged answers and the scores computed from them.

Reports and comparisons need only the JSON of an `EvaluationRun`, no model, data or sandbox.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import as_path, write_json
from data_pipeline.terminal.tables import rank_counts
from data_pipeline.verify import CONFIRMED, CONTRADICTED, Claim
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.statistics import Estimate, estimate, pass_at_k

FORMAT = 1
RIGHT, WRONG, MISSING = "right", "wrong", "missing"


class ResultError(UserError):
    """Raised for a file that holds no evaluation result."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One generation, judged in one mode.

    Attributes:
      task, sample: id of the task and index of the sample (from 0).
      benchmark: the benchmark whose rules apply; one solution counts in HumanEval and HumanEval+.
      variant: prompt variant: "monologue", "direct", "chain of thought", "code", "round 2", …
      mode: "compat" or "fixed".
      outcome: "right", "wrong", or why no verdict exists: "no answer", "time limit", "missing", …
      answer: the answer extracted from the text, or None.
      question, expected: the question and a right answer, for people.
      detail: the failing test and its result; "" if the answer is right.
      text: the model's text, with the tag that the prompt had opened.
      finish_reason: "stop", "length", or "" if unknown (generations made elsewhere).
      claims: the monologue's claims with their verdicts; None if nothing was verified
        (the variant has no monologue, or no run exists).
    """

    task: str
    sample: int
    benchmark: str
    variant: str
    mode: str
    outcome: str
    answer: str | None
    question: str
    expected: str
    detail: str
    text: str
    finish_reason: str
    claims: tuple[Claim, ...] | None = None

    @property
    def right(self) -> bool:
        return self.outcome == RIGHT

    @property
    def first_wrong_step(self) -> Claim | None:
        """Returns the first step that the run contradicts; the answer itself is no step."""
        return next((c for c in _steps(self) if c.verdict == CONTRADICTED), None)

    @property
    def sound(self) -> bool:
        """Whether the monologue ended, the run confirms some step of it and contradicts none."""
        ended = self.finish_reason != "length"
        confirmed = any(claim.verdict == CONFIRMED for claim in _steps(self))
        return ended and confirmed and self.first_wrong_step is None


def _steps(answer: Answer) -> list[Claim]:
    return [claim for claim in answer.claims or () if claim.kind != "answer"]


@dataclasses.dataclass(frozen=True)
class Reasoning:
    """Counts of a score's verified monologues, independent of their answers.

    Attributes:
      monologues: number verified, including those without a checkable step.
      sound: complete, with some step confirmed and none contradicted.
      right_by_wrong: right answer after a contradicted step.
      unchecked: without a step that was confirmed or contradicted.
      first_wrong: kind of the first contradicted step -> number of monologues.
    """

    monologues: int
    sound: int
    right_by_wrong: int
    unchecked: int
    first_wrong: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Score:
    """pass@k of one benchmark, variant and mode; a missing or malformed answer is a wrong one.

    answered: pass@k over only the tasks that have a generation; None if all have one, or none.
    """

    benchmark: str
    variant: str
    mode: str
    k: int
    estimate: Estimate
    samples: int
    outcomes: Mapping[str, int]
    reasoning: Reasoning | None
    answered: Estimate | None = None

    @property
    def right(self) -> int:
        return self.outcomes.get(RIGHT, 0)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A published figure: `value` between 0 and 1, `name` of the model, `source`."""

    name: str
    value: float
    source: str


@dataclasses.dataclass(frozen=True)
class EvaluationRun:
    """Answers and scores of one model on one benchmark.

    Attributes:
      name: name of the config ("cruxeval_output"); runs of the same name can be compared.
      model: label for people: a checkpoint, an endpoint's model, or a file of generations.
      identity: the inputs of the run: checkpoint or endpoint, data, sampling.
      references: benchmark -> published figures.
      notes: further findings, such as ids in a file that belong to no task.
    """

    name: str
    model: str
    identity: Mapping[str, Any]
    answers: tuple[Answer, ...]
    scores: tuple[Score, ...]
    references: Mapping[str, tuple[Reference, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tokens_per_second: float | None = None


def scores(answers: Iterable[Answer], ks: Sequence[int] = (1,)) -> tuple[Score, ...]:
    """Returns a score for every benchmark, variant, mode and k, in order of appearance.

    Skips each k that exceeds the samples of some task, and uses k=1 if none is left.
    """
    groups: dict[tuple[str, str, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.benchmark, answer.variant, answer.mode), []).append(answer)
    return tuple(
        score for key, group in groups.items() for score in _scores_of_group(key, group, ks)
    )


def _scores_of_group(key, group: Sequence[Answer], ks: Sequence[int]) -> Iterable[Score]:
    samples, right = Counter(), Counter()
    for answer in group:
        samples[answer.task] += 1
        right[answer.task] += answer.right
    answered = {answer.task for answer in group if answer.outcome != MISSING}
    fewest = min(samples.values())
    for k in [k for k in ks if k <= fewest] or [1]:
        chances = {task: pass_at_k(n, right[task], k) for task, n in samples.items()}
        part = [chance for task, chance in chances.items() if task in answered]
        yield Score(
            *key,
            k=k,
            estimate=estimate(list(chances.values())),
            samples=len(group),
            outcomes=dict(rank_counts(Counter(answer.outcome for answer in group))),
            reasoning=_reasoning(group),
            answered=estimate(part) if 0 < len(part) < len(chances) else None,
        )


def _reasoning(group: Sequence[Answer]) -> Reasoning | None:
    verified = [answer for answer in group if answer.claims is not None]
    if not verified:
        return None
    wrong = [answer for answer in verified if answer.first_wrong_step is not None]
    return Reasoning(
        monologues=len(verified),
        sound=sum(answer.sound for answer in verified),
        right_by_wrong=sum(answer.right for answer in wrong),
        unchecked=sum(
            not any(c.verdict in (CONFIRMED, CONTRADICTED) for c in _steps(a)) for a in verified
        ),
        first_wrong=dict(rank_counts(Counter(a.first_wrong_step.kind for a in wrong))),
    )


def outcomes_by_task(
    run: EvaluationRun, benchmark: str, variant: str, mode: str
) -> dict[str, list[bool]]:
    """Maps each task to a list that says which of its samples are right, for `compare`."""
    found: dict[str, list[bool]] = {}
    for answer in sorted(run.answers, key=lambda answer: answer.sample):
        if (answer.benchmark, answer.variant, answer.mode) == (benchmark, variant, mode):
            found.setdefault(answer.task, []).append(answer.right)
    return found


# ==== JSON


def to_json(run: EvaluationRun) -> dict[str, Any]:
    return {"format": FORMAT, **dataclasses.asdict(run)}


def from_json(row: Any, where: str) -> EvaluationRun:
    """Rebuilds a run from the row of `to_json`. Raises ResultError, which names `where`."""
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise ResultError(f"{where}: expected a result of an evaluation (format {FORMAT})")
    try:
        return EvaluationRun(
            name=row["name"],
            model=row["model"],
            identity=row["identity"],
            answers=tuple(_answer(value) for value in row["answers"]),
            scores=tuple(_score(value) for value in row["scores"]),
            references={
                name: tuple(Reference(**value) for value in values)
                for name, values in row["references"].items()
            },
            notes=tuple(row["notes"]),
            tokens_per_second=row["tokens_per_second"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{where}: not a whole result ({error})") from error


def _answer(row: Mapping[str, Any]) -> Answer:
    claims = row["claims"]
    if claims is not None:
        claims = tuple(Claim(**claim) for claim in claims)
    return Answer(**{**row, "claims": claims})


def _score(row: Mapping[str, Any]) -> Score:
    reasoning = None if row["reasoning"] is None else Reasoning(**row["reasoning"])
    answered = row.get("answered")
    return Score(
        **{
            **row,
            "estimate": Estimate(**row["estimate"]),
            "reasoning": reasoning,
            "answered": None if answered is None else Estimate(**answered),
        }
    )


def write_runs(path: str | Path, runs: Sequence[EvaluationRun]) -> None:
    """Writes all runs as one JSON object, atomically. Raises FileError."""
    write_json(path, {"runs": [to_json(run) for run in runs]}, ensure_ascii=False)


def is_result(begin: bytes) -> bool:
    """Returns whether a file begins as `write_runs` begins it."""
    return begin.startswith(b'{"runs": ')


def read_runs(path: str | Path) -> list[EvaluationRun]:
    """Reads the file that `write_runs` wrote. Raises ResultError."""
    try:
        content = json.loads(as_path(path).read_bytes())
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        raise ResultError(f"{path}: expected the JSON of an evaluation, an object with 'runs'")
    return [from_json(row, f"{path}: run {n}") for n, row in enumerate(content["runs"], 1)]
