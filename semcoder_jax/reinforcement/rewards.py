"""The terms of a reward by name: each maps the evidence on an answer to a number from 0 to 1.

A term that does not apply to a question is None and counts neither way; the reward is the weighted
mean of the others. A reference answer of the builder gets 1 in every term; how an answer loses it
stands at each term.
"""

import ast
import dataclasses
import re
from collections.abc import Callable, Mapping

from data_pipeline.pyx.record_text import RefutedRecordError, fenced_code, same_call
from data_pipeline.pyx.record_text import same_literal as is_same_literal
from data_pipeline.verify import (
    CONFIRMED,
    CONTRADICTED,
    PARTLY,
    RUNS,
    Claim,
    line_verdicts,
)
from semcoder_jax.evaluation.benchmarks.answers import split_assertion
from semcoder_jax.reinforcement.questions import ANSWER, MONOLOGUE, Question

_CLOSED = re.compile(
    r"(?:\[MONOLOGUE\]\n(?P<monologue>.+?)\[/MONOLOGUE\]\s*)?"
    r"\[ANSWER\]\s*assert (?P<answer>.+?)\s*\[/ANSWER\]\s*",
    re.DOTALL,
)
_RIGHT = (CONFIRMED, PARTLY, RUNS)
_LABEL = re.compile(r"\[L(\d+)\]")
_FULL_LENGTH = 0.75  # of the token budget; beyond it an answer loses


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Holds what is known of an answer.

    Attributes:
      text: the answer behind the opening of its prompt.
      finished: whether it ended by itself.
      num_tokens: its length, of at most `max_new_tokens`.
      right: whether it answers a question about a run rightly; None: none was asked.
      claims: the verified claims of its monologue; None: none was asked.
      lines_run: number of different lines of the program that its run executed.
      givens: the run's arguments as the verifier writes them, "n=3".
      passed: share of the tests that its program passes; None: no program was asked.
    """

    question: Question
    text: str
    finished: bool
    num_tokens: int
    max_new_tokens: int
    right: bool | None = None
    claims: tuple[Claim, ...] | None = None
    lines_run: int = 0
    givens: frozenset[str] = frozenset()
    passed: float | None = None

    @property
    def first_wrong_line(self) -> int | None:
        """Returns the first contradicted line of `text`, from 1; the assertion is one, too."""
        verdicts = line_verdicts(self.claims or ())
        return min((n for n, verdict in verdicts.items() if verdict == CONTRADICTED), default=None)

    def step_verdicts(self) -> list[str]:
        """Returns the verdicts on the checked lines of the monologue, in order.

        A true line counts only with a fact of the run that no earlier line has told (see `_facts`):
        telling one fact again, in whatever words, earns nothing.
        """
        monologue = self.text.partition(ANSWER)[0].split("\n")
        verdicts = line_verdicts(self.claims or ())
        seen: set[tuple] = set()
        found = []
        for number, line in enumerate(monologue, 1):
            verdict, facts = verdicts.get(number), self._facts(number, line)
            if verdict == CONTRADICTED or (verdict in _RIGHT and facts - seen):
                found.append(verdict)
            seen |= facts
        return found

    def _facts(self, number: int, line: str) -> set[tuple]:
        """Returns what a line of the monologue tells rightly of the run.

        A fact is its kind and what the run says to it; that a line runs, its label `[L3]`, too. No
        fact are the arguments, which the question tells, and expressions that the program does not
        have: there is no end of true ones, such as `n < 4`, `n < 5`.
        """
        labels = tuple(_LABEL.findall(line))
        code = "".join(self.question.program.split())
        facts = set()
        for claim in self.claims or ():
            if claim.line != number or claim.verdict != CONFIRMED or claim.truth in self.givens:
                continue
            expression, equals, _ = (claim.truth or "").rpartition(" = ")
            is_expression = claim.kind in ("branch", "expression") and bool(equals)
            if not is_expression or "".join(expression.split()) in code:
                facts.add((claim.kind, claim.truth, labels if claim.kind == "flow" else ()))
        return facts


def score_answer(evidence: Evidence) -> float | None:
    """1 for the right value or call, 0 for another or none."""
    return None if evidence.right is None else float(evidence.right)


def score_steps(evidence: Evidence) -> float | None:
    """Share of the steps that are not contradicted.

    A monologue must tell as many steps as its run executed different lines: those that are missing
    count as wrong, or one true line would be the best monologue.
    """
    if evidence.claims is None:
        return None
    verdicts = evidence.step_verdicts()
    right = len(verdicts) - verdicts.count(CONTRADICTED)
    return right / _num_steps(evidence, verdicts) if _proves_something(verdicts) else 0.0


def score_first_wrong_step(evidence: Evidence) -> float | None:
    """Share of the steps that come before the first wrong one; missing steps as in score_steps."""
    if evidence.claims is None:
        return None
    verdicts = evidence.step_verdicts()
    right = verdicts.index(CONTRADICTED) if CONTRADICTED in verdicts else len(verdicts)
    return right / _num_steps(evidence, verdicts) if _proves_something(verdicts) else 0.0


def score_format(evidence: Evidence) -> float | None:
    """1 for an answer in the form that was asked, which ended by itself; else 0.

    About a run: the tags once and in order, and an assertion of the call (forward) or the value
    (backward) that was asked. A program: a Python fence whose code parses.
    """
    question = evidence.question
    if question.kind == "other":
        return None
    if question.kind in ("code", "refine"):
        return float(evidence.finished and _has_program(evidence.text))
    return float(evidence.finished and _is_well_formed(evidence.text, question))


def score_length(evidence: Evidence) -> float | None:
    """1 up to three quarters of the token budget, then falling to 0 at its end (DAPO); 0 if cut.

    An empty answer that ends has 1: length is no merit, and other terms ask for content.
    """
    if not evidence.finished:
        return 0.0
    full = _FULL_LENGTH * evidence.max_new_tokens
    over = (evidence.num_tokens - full) / (evidence.max_new_tokens - full)
    return 1.0 - min(max(over, 0.0), 1.0)


def score_tests(evidence: Evidence) -> float | None:
    """Share of the tests that the program passes."""
    return evidence.passed


TERMS: Mapping[str, Callable[[Evidence], float | None]] = {
    "answer": score_answer,
    "steps": score_steps,
    "first_wrong_step": score_first_wrong_step,
    "format": score_format,
    "length": score_length,
    "tests": score_tests,
}


def score_terms(evidence: Evidence, weights: Mapping[str, float]) -> dict[str, float]:
    """Returns the value of each term that has a weight and applies."""
    values = {name: TERMS[name](evidence) for name, weight in weights.items() if weight}
    return {name: value for name, value in values.items() if value is not None}


def weighted_reward(terms: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Returns the weighted mean of terms; 0 if none applies."""
    total = sum(weights[name] for name in terms)
    return sum(weights[name] * value for name, value in terms.items()) / total if total else 0.0


def _num_steps(evidence: Evidence, verdicts: list[str]) -> int:
    return max(len(verdicts), evidence.lines_run)


def _proves_something(verdicts: list[str]) -> bool:
    return CONFIRMED in verdicts or PARTLY in verdicts


def _is_well_formed(text: str, question: Question) -> bool:
    found = _CLOSED.fullmatch(text)
    if not found or any(text.count(tag) > 1 for tag in (MONOLOGUE, ANSWER)):
        return False
    if bool(found["monologue"]) != question.asks_monologue:
        return False
    sides = split_assertion(found["answer"])
    if sides is None or not _is_one_assertion(found["answer"]):
        return False
    if question.kind == "forward":
        return same_call(sides[0], question.call)
    return is_same_literal(sides[1], question.output)


def _is_one_assertion(answer: str) -> bool:
    try:
        return len(ast.parse(f"assert {answer}").body) == 1
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _has_program(text: str) -> bool:
    try:
        ast.parse(fenced_code(text.rpartition("[Refined]")[2], "a program"))
    except (RefutedRecordError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
