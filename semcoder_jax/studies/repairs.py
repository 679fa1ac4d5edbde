"""Asks for programs, then for repairs or for new programs, round after round, and judges each turn.

An arm is a way to go on after a failed visible test. All sampled arms share their first answers.
"""

import dataclasses
import difflib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.execution.service import Sandbox
from data_pipeline.verify import CONFIRMED, CONTRADICTED, Claim
from semcoder_jax.config import RubberDuckStudy
from semcoder_jax.evaluation.benchmarks.heldout_code import TITLES, HeldoutCode
from semcoder_jax.evaluation.generators import GenerationSource
from semcoder_jax.evaluation.refine import Turn, refine
from semcoder_jax.evaluation.refine_harness import ask_rounds, judge_turns
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.detokenize import encode_prompt
from semcoder_jax.inference.generate import SamplingParams


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to go on: strategy "repair" or "resample", sampled or greedy."""

    name: str
    strategy: str
    sampled: bool


REPAIR = Arm("repair", "repair", sampled=True)
RESAMPLE = Arm("resample", "resample", sampled=True)
GREEDY = Arm("repair, greedy", "repair", sampled=False)
ARMS = (REPAIR, RESAMPLE, GREEDY)

_LINE = re.compile(r"[Ll]ine (\d+)")
_ROOT, _REPAIR = "### Root Cause Analysis", "### Repair"


def ask_arms(
    benchmark: HeldoutCode,
    source: GenerationSource,
    tokenizer,
    folder: Path,
    study: RubberDuckStudy,
) -> list[dict[str, Any]]:
    """Returns a row for each arm, problem and round; `folder` keeps the generations."""
    rows = []
    with Sandbox() as sandbox, warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # what models write is parsed
        for arm in ARMS:
            params = SamplingParams(
                max_new_tokens=study.max_new_tokens,
                temperature=study.temperature if arm.sampled else 0.0,
            )
            path = folder / ("sampled.jsonl" if arm.sampled else "greedy.jsonl")
            rounds = study.resamples if arm is RESAMPLE else study.rounds
            with GenerationStore(path, {"sampling": dataclasses.asdict(params)}) as store:
                turns = ask_rounds(
                    benchmark,
                    source,
                    params,
                    store,
                    sandbox,
                    rounds=rounds,
                    strategy=arm.strategy,
                    progress=None,
                ).turns
            rows += _rows(arm.name, benchmark, turns, sandbox, _Counter(tokenizer, params))
    return rows


def _rows(
    arm: str,
    benchmark: HeldoutCode,
    turns: Sequence[Turn],
    sandbox: Sandbox,
    counter: "_Counter",
) -> Iterator[dict[str, Any]]:
    """Yields a row for each turn: cost, verdicts on the program that then stands, diagnosis."""
    judged = _judge(benchmark, turns, sandbox)
    before: dict[str, str | None] = {}
    for turn in turns:
        asked = bool(turn.prompt)
        verdicts, claims = judged[turn.task.id, turn.round]
        row = {
            "arm": arm,
            "task": turn.task.id,
            "round": turn.round,
            "asked": asked,
            "tokens": counter.generated(turn.text) if asked else 0,
            "prompt_tokens": counter.read(turn.prompt) if asked else 0,
            **verdicts,
            "code": turn.code,
            "text": turn.text,
        }
        if turn.failure is not None and _ROOT in turn.text.split("\n"):
            program = benchmark.tasks[turn.task.id].solution.strip()
            row["diagnosis"] = _diagnosis(turn.text, before[turn.task.id] or "", program, claims)
        yield row
        before[turn.task.id] = turn.code


@dataclasses.dataclass(frozen=True)
class _Counter:
    """Counts tokens of stored texts: what the model read and, with the stop, what it generated."""

    tokenizer: Any
    params: SamplingParams

    def read(self, prompt: str) -> int:
        return len(encode_prompt(self.tokenizer, prompt))

    def generated(self, text: str) -> int:
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return min(len(tokens) + 1, self.params.max_new_tokens)


def _judge(
    benchmark: HeldoutCode, turns: Sequence[Turn], sandbox: Sandbox
) -> dict[tuple[str, int], tuple[dict[str, bool], Sequence[Claim]]]:
    """Returns by task and round: whether the program passes, and the claims of the diagnosis."""
    found: dict[tuple[str, int], tuple[dict[str, bool], Sequence[Claim]]] = {}
    for answer in judge_turns(benchmark, turns, ("fixed",), sandbox):
        key = (answer.task, int(answer.variant.removeprefix("round ")))
        verdicts, _ = found.setdefault(key, ({}, answer.claims or ()))
        verdicts["visible" if answer.benchmark == TITLES[0] else "right"] = answer.right
    return found


# ==== Diagnoses


def _diagnosis(text: str, buggy: str, right: str, claims: Sequence[Claim]) -> dict[str, Any]:
    """Compares a diagnosis with the failing run (its claims) and with the right program.

    steps, cause: verdicts on the simulated steps and on the sentences about the cause
    names_line: the repair speaks of a line in which the program differs from the right one
    """
    lines = text.split("\n")
    root = 1 + lines.index(_ROOT)
    _, _, repair = text.partition(_REPAIR)
    named = _LINE.search(repair.partition("[Refined]")[0])
    return {
        "steps": _count_verdicts(claim for claim in claims if claim.line < root),
        "cause": _count_verdicts(claim for claim in claims if claim.line > root),
        "names_line": named is not None and int(named[1]) in differing_lines(right, buggy),
    }


def _count_verdicts(claims: Iterable[Claim]) -> dict[str, int]:
    verdicts = Counter(claim.verdict for claim in claims)
    return {name: verdicts[name] for name in (CONFIRMED, CONTRADICTED)}


def differing_lines(right: str, buggy: str) -> set[int]:
    """Returns the lines of `buggy`, from 1, that must change, or after which a line is missing."""
    ours, theirs = right.strip().split("\n"), buggy.strip().split("\n")
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return {
        line
        for tag, _, _, start, end in matcher.get_opcodes()
        if tag != "equal"
        for line in (range(start + 1, end + 1) if end > start else (start,))
    }


# ==== Stand-ins for the model


def ask_controls(
    benchmark: HeldoutCode,
    programs: Mapping[str, str],
    answers: Sequence[Mapping[str, Any]],
    rounds: int,
) -> list[dict[str, Any]]:
    """Lets stand-ins repair the model's first programs; returns rows of arm, task, round, right.

    "reference" answers with the right program, "repeat" with the program that it is shown.
    """
    first = {row["task"]: row for row in answers if row["arm"] == REPAIR.name and row["round"] == 0}
    rows = []
    with Sandbox() as sandbox:
        for name in ("reference", "repeat"):
            stand_in = StandIn(benchmark, programs, first, repeats=name == "repeat")
            turns = stand_in.refine(sandbox, rounds)
            judged = _judge(benchmark, turns, sandbox)
            rows += [
                {
                    "arm": name,
                    "task": turn.task.id,
                    "round": turn.round,
                    "asked": bool(turn.prompt),
                    **judged[turn.task.id, turn.round][0],
                }
                for turn in turns
            ]
    return rows


@dataclasses.dataclass(frozen=True)
class StandIn:
    """Answers first as a model did; then with the right program, or with the one it is shown."""

    benchmark: HeldoutCode
    programs: Mapping[str, str]
    first: Mapping[str, Mapping[str, Any]]
    repeats: bool

    def refine(self, sandbox: Sandbox, rounds: int) -> list[Turn]:
        tasks = [task for task in self.benchmark.refine_tasks if task.id in self.first]
        found = refine(tasks, self._ask, self._first_program, sandbox, rounds=rounds)
        return [turn for turns in found for turn in turns]

    def _ask(self, turns: Sequence[tuple[Turn, str]]) -> list[tuple[str, str]]:
        return [(self._text(turn), "stop") for turn, _ in turns]

    def _text(self, turn: Turn) -> str:
        if turn.round == 0 and turn.failure is None:
            return self.first[turn.task.id]["text"]
        code = turn.code if self.repeats else self.programs[turn.task.id]
        return f"[Refined]\n```python\n{code}\n```\n[/Refined]"

    def _first_program(self, task: str, text: str, reason: str) -> str | None:
        return self.benchmark.solution(Response(task, 0, "round 0", "fixed", text, reason))
