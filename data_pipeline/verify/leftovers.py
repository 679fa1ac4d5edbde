"""Finds what a step names beside its confirmed claims: a receiver, an ordinal, a name, a value.

"`18` is appended to `col`" of a turn that appends it to `out`, "in that first call `r` = 6" of the
second one: the value is right, and yet the line is not. Each thing that a step names must be one
that its place has; a step with another is confirmed only in part.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.source.literals import value_or_none
from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import Claim
from data_pipeline.verify.clause_parts import constant_of
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, mask_code, spell
from data_pipeline.verify.ordinals import ANY_ORDINAL, ORDINALS
from data_pipeline.verify.places import Place
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.turns import body_window

_PUTS = (
    r"append|add|insert|push|put|store|place|save|record|write|concatenat|attach|join|prepend|copi|"
    r"collect"
)
_TAKES = r"remov|delet|popp|discard|subtract|deduct"
_PASSIVE = screened(  # "`x` is appended to `ys`"
    rf"⟦(?P<v>\d+)⟧,? (?:(?:which |that )?(?:is|are|was|were|gets?|being) )?"
    rf"(?:(?:then|now|also|again|next|therefore|thus|simply|just) )*"
    rf"(?P<p>{_PUTS}|{_TAKES})(?:ed|en|t|d)?(?: back| on| in| away| out| off)?"
    rf"(?: (?:at|to|onto) the (?:end|front|start|beginning|back)(?: of)?)?"
    rf"(?: (?:to|into|in|onto|on|from|under|inside|at|of))?"
    rf" (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧(?! ?[=(])",
    re.I,
)
_ACTIVE = screened(  # "appends `x` to `ys`"
    rf"\b(?P<p>{_PUTS}|{_TAKES})(?:e?s|ing|ting|es)? (?:[^.;,⟦]*?)⟦(?P<v>\d+)⟧"
    rf"(?: (?:at|to|onto) the (?:end|front|start|beginning|back)(?: of)?)?"
    rf" (?:to|into|in|onto|from|under|of) (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧(?! ?[=(])",
    re.I,
)
_CALL = screened(
    rf"\b(?P<o>{ANY_ORDINAL}) (?:(?P<r>recursive|inner|nested|outer) )?(?P<c>call|invocation)\b",
    re.I,
)
_SUPPOSED = re.compile(r"\b(?:if|would|could|might|unless|not|never|no|nothing)\b|n't\b", re.I)
_COUNTS = re.compile(  # which no reader of the code holds against the run
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten) (?!spaces?\b)|\b(?:twice|never|always)\b",
    re.I,
)
_STANDING = re.compile(r"\b(?:existing|already|in[- ]place|itself)\b", re.I)  # and these
_NTH_TIME = screened(rf"\b{ANY_ORDINAL} time\b", re.I)
_RAISING = screened(
    r"\bL(?P<a>\d+)\]?`? (?:to )?rais(?:e|es|ed|ing)\b|"
    r"\b(?:raised|thrown) (?:on|at|by|in) (?:line )?\[?L(?P<b>\d+)\b",
    re.I,
)
_COMPARED = screened(
    r"⟦(?P<a>\d+)⟧ and ⟦(?P<b>\d+)⟧ are compared\b|"
    r"\bcompar(?:es?|ed|ing) ⟦(?P<c>\d+)⟧ (?:with|to|and|against) ⟦(?P<d>\d+)⟧",
    re.I,
)
_AT_INDEX = re.compile(r"\bat (?:the )?(?:index|position)\b", re.I)
_WORD = re.compile(r"[A-Za-z_]\w*")
_GROUNDS = re.compile(r"\b(?:because|since|as)\b[^.;,]*", re.I)
_REASON = re.compile(r"\b(?:because|since)\b(?P<r>[^.;]*)", re.I)


class Leftovers:
    """Knows what the places of one run change, and which call they are in."""

    def __init__(self, run: Replay):
        self.run = run

    def of_sentence(
        self,
        sentence: Sentence,
        place: Place,
        held: Sequence[WordedClaim],
        claims: Sequence[Claim],
    ) -> Iterator[str]:
        """Yields what a sentence of true claims names that its place does not have.

        held: its claims about values and tests, and those of the sentences before it in its line
        """
        text, atoms = mask_code(sentence.plain, frozenset())
        if not _SUPPOSED.search(text):
            yield from self._receivers(text, atoms, place)
        yield from self._calls(text, atoms, place)
        yield from self._names(text, atoms, place, held, claims)
        yield from self._reasons(text, atoms, claims)
        yield from self._ordinals(text, claims)
        yield from self._raising(text)
        yield from self._compared(text, atoms, place)
        if all(claim.kind in ("code", "flow") for claim in claims):
            yield from (found[0] for found in _COUNTS.finditer(text))
            yield from self._beside_code(text, atoms, place, claims)

    def _names(
        self,
        text: str,
        atoms: Sequence[Atom],
        place: Place,
        held: Sequence[WordedClaim],
        claims: Sequence[Claim],
    ) -> Iterator[str]:
        """Yields each variable that neither the cited line nor a claim is about."""
        here = place.occurrence
        if here is None or not place.sure:
            return
        statement = self.run.statement_of(here.event)
        if statement is None or isinstance(statement, ast.FunctionDef):
            return
        own = {node.id for node in nodes_of(statement) if isinstance(node, ast.Name)}
        tests = [claim.text for claim in claims if claim.kind in ("branch", "expression")]
        own.update(_WORD.findall(" ".join(tests)))
        told = ATOM_NUMBER.findall(_GROUNDS.sub("", text))  # a reason is of other lines' tests
        for atom in (atoms[int(number)] for number in told):
            name = atom.text
            if name not in self.run.names or atom.literal or name in own:
                continue
            if not any(name in _names_of(one) for one in held):
                yield name

    def _reasons(self, text: str, atoms: Sequence[Atom], claims: Sequence[Claim]) -> Iterator[str]:
        """Yields a reason that only the program's code bears out, and no state of the run."""
        found = _REASON.search(text)
        if found is None:
            return
        reason = _bare(spell(found["r"], atoms))
        borne_out = any(
            claim.kind not in ("code", "flow") and _bare(claim.text) in reason for claim in claims
        )
        before = _bare(spell(text[: found.start()], atoms))
        if not borne_out and any(
            claim.kind == "code" and _bare(claim.text) not in before for claim in claims
        ):
            yield spell(found[0], atoms)

    # ---- what no claim is about

    def _ordinals(self, text: str, claims: Sequence[Claim]) -> Iterator[str]:
        """Yields "the second time" of a sentence whose turns or runs nothing counted."""
        counted = " ".join(claim.text for claim in claims if claim.kind == "iteration")
        yield from (one[0] for one in _NTH_TIME.finditer(text) if one[0] not in counted)

    def _raising(self, text: str) -> Iterator[str]:
        """Yields a line that is said to raise an exception and never does."""
        for found in _RAISING.finditer(text):
            line = int(found["a"] or found["b"]) - FIRST_LABEL + 1
            if not any(e.kind == "exception" and e.line == line for e in self.run.events):
                yield found[0]

    def _compared(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[str]:
        """Yields two values that are said to be compared where the line compares others."""
        here = place.occurrence
        statement = self.run.statement_of(here.event) if here is not None and place.sure else None
        if here is None or statement is None:
            return
        for found in _COMPARED.finditer(text):
            told = [atoms[int(n)] for n in found.groups() if n is not None]
            if not all(atom.literal for atom in told):
                continue
            state = self.run.state(here.event.frame, here.at - 1)
            wanted = {atom.text for atom in told}
            tests = [n for n in own_nodes(statement) if isinstance(n, ast.Compare)]
            if not any(wanted <= _operands(test, state) for test in tests):
                yield spell(found[0], atoms)

    def _beside_code(
        self, text: str, atoms: Sequence[Atom], place: Place, claims: Sequence[Claim]
    ) -> Iterator[str]:
        """Yields what stands beside claims about code alone and may be false while they hold."""
        here = place.occurrence
        statement = self.run.statement_of(here.event) if here is not None else None
        yield from (found[0] for found in _STANDING.finditer(text))
        if statement is not None and _calls_remove(statement):
            yield from (found[0] for found in _AT_INDEX.finditer(text))
        if here is None:
            told = " ".join(claim.text for claim in claims)
            written = {repr(n.value) for n in self.run.nodes if isinstance(n, ast.Constant)}
            for atom in atoms:
                if atom.literal and atom.text not in told and atom.text not in written:
                    yield atom.text

    # ---- what is put into, and taken out of, what

    def _receivers(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[str]:
        for pattern in (_PASSIVE, _ACTIVE):
            for found in pattern.finditer(text):
                owner = re.match(r"[A-Za-z_]\w*", atoms[int(found["x"])].text)
                if owner is None or owner[0] not in self.run.names:
                    continue
                value = constant_of(atoms[int(found["v"])])
                if not self._changes(owner[0], value, place):
                    yield spell(found[0], atoms)

    def _changes(self, name: str, value: str | None, place: Place) -> bool:
        """Returns whether the place changes a variable by a value, if one is told."""
        first, last = self._span(place)
        changed = False
        for at in range(first, min(last + 1, len(self.run.events))):
            event = self.run.events[at]
            if name not in event.changed or event.kind == "step":
                continue
            before, after = self.run.value(event.frame, name, at - 1), event.changed[name]
            if before == after:
                continue
            changed = True
            if value is None or before is None or _is_moved(value, before, after):
                return True
        return False if value is not None else changed

    def _span(self, place: Place) -> tuple[int, int]:
        """Returns the first and last event of a place: of a turn, of a line with its body."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            return place.window
        if here is None:
            return 0, len(self.run.events) - 1
        _, last = body_window(self.run, here) or (here.at, here.end - 1)
        return here.at, max(last, here.end - 1)

    # ---- which call

    def _calls(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[str]:
        here = place.occurrence
        if here is None and place.window is None:
            return
        frame = here.event.frame if here is not None else place.frame
        for found in _CALL.finditer(text):
            wanted = ORDINALS[found["o"].lower()]
            if wanted not in self._numbers(frame, here, bool(found["r"])):
                yield spell(found[0], atoms)

    def _numbers(self, frame: int, here: Occurrence | None, recursive: bool) -> set[int]:
        """Returns the numbers of the call of a frame, and of those that its line makes.

        recursive: whether calls may be counted without the first one
        """
        numbers: set[int] = set()
        entries = [one.event for one in self.run.entries]
        frames = [one.frame for one in entries]
        made = {frame}
        if here is not None:
            made |= {one.frame for one in self.run.events[here.at : here.end]}
        for one in made & set(frames):
            function = entries[frames.index(one)].function
            own = [e.frame for e in entries if e.function == function]
            at = own.index(one)
            numbers |= {at + 1, at} if recursive else {at + 1}
            if at + 1 == len(own):
                numbers.add(-1)
        return numbers


def _names_of(worded: WordedClaim) -> frozenset[str]:
    """Returns the words of the code that a claim is about."""
    told = (worded.subject or "", worded.value, *worded.others, *(n for n, _ in worded.given))
    return frozenset(_WORD.findall(" ".join(told)))


def _operands(test: ast.Compare, state: Mapping[str, str]) -> set[str]:
    """Returns the values that a comparison compares, as far as they are known."""
    values = set()
    for node in (test.left, *test.comparators):
        try:
            values.add(render(evaluate_node(node, state)))
        except (Unknown, ValueError, RecursionError):
            continue
    return values


def _calls_remove(statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("remove", "discard")
        for node in own_nodes(statement)
    )


def _bare(text: str) -> str:
    return text.replace("`", "").strip(" .,;:")


def _is_moved(value: str, before: str, after: str) -> bool:
    """Returns whether a value is what a variable gains, or loses, between two states of it."""
    told, old, new = value_or_none(value), value_or_none(before), value_or_none(after)
    if told is None or old is None or new is None:
        return True
    if isinstance(new, int | float) and isinstance(old, int | float):
        return isinstance(told, int | float) and abs(new - old) == abs(told)
    if told == new or type(old) is not type(new):
        return True
    try:
        if isinstance(new, str):
            return new.count(str(told)) != old.count(str(told))
        if isinstance(new, dict):
            items = [one for one in (*new.items(), *old.items())
                     if one not in new.items() or one not in old.items()]  # fmt: skip
            return any(told in (key, item) or _holds(item, told) for key, item in items)
        if isinstance(new, set | frozenset):
            return told in new ^ old or (isinstance(told, set) and told <= new)
        if isinstance(told, list | tuple) and old + type(old)(told) == new:
            return True
        if new.count(told) != old.count(told):
            return True
        return any(_holds(one, told) for one in (*new, *old) if one not in new or one not in old)
    except TypeError:
        return True


def _holds(container: object, part: object) -> bool:
    return isinstance(container, list | tuple | set | dict) and part in container
