"""Reads lines of a backward monologue about the program, any input of it, or the output."""

import ast
import re
from collections.abc import Iterator

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward.behaviour import Behaviour, sentences_of
from data_pipeline.verify.backward.code import CodeLines
from data_pipeline.verify.backward.domains import Domains
from data_pipeline.verify.backward.examples import RunCall
from data_pipeline.verify.backward.faults import Faults
from data_pipeline.verify.backward.orders import Orders
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trials
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import MARKUP, mark_code, without_bold
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.reading import JudgedClaim, Reading

_OF_OUTPUT = re.compile(
    r"(?:the )?(?:final |expected )?(?:output|result)\b(?!.*\b(?:always|will)\b)", re.I
)

_JOINT = re.compile(
    r", (?:but|and|while) (?=(?:the|it|if|its|their|they|each|all|any)\b|`\w+` (?:can|must))"
)
_SLICING = re.compile(r" using (?:string |list )?slicing(?: \(`[^`]*`\))?")
_BOTH_INTO = re.compile(r"\b(converts) both `(\w+)` and `(\w+)` into (list)s\b")
_BOTH_ARE = re.compile(r"\bboth `(\w+)` and `(\w+)` are ([a-z]+)\b")
_OF_INPUT = re.compile(
    r"(?:the )?(?:input|original) \w+ (?:`\w+` )?(?:must|should|needs to|has to) (?:have|contain)\b"
    r"|each (?:unique |distinct )?[a-z ]*\b(?:input|output)\b", re.I,
)  # fmt: skip


def read_general(
    run: Replay, line: str, goal: str, run_call: RunCall | None = None
) -> Reading | None:
    """Reads a line about the program or the output that an input is looked for.

    None unless every sentence is read, or one that can be tried on inputs is false.
    """
    text = without_bold(MARKUP.sub("", line, count=1)).strip().removesuffix(":").strip()
    reader = _GeneralLines(run, goal, run_call)
    claims: list[JudgedClaim] = []
    unread: list[str] = []
    for sentence in sentences_of(text):
        found = reader.read(sentence)
        if found is None:
            unread.append(sentence)
        claims += found or []
    wrong = any(claim.verdict == CONTRADICTED for claim in claims)
    return Reading(tuple(claims), tuple(unread)) if claims and (wrong or not unread) else None


class _GeneralLines:
    """Judges sentences on the program, on what it does with any input, and on the output."""

    def __init__(self, run: Replay, goal: str, run_call: RunCall | None):
        witness = Witness(run, goal)
        self.run, self.code, self.properties = run, CodeLines(run), Properties(witness)
        self.domains = Domains(Trials(witness, run_call), general=True)
        self.orders = Orders(self.domains.trials)
        self.behaviour, self.faults = Behaviour(witness, run_call), Faults(run, witness)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of one sentence, None if it is unread."""
        if false := self.faults.find(sentence, general=True):
            return false
        holds = self.code.read(mark_code(sentence.strip(" .:")))
        if holds is not None:
            verdict = CONFIRMED if holds else CONTRADICTED
            return [JudgedClaim("code", sentence[:80], verdict, None)]
        for tried in (self.behaviour, self.domains, self.orders):
            if found := tried.read(sentence):
                return found
        if _OF_OUTPUT.match(sentence) or _OF_INPUT.match(sentence):
            told = self.properties.read(sentence, choice=True)
            if told and all(claim.verdict == CONFIRMED for claim in told):
                return told
        for said in (sentence, *self._simpler(sentence)):
            told = read_description(self.run, said)
            if told.claims and not told.unread:
                return list(told.claims)
        return self._parts(_JOINT.split(sentence))

    def _parts(self, parts: list[str]) -> list[JudgedClaim] | None:
        """Judges the parts of "…, but if it is empty, …"; all must be read unless one is false."""
        found = [self.read(part) for part in parts] if len(parts) > 1 else []
        wrong = [
            claim for one in found for claim in one or () if claim.verdict == CONTRADICTED
        ]  # fmt: skip
        if wrong or not all(found):
            return wrong or None
        return [claim for one in found for claim in one or ()] or None

    def _simpler(self, sentence: str) -> Iterator[str]:
        """Yields a sentence without "using slicing", and with "both `a` and `b`" told apart."""
        slices = any(isinstance(node, ast.Slice) for node in self.run.nodes)
        plain = _SLICING.sub("", sentence) if slices else sentence
        plain = _BOTH_INTO.sub(r"\1 `\2` into a \4 and \1 `\3` into a \4", plain)
        plain = _BOTH_ARE.sub(r"`\1` is \3 and `\2` is \3", plain)
        if plain != sentence:
            yield plain
