"""Finds what else a contradicted claim may mean, where no label and no turn says of what it is.

"push(0) returns True" is of another function than the call, "the else branch runs six times" of no
loop, "the balance is 0" of an attribute, "then `v` is -1" of a moment that nothing else tells.
"""

import ast
import re

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.times import TimeVerdicts
from data_pipeline.verify.values import compare

_OF_A_BLOCK = re.compile(
    r"\b(?:else|finally|except|branch|block|clause|body|continue|break|condition|comparison|check|"
    r"test|line|statement)\b", re.I,
)  # fmt: skip
_NO_TRUTH_VALUE = re.compile(r"\b(?:succeeds?|succeeded|fails?|failed|match(?:es)?)\b", re.I)
_OF_SIZE = re.compile(
    r"\bha(?:s|ve) (?:only |exactly |just )?\w+ "
    r"(?:entr(?:y|ies)|items?|elements?|keys?|values?|pairs?|characters?|rows?|members?)\b", re.I,
)  # fmt: skip
_TAKES_VALUES = re.compile(r"\btakes? (?:on |up )?the values\b")
_FIRST = re.compile(r"\binitial", re.I)
_NUMBER = re.compile(r"(?<![\w.])\d{2,7}(?![\w.])")
_MOST_MOMENTS = 2000


class Elsewhere:
    """Knows all values of one run, whoever has them and when."""

    def __init__(self, run: Replay, times: TimeVerdicts):
        self.run, self._times = run, times
        self._attributes = {node.attr for node in run.nodes if isinstance(node, ast.Attribute)}
        called = run.events[0].function.rpartition(".")[2] if run.events else None
        self._others = set(run.functions) - {called}

    def may_be_meant(self, worded: WordedClaim, sentence: Sentence, place: Place) -> bool:
        """Returns whether a contradicted claim may be true of something that was not read."""
        if sentence.own or place.sure:
            return False
        plain, name = sentence.plain, worded.subject or ""
        if _NO_TRUTH_VALUE.search(worded.text) and worded.kind in ("test", "branch", "value"):
            return True
        if " in " in name and _OF_SIZE.search(worded.text):
            return True  # "has 4 entries" was read as that 4 is in it
        if worded.kind == "turns":
            return _OF_A_BLOCK.search(plain) is not None
        if worded.kind == "return":
            return self._returned_elsewhere(worded.value, plain)
        if worded.kind in ("value", "refer") and self._is_character(worded.value, plain):
            return True
        if worded.kind != "value":
            return False
        if name in self._attributes or self._is_one_of_several(name, plain):
            return True
        timed = sentence.turn is not None or place.window is not None or self._is_timed(plain)
        return not timed and self._held(name, worded.value)

    @staticmethod
    def _is_one_of_several(name: str, plain: str) -> bool:
        """Whether a value is one of a list: "`x`, `y` and `z` are 1, 2 and 3"."""
        together = rf"(?:\band|,) `?{re.escape(name)}`? (?:are|were|become)\b"
        return re.search(together, plain) is not None or _TAKES_VALUES.search(plain) is not None

    def _is_timed(self, plain: str) -> bool:
        return self._times.names_time(plain) or _FIRST.search(plain) is not None

    def _returned_elsewhere(self, value: str, plain: str) -> bool:
        """Whether a function that the sentence names, and that is not called here, returns it."""
        told = {name for name in self._others if re.search(rf"\b{re.escape(name)}\b", plain)}
        return any(
            event.kind == "return"
            and event.function.rpartition(".")[2] in told
            and compare(value, event.value or "None") == CONFIRMED
            for event in self.run.events
        )

    def _held(self, name: str, value: str) -> bool:
        """Whether a variable has the value at any moment, in any call."""
        return any(
            compare(value, text) == CONFIRMED
            for event in self.run.events[:_MOST_MOMENTS]
            if (text := event.changed.get(name)) is not None
        )

    @staticmethod
    def _is_character(value: str, plain: str) -> bool:
        """Whether "99, which is 'c'" tells a character by its code."""
        told = value_or_none(value)
        return (
            isinstance(told, str)
            and len(told) == 1
            and any(int(number) == ord(told) for number in _NUMBER.findall(plain))
        )
