"""Judges what a backward monologue says the output has in common with every input.

"It removes all occurrences of "a"", "the output has the same length as `xs`", "the output contains
all items except the last one": each is tried on the witness and on inputs made from it.
"""

import re
from typing import Any

from data_pipeline.source.literals import same_value
from data_pipeline.verify.backward.nouns import ATOM, MARKS, Nouns
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.screening import screened

_SAME_SIZE = re.compile(
    r"(?:the )?(?:final )?(?:output|result|returned)(?: (?:string|list|dictionary))? (?:will"
    r" |must |should )?(?:always |also )*(?:has|have) (?:exactly )?the same (?P<what>length|number"
    r" of \w+|size|keys|type)(?: \([^)]*\))?"
    r" as (?P<other>.+)"
)
_REMOVES = re.compile(
    r"(?:the function |it )?(?:removes?|eliminates?|deletes?|strips?(?: out)?) (?:all|every|any)"
    r"(?: of)?(?: the)? (?:(?:occurrences?|instances?)(?: of)? )?(?:the )?(?:(?:character"
    rf"|substring|string|value|element)s? )?(?P<what>{ATOM})(?: characters?| elements?)?(?: from"
    r" (?P<whole>.+))?"
)
_REPLACES = re.compile(
    r"(?:the function |it )?(?:replaces?|substitutes?) (?:all|every|each)(?: of)?(?: the)?"
    r" (?:(?:occurrences?|instances?)(?: of)? )?(?:the )?(?:(?:character|substring|string)s? )?"
    rf"(?P<what>{ATOM})(?: characters?)? (?:in (?P<whole>.+?) )?(?:with|by) (?:the |an? )?"
    rf"(?:(?:character|substring|string) )?(?P<by>{ATOM}|empty string)(?: in (?P<whole2>.+))?"
)
_EXCEPT = re.compile(
    r"the (?:final )?(?:output|result)(?: (?:is|will be) an? \w+ that)? (?:contains|includes"
    r"|consists of|is) all(?: of)?(?: the)? (?:characters?|elements?|items?|letters?)"
    r"(?: (?:from|of|in) (?:the )?(?:original |input )*(?:\w+|`\w+`))? (?:except|without|excluding"
    rf"|but)(?: for)? (?:the |all |any )*(?:(?:character|element)s? )?(?P<what>{ATOM})"
    r"(?: characters?| elements?)?"
)


_PASSIVE = screened(
    r".*?\b(?:all|every|each)(?: of)?(?: the)?(?: occurrences? of)? (?P<what>"
    rf"{ATOM}|{'|'.join(MARKS)})(?: characters?)? (?:will be|are|is|gets) replaced (?:with|by)"
    rf" (?:an? |the )?(?P<by>{ATOM}|{'|'.join(MARKS)}|empty string)(?: characters?)?"
)


_ALL_BUT = re.compile(
    r"the (?:final )?(?:output|result) (?:(?:is|will be) an? (?:new )?\w+ that )?(?:contains"
    r"|includes|consists of|will contain|will include) all(?: of)?(?: the)? (?:items|elements"
    r"|characters|key-value pairs|entries) (?:from|of|in) the (?:original |input )*(?P<kind>list"
    r"|string|dictionary|text)? ?(?:except|excluding|but)(?: for)? the (?P<end>first|last)(?: \w+)?"
)


class Invariants:
    """Judges statements by trials."""

    def __init__(self, trials: Trials):
        self.trials = trials

    def read(self, text: str) -> tuple[bool, list[JudgedClaim] | None]:
        """Returns (whether a statement is of a known form, its claims if it could be tried)."""
        for pattern, judge in (
            (_SAME_SIZE, self._same_size),
            (_REMOVES, self._removed),
            (_REPLACES, self._replaced),
            (_EXCEPT, self._removed),
            (_PASSIVE, self._replaced),
            (_ALL_BUT, self._all_but),
        ):
            if match := pattern.fullmatch(text):
                return True, judge(text, match)
        return False, None

    def _same_size(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        what, other = match["what"], match["other"]

        def holds(trial: Trial) -> bool | None:
            found = [one for one in Properties(trial).nouns.meanings(other) if not one.of_output]
            if not trial.ended or len(found) != 1:
                return None
            one, two = found[0].values[0], trial.value
            if what == "type":
                return type(one) is type(two)
            if type(one) is int:  # "the number of unique elements"
                return len(two) == one
            return set(one) == set(two) if what == "keys" else len(one) == len(two)

        return self.trials.everywhere(text, holds, [])

    def _removed(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges "removes all occurrences of X": false if X is left, true if all but X is."""
        return self._exchanged(text, match, match["what"], match.groupdict().get("whole"), None)

    def _replaced(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        groups = match.groupdict()
        whole = groups.get("whole") or groups.get("whole2")
        return self._exchanged(text, match, match["what"], whole, match["by"])

    def _exchanged(
        self, text: str, match: re.Match[str], what: str, whole: str | None, by: str | None
    ) -> list[JudgedClaim] | None:
        def holds(trial: Trial) -> bool | None:
            if not trial.ended:
                return None
            nouns, after = Properties(trial).nouns, trial.value
            gone = _part(nouns, what)
            new = "" if by in (None, "empty string") else _part(nouns, by)
            found = [one for one in nouns.meanings(whole) if not one.of_output]
            befores = [one.values[0] for one in found if type(one.values[0]) is type(after)]
            if len(befores) != 1 or gone in ("", []) or gone not in befores[0]:
                return None
            if _exchange(befores[0], gone, new) == after:
                return True
            return None if gone not in after or (by and gone in new) else False

        return self.trials.everywhere(text, holds, [_part(Properties(self.trials.own).nouns, what)])

    def _all_but(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges "the output contains all elements of the input list except the last one"."""

        def holds(trial: Trial) -> bool | None:
            kind = match["kind"] or "input"
            found = Properties(trial).nouns.meanings(f"the input {kind}")
            if not trial.ended or len(found) != 1 or not found[0].values[0]:
                return None
            value, after = found[0].values[0], trial.value
            pairs = list(value.items()) if isinstance(value, dict) else value
            kept = pairs[1:] if match["end"] == "first" else pairs[:-1]
            return same_value(after, dict(kept) if isinstance(value, dict) else kept)

        return self.trials.everywhere(text, holds, [])


def _part(nouns: Nouns, told: str) -> Any:
    """Returns the value of code or of "newline"."""
    mark = MARKS.get(told.rstrip("s"))
    return nouns.literal(told) if mark is None else mark


def _exchange(before: Any, gone: Any, new: Any) -> Any:
    """Returns a text with all of a part replaced, or a list without an item."""
    if isinstance(before, str):
        return before.replace(str(gone), str(new))
    return [one for one in before if one != gone]
