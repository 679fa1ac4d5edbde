"""Reads sentences that describe what the code does, without values of a run.

"It initializes an empty list `r`", "if the character is not a vowel, it returns `None`": every
clause is held against the actions of the program. A clause is confirmed if one action does what it
says, in the part of the program that its condition names; contradicted only if the one action that
it must speak of does something else; and unread otherwise.
"""

import re
import weakref
from collections.abc import Iterator

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.alignment import Aligner
from data_pipeline.verify.branches import Tests
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.clause_verdicts import ClauseJudge, Focus, focused_nodes
from data_pipeline.verify.clauses import split_clauses
from data_pipeline.verify.matching import Matcher
from data_pipeline.verify.misnomers import deny, is_misnamed
from data_pipeline.verify.named_parts import read_parts
from data_pipeline.verify.phrases import (
    Code,
    code_of,
)
from data_pipeline.verify.program_forms import (
    read_forms,
    read_table,
    without_table,
)
from data_pipeline.verify.properties import (
    read_absence,
    read_filter,
    read_mutation,
    read_output_type,
)
from data_pipeline.verify.purposes import judge_purpose, purpose_sentence
from data_pipeline.verify.reading import JudgedClaim, Reading
from data_pipeline.verify.result_contents import read_contents
from data_pipeline.verify.result_forms import read_key
from data_pipeline.verify.screening import screened
from data_pipeline.verify.selections import read_selection
from data_pipeline.verify.signature import read_signature
from data_pipeline.verify.simplifying import simplify

_MARKUP = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(?:\*\*[^*]+\*\*:?\s*)?(?:\[L\d+\]:?\s*)?")
_EMPTY_TALK = re.compile(
    r"^(?:here(?:'s| is) .*|let(?:'s| us) .*|the function works as follows|.*\bas follows"
    r"|.*performs? the"
    r" following \w+|it works as follows|.*the following (?:steps|operations|actions|tasks)|"
    r".*performs? (?:a series of |several |different )?(?:operations|actions)"
    r"(?: on [^`.]*)? based on [^`.]*|"
    r".*perform(?:s|ing) (?:a|an|some|several|various|a series of|different|specific)\b[^`]*"
    r"(?:operations?|actions?|steps|transformations?|task)\b(?: on (?:it|the list|the string|this"
    r" list))?|"
    r".*performs? (?:two|three|several|different) (?:operations|actions) on (?:it|them)|"
    r".*step by step.*|(?:the |its |this )*(?:purpose|goal) of (?:this|the) function)[\s:.,]*$",
    re.I,
)  # fmt: skip

_SECOND_PAIR = re.compile(  # "replaces "a" with "b" and "c" with "d""
    r"(\bwith (?:`[^`]+`|\"[^\"]*\")),? and ((?:`[^`]+`|\"[^\"]*\") with )"
)
_FULL_STOP = re.compile(r"(?<=[\w`)\"'])[.]\s+(?=[A-Z])")
_GLOSS = re.compile(  # "(like punctuation, …)", "(digit)", "(0-9)": explains a word, says no more
    r" \((?:i\.e\., |e\.g\.,? |like |such as |both )?(?:(?!not\b|or\b)[a-z]+(?:,? (?:and|or"
    r"|etc\.?|[a-z]+)){0,4}|\w-\w(?:, \w-\w)*"
    r"|(?:like|such as|e\.g\.,?) [^`\"')]*|i\.e\., not empty)\)",
)
_MOST_READINGS = 1024  # kept for one run
_SHOWN_AS = screened(r" \((?:i\.e\.|that is),? (`[^`]+`)\)")


def read_description(run: Replay, sentence: str, focus: Focus = None) -> Reading:
    """Judges a sentence that describes the program's code.

    `focus` is the statement that the sentence is said of, if it stands in a labelled step, or the
    code that runs in the turn that it tells.
    """
    text = _MARKUP.sub("", sentence.replace("**", ""), count=1).strip()
    text = _SHOWN_AS.sub(r" \1", text).replace("which is another", "which is a")
    text = _GLOSS.sub("", text).replace("when divided by", "divided by")
    text = text.replace("reaches or exceeds", "is at least").replace("does not contain", "lacks")
    text = _SECOND_PAIR.sub(r"\1 and replaces \2", text)
    return _reader_of(run).reading(text, focus, sentence)


_READERS: "weakref.WeakKeyDictionary[Replay, _Reader]" = weakref.WeakKeyDictionary()


def _reader_of(run: Replay) -> "_Reader":
    reader = _READERS.get(run)
    if reader is None:
        reader = _READERS[run] = _Reader(weakref.proxy(run), code_of(run))
    return reader


class _Reader:
    """Reads sentences on one program."""

    def __init__(self, run: Replay, code: Code):
        self.run, self.code = run, code
        self.tests, self.matcher = Tests(code), Matcher(code)
        self.aligner = Aligner(code, self.tests)
        self._read: dict[tuple[str, Focus, str], Reading] = {}

    def reading(self, text: str, focus: Focus, line: str) -> Reading:
        """Returns what `read` does; the same sentence is asked for by several readers of a line."""
        key = (text, focus, line)
        if key not in self._read:
            if len(self._read) >= _MOST_READINGS:
                self._read.clear()
            self._read[key] = self.read(text, focus, line)
        return self._read[key]

    def read(self, text: str, focus: Focus, line: str) -> Reading:
        claims: list[JudgedClaim] = []
        unread: list[str] = []
        if found := read_key(self.run, self.code, text):
            claims.append(found[0])
            text = found[1]
        text = simplify(text)
        signature = read_signature(self.run, self.code, text)
        if signature is not None and is_misnamed(self.code, text.removesuffix(signature.rest)):
            claims += [claim for claim in signature.claims if claim.verdict == CONTRADICTED]
            unread.append(text.removesuffix(signature.rest))
            text = signature.rest
        elif signature is not None:
            claims += signature.claims
            for name, said in signature.purposes:
                verdict = self._purpose(name, said)
                if verdict is None:
                    unread.append(said)
                elif verdict:
                    claims.append(JudgedClaim("code", f"`{name}`: {said}", verdict))
            text = signature.rest
        for sentence in _sentences(text):
            found = self._read_sentence(sentence, focus)
            if (truth := deny(self.code, sentence, line)) is not None:
                wrong = JudgedClaim("code", sentence, CONTRADICTED, truth)
                found = Reading((*found.claims, wrong))
            if is_misnamed(self.code, sentence):
                kept = [claim for claim in found.claims if claim.verdict == CONTRADICTED]
                found = Reading(tuple(kept), (sentence,))
            claims += found.claims
            unread += found.unread
        return Reading(tuple(claims), tuple(unread))

    def _purpose(self, name: str, said: str) -> str | None:
        """Returns CONFIRMED if the code does with a parameter what it is said to be for."""
        if (known := judge_purpose(self.code, name, said)) is not None:
            return known
        told = purpose_sentence(name, said)
        return CONFIRMED if told and self.aligner.says_truly(told, None) else None

    def _read_sentence(self, text: str, focus: Focus) -> Reading:
        if _EMPTY_TALK.match(text):
            return Reading()
        if focus is None:
            focus = self.aligner.place(text)
        read, left = self._read_patterns(text, focus)
        wrong = any(claim.verdict == CONTRADICTED for claim in read.claims)
        return read if wrong or not read.unread else self._align(text, left, focus, read)

    def _align(self, text: str, left: str, focus: Focus, read: Reading) -> Reading:
        """Aligns a sentence that the patterns did not read whole, or what they left of it."""
        for told in (text, left) if left != text else (text,):
            said = self.aligner.says_truly(told, focused_nodes(focus))
            if said is not None:
                own = (JudgedClaim("code", told, CONFIRMED),) if said else ()
                return Reading((*read.claims, *own))
        return read

    def _read_patterns(self, text: str, focus: Focus) -> tuple[Reading, str]:
        """Returns what the patterns read, and the text without what the first of them took."""
        claims: list[JudgedClaim] = read_table(self.code, text)
        unread: list[str] = []
        if claims:
            text = without_table(text)
        told, text = read_forms(self.run, self.code, text)
        claims += told
        if found := read_parts(self.code, text):
            claims.append(found[0])
            text = found[1]
        if found := read_selection(self.run, self.code, text):
            claims.append(found[0])
            text = found[1]
        while found := read_contents(self.run, self.code, text):
            claims.append(found[0])
            text = found[1]
        for read in (read_mutation, read_mutation, read_absence, read_filter, read_output_type):
            if found := read(self.run, self.code, self.tests, text):
                claims.append(found[0])
                text = found[1]
        judge = ClauseJudge(self.code, self.tests, self.matcher, focus)
        for clause in split_clauses(text):
            verdict = judge.judge(clause)
            if verdict is None:
                unread.append(clause.text)
            elif verdict:
                claims.append(JudgedClaim("code", clause.text, verdict, judge.truth))
        return Reading(tuple(claims), tuple(unread)), text


def _sentences(text: str) -> Iterator[str]:
    """Yields sentences; a condition and the "if it is, …" after it stay together."""
    parts = [part for part in _FULL_STOP.split(text) if part.strip(" .")]
    joined: list[str] = []
    for part in parts:
        if joined and re.match(
            r"(?:if (?:it|so|not|they|this|both|either|any|no)\b|otherwise|else)", part, re.I
        ):
            joined[-1] += ". " + part
        else:
            joined.append(part)
    yield from joined
