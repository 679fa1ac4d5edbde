"""Reads sentences that describe what the code does, without values of a run.

"It initializes an empty list `r`", "if the character is not a vowel, it returns `None`": every
clause is held against the actions of the program. A clause is confirmed if one action does what it
says, in the part of the program that its condition names; contradicted only if the one action that
it must speak of does something else; and unread otherwise.
"""

import ast
import re
import weakref
from collections.abc import Iterator

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.actions import Action
from data_pipeline.verify.branches import Region, Tests
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.clauses import Clause, Phrase, split_clauses
from data_pipeline.verify.conditions import Condition, Test, read_condition
from data_pipeline.verify.matching import TALK_WORDS, Matcher
from data_pipeline.verify.phrases import (
    Code,
    code_of,
    one_phrase,
)
from data_pipeline.verify.reading import JudgedClaim, Reading
from data_pipeline.verify.signature import read_mutation, read_signature
from data_pipeline.verify.wordlists import word_set

_MARKUP = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(?:\*\*[^*]+\*\*:?\s*)?(?:\[L\d+\]:?\s*)?")
_EMPTY_TALK = re.compile(
    r"^(?:here(?:'s| is) .*|let(?:'s| us) .*|the function works as follows|.*\bas follows"
    r"|.*performs? the"
    r" following \w+|it works as follows|.*the following (?:steps|operations|actions|tasks)|"
    r".*perform(?:s|ing) (?:a|an|some|several|various|a series of|different|specific)\b[^`]*"
    r"(?:operations?|actions?|steps|transformations?|task)\b(?: on (?:it|the list|the string|this"
    r" list))?|"
    r".*step by step.*|(?:the |its |this )*(?:purpose|goal) of (?:this|the) function)[\s:.,]*$",
    re.I,
)  # fmt: skip
_GENERIC = word_set(
    """
    perform process handle ensure operate work execute contain include catch output keep
    """
)
_CHECKS = word_set("check determine verify test evaluate examine ensure compare")


def read_description(run: Replay, sentence: str, focus: ast.stmt | None = None) -> Reading:
    """Judges a sentence that describes the program's code.

    `focus` is the statement that the sentence is said of, if it stands in a labelled step.
    """
    text = _MARKUP.sub("", sentence.replace("**", ""), count=1).strip()
    return _reader_of(run).read(text, focus)


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

    def read(self, text: str, focus: ast.stmt | None) -> Reading:
        claims: list[JudgedClaim] = []
        unread: list[str] = []
        signature = read_signature(self.run, self.code, text)
        if signature is not None:
            claims += signature.claims
            unread += signature.unread
            text = signature.rest
        for sentence in _sentences(text):
            found = self._read_sentence(sentence, focus)
            claims += found.claims
            unread += found.unread
        return Reading(tuple(claims), tuple(unread))

    def _read_sentence(self, text: str, focus: ast.stmt | None) -> Reading:
        if _EMPTY_TALK.match(text):
            return Reading()
        claims: list[JudgedClaim] = []
        unread: list[str] = []
        if mutation := read_mutation(self.run, self.code, text):
            claims.append(mutation[0])
            text = mutation[1]
        context = _Context(self, focus)
        for clause in split_clauses(text):
            verdict = context.judge(clause)
            if verdict is None:
                unread.append(clause.text)
            elif verdict:
                claims.append(JudgedClaim("code", clause.text, verdict, context.truth))
        return Reading(tuple(claims), tuple(unread))


def _sentences(text: str) -> Iterator[str]:
    """Yields sentences; a condition and the "if it is, …" after it stay together."""
    parts = [part for part in re.split(r"(?<=[\w`)\"'])[.]\s+(?=[A-Z])", text) if part.strip(" .")]
    joined: list[str] = []
    for part in parts:
        if joined and re.match(
            r"(?:if (?:it|so|not|they|this|both|either|any|no)\b|otherwise|else)", part, re.I
        ):
            joined[-1] += ". " + part
        else:
            joined.append(part)
    yield from joined


class _Context:
    """Judges the clauses of one sentence in order; remembers their condition."""

    def __init__(self, reader: _Reader, focus: ast.stmt | None):
        self.code, self.tests, self.matcher = reader.code, reader.tests, reader.matcher
        self.focus = None if focus is None else frozenset(ast.walk(focus))
        self.condition: Condition | None = None
        self.truth: str | None = None

    def judge(self, clause: Clause) -> str | None:
        """Returns a verdict, "" if the clause says nothing, None if it was not read."""
        self.truth = None
        if not clause.verb:
            return self._judge_bare(clause)
        if clause.verb in _CHECKS and clause.marker in ("if", "whether", ""):
            return self._judge_check(clause)
        regions: list[tuple[Region, Region]] | None = None
        if clause.marker:
            said = self._said(clause)
            if said is None and clause.marker == "otherwise":
                return self._judge_action(clause, self.tests.otherwise())
            if said is None:
                return self._judge_result(clause, None)
            regions = self.tests.regions(said)
            if not regions:
                return self._judge_result(clause, said)
        if clause.verb in _GENERIC and not clause.subject.atoms:
            return "" if self._is_talk(clause) else None
        if clause.negated:
            return None
        return self._judge_action(clause, regions)

    def _said(self, clause: Clause) -> Condition | None:
        """Returns the condition that a clause stands under, also "if it is" and "otherwise"."""
        words = [token.lower for token in clause.condition]
        if clause.marker == "otherwise":
            if self.condition is None:
                return None
            self.condition = self.condition.negated()
            return self.condition
        if (
            words[:1] in (["it"], ["they"], ["so"], ["not"], ["this"], ["that"])
            and set(words) <= _REFERRING
        ):
            if self.condition is not None and {"not", "doesn't", "isn't", "no"} & set(words):
                self.condition = self.condition.negated()
            return self.condition
        said = read_condition(clause.condition)
        if said is not None:
            said = self._resolved(said)
            self.condition = said.negated() if clause.marker in ("unless", "until") else said
            return self.condition
        return None

    def _resolved(self, said: Condition) -> Condition:
        """Takes the subject of "it is not found" from the condition before it."""
        if not isinstance(said, Test) or not isinstance(self.condition, Test):
            return said
        subject = said.subject
        if (
            isinstance(subject, Phrase)
            and not subject.atoms
            and set(subject.words) <= {"it", "they"}
        ):
            return Test(said.name, self.condition.subject, said.argument, said.positive)
        return said

    def _judge_check(self, clause: Clause) -> str | None:
        said = read_condition(clause.condition) if clause.condition else _presence(clause)
        if said is None:
            if not clause.condition and not clause.slots:
                return "" if self._is_talk(clause) else None
            return None if clause.condition else self._judge_action(clause, None)
        self.condition = self._resolved(said)
        if self.tests.states(self.condition) or self._value_states(said):
            return CONFIRMED
        return None

    def _value_states(self, said: Condition) -> bool:
        """Tells whether an expression of the program has the condition as its value."""
        return any(self._compare_value(said, action.roles["object"]) for action in self._values())

    def _values(self) -> Iterator[Action]:
        for action in self.code.actions:
            if "return" in action.verbs and isinstance(action.roles.get("object"), ast.expr):
                yield action

    def _compare_value(self, said: Condition, value: ast.expr | str) -> str | None:
        from data_pipeline.verify.conditions import compare_conditions, read_test

        if not isinstance(value, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Call):
            return None
        return compare_conditions(said, read_test(value), self.tests.fits)

    def _judge_result(self, clause: Clause, said: Condition | None) -> str | None:
        """Judges "returns `True` if n is even" where the test itself is returned."""
        given = clause.slots.get("object")
        if said is None or clause.verb != "return" or given is None or clause.negated:
            return None
        if given.atoms[:1] not in (("True",), ("False",)):
            return None
        verdicts = {self._compare_value(said, action.roles["object"]) for action in self._values()}
        if (
            len(verdicts) != 1
            or None in verdicts
            or given.atoms[1:] not in ((), ("False",), ("True",))
        ):
            return None
        good = verdicts == {"same" if given.atoms[0] == "True" else "opposite"}
        self.truth = "; ".join(ast.unparse(action.statement) for action in self._values())
        return CONFIRMED if good else CONTRADICTED

    def _judge_bare(self, clause: Clause) -> str | None:
        if clause.marker and clause.marker != "otherwise":
            said = self._said(clause)
            if said is None and not self._is_talk(clause):
                return None
        return "" if self._is_talk(clause) else None

    def _is_talk(self, clause: Clause) -> bool:
        """Tells whether a clause says nothing that could be false."""
        phrase = one_phrase(clause.subject, *clause.slots.values())
        function = self.code.function.name if self.code.function else ""
        atoms = [atom for atom in phrase.atoms if atom.removesuffix("()") != function]
        return not atoms and all(word in TALK_WORDS for word in phrase.words)

    def _judge_action(
        self, clause: Clause, regions: list[tuple[Region, Region]] | None
    ) -> str | None:
        actions = [
            action for action in self.code.actions
            if clause.verb in action.verbs and (self.focus is None or action.node in self.focus)
        ]  # fmt: skip
        inside = [a for a in actions if regions is None or any(a.node in yes for yes, _ in regions)]
        verdicts = [self.matcher.matches(clause, action) for action in inside]
        if True in verdicts:
            return CONFIRMED
        if regions is not None:
            return self._judge_elsewhere(clause, actions, inside, regions)
        meant = [
            (action, verdict) for action, verdict in zip(inside, verdicts, strict=True)
            if verdict is False or self.matcher.is_anchored(clause, action)
        ]  # fmt: skip
        if meant and all(verdict is False for _, verdict in meant):
            self.truth = ast.unparse(meant[0][0].statement).partition("\n")[0]
            return CONTRADICTED
        return None

    def _judge_elsewhere(
        self, clause: Clause, actions: list[Action], inside: list[Action],
        regions: list[tuple[Region, Region]],
    ) -> str | None:  # fmt: skip
        """Contradicts "if x, it returns y" where y is returned only if not x."""
        if clause.verb != "return" or not clause.slots.get("object", Phrase()).atoms:
            return None
        other = [a for a in actions if a not in inside and any(a.node in no for _, no in regions)]
        if any(self.matcher.matches(clause, action) is True for action in other) and all(
            self.matcher.plainly_differs(clause, action) for action in inside
        ):
            self.truth = "; ".join(ast.unparse(a.statement).partition("\n")[0] for a in inside)
            return CONTRADICTED
        return None


_REFERRING = word_set(
    """
    it they so not this that is are does do doesn't isn't was the case condition true found
    match one no met holds exists if
    """
)


def _presence(clause: Clause) -> Condition | None:
    """Reads "checks for the presence of x in y"."""
    about = clause.slots.get("for")
    if about is None or "presence" not in about.words or "in" not in clause.slots:
        return None
    tokens = tuple(token for token in about.tokens if token.lower not in ("the", "presence", "of"))
    return Test("in", Phrase(tokens), clause.slots["in"])
