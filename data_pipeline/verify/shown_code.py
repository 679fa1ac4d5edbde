"""Judges sentences that only show code of the place, also with values put in: "this is `xs[0:2]`".

`xs[i:n]` told as `xs[0:2]` is right where `i` is 0 and `n` is 2. Every word beside the code must be
one of narration, and every piece of code must be the line's own, as it is written or with values.
"""

import ast
import bisect
import dataclasses
import functools
import operator
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, NOT_CHECKABLE, UNREAD, Claim
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.masking import is_literal, mask_code
from data_pipeline.verify.places import Place
from data_pipeline.verify.screening import screened
from data_pipeline.verify.value_verdicts import ValueVerdicts
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_MOST_LINES = 60
_NARRATION = word_set(
    """
    the a an this that it we which function program code line expression operation method call
    slicing slice substring comprehension list string condition statement value new return result
    next then now here so thus therefore and is are as to using with by calculates calculate
    computes constructs builds creates evaluates evaluate executes executed calculated computed
    evaluated performed created constructed translates becomes simplifies equivalent means gives
    follows call calls called formula following resulting generator key slice sum index length
    becomes performs applied applies invoked runs run dictionary tuple set translation table used
    """
)
_WORDS = re.compile(r"[a-z'-]+|[^\s\w.,:;*()-]")
_LABELS = re.compile(r"\[?\bl\d+\b\]?")
_INSERTED = screened(r"\binsert\w*\b[^.;]*?\bat (?:the )?(?:index|position|place) ⟦(\d+)⟧", re.I)


class ShownCode:
    """Judges the pieces of code that the steps of one monologue show."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def judged(self, claims: list[Claim], plain: str, place: Place) -> list[Claim]:
        """Returns the claims of a sentence with those judged that only show code of its place."""
        return [
            dataclasses.replace(claim, kind="code", verdict=CONFIRMED)
            if claim.verdict == NOT_CHECKABLE
            and claim.kind in (UNREAD, "code", "expression")
            and self._shows_code(claim.text, plain, place)
            else claim
            for claim in claims
        ]

    def denied(self, plain: str, place: Place) -> Iterator[str]:
        """Yields each call of a sentence that its place makes with other values.

        Example: "`xs.insert(1, 0)` inserts 0" at `xs.insert(i, 0)` where `i` is 2.
        """
        masked, atoms = mask_code(plain, frozenset())
        for found in _INSERTED.finditer(masked):
            told, places = atoms[int(found[1])].text, set(self._insertions(place))
            known = places and "?" not in places
            if known and told.lstrip("-").isdigit() and told not in places:
                yield f"at index {told}"
        for atom in atoms:
            told = _parse(atom.text) if "(" in atom.text and not atom.literal else None
            if not isinstance(told, ast.Call) or not (told.args or told.keywords):
                continue
            if isinstance(told.func, ast.Name) and told.func.id in self.run.functions:
                continue  # its calls are many, and none may be of this line
            own = [(node, here) for here in self._lines(place) for node in self._calls(here)
                   if _same_function(told, node)]  # fmt: skip
            if own and not any(
                self._is_instance(told, node, here, unknown=True) for node, here in own
            ):
                yield atom.text

    def _insertions(self, place: Place) -> Iterator[str]:
        """Yields the indexes at which the lines of a place insert."""
        lines = list(self._lines(place)) or self.run.occurrences[:_MOST_LINES]
        for here in lines:
            for node in self._nodes(here):
                match node:
                    case ast.Call(func=ast.Attribute(attr="insert"), args=[index, _]):
                        code = ast.unparse(index)
                        text = self.values.text_at(code, here.event.frame, here.at - 1)
                        yield text if text is not None else "?"

    def names_code(self, plain: str, place: Place) -> bool:
        """Tells whether a whole sentence only shows code of its place."""
        return self._shows_code(plain.strip(" -*.:"), plain, place)

    def _shows_code(self, text: str, plain: str, place: Place) -> bool:
        piece = codes_in(text, plain)
        if piece is None or not 0 < len(piece.codes) <= 2 or set(piece.words) - _NARRATION:
            return False
        codes = piece.codes
        if all(code.isidentifier() for code in codes) or any(map(is_literal, codes)):
            return False  # a value alone is told, not shown
        return all(self._is_here(code, place) for code in codes)

    def _is_here(self, code: str, place: Place) -> bool:
        told = _parse(code)
        return told is not None and any(
            self._is_instance(told, node, here)
            for here in self._lines(place)
            for node in self._nodes(here)
        )

    def _nodes(self, here: Occurrence) -> Iterator[ast.AST]:
        statement = self.run.statement_of(here.event)
        if statement is not None:
            yield from own_nodes(statement)

    def _calls(self, here: Occurrence) -> tuple[ast.Call, ...]:
        statement = self.run.statement_of(here.event)
        return () if statement is None else _calls_in(statement)

    def _lines(self, place: Place) -> Sequence[Occurrence]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            return [one for one in self.run.occurrences if first <= one.at <= last][:_MOST_LINES]
        if here is not None and place.sure:
            return [here]
        return self.run.occurrences[:_MOST_LINES] if len(self.run.loops) == 0 else ()

    def _is_instance(
        self, told: ast.AST, real: ast.AST, here: Occurrence, *, unknown: bool = False
    ) -> bool:
        """Tells whether code is the program's, with values in place of some of its parts.

        unknown: what a part counts as whose value is not known, as in a comprehension
        """
        if isinstance(real, ast.expr) and isinstance(told, ast.expr):
            literal = _unparsed(told)
            if literal is not None and is_literal(literal) and not isinstance(real, ast.Constant):
                text = self.values.text_at(ast.unparse(real), here.event.frame, here.at - 1)
                return unknown if text is None else compare(literal, text) == CONFIRMED
        if type(told) is not type(real):
            return False
        match told, real:  # "`find(x)` is called on `s`"
            case (
                ast.Call(func=ast.Name(id=name)),
                ast.Call(func=ast.Attribute(attr=attr), args=args, keywords=keywords),
            ) if name == attr:
                real = ast.Call(told.func, args, keywords)
        for name, one in ast.iter_fields(told):
            if name in ("ctx", "lineno", "kind", "type_comment"):
                continue
            two = getattr(real, name, None)
            if isinstance(one, ast.AST) and isinstance(two, ast.AST):
                if not self._is_instance(one, two, here, unknown=unknown):
                    return False
            elif isinstance(one, list) and isinstance(two, list):
                if len(one) != len(two) or not all(
                    self._is_instance(a, b, here, unknown=unknown)
                    if isinstance(a, ast.AST)
                    else a == b
                    for a, b in zip(one, two, strict=True)
                ):
                    return False
            elif one != two:
                return False
        return True


@dataclasses.dataclass(frozen=True)
class Piece:
    """Holds a piece of a sentence: its words, its code and values, and its text with backticks."""

    words: tuple[str, ...]
    codes: tuple[str, ...]
    marked: str


def codes_in(text: str, plain: str) -> Piece | None:
    """Returns a part of a sentence apart into words and code; None if it is not found there."""
    written, spans = _spans_of(plain)
    wanted = text.replace("`", "")
    at = written.find(wanted)
    if at < 0 or not wanted:
        return None
    words: list[str] = []
    codes: list[str] = []
    end, marked = at + len(wanted), []
    for first, own, is_code in spans[bisect.bisect(spans, at, key=_start) - 1 :]:
        if first >= end:
            break
        if is_code:
            codes.append(own)
            marked.append(f"`{own}`")
        else:
            cut = own[max(0, at - first) : end - first]
            marked.append(cut)
            words += _WORDS.findall(_LABELS.sub("", cut.lower()))
    return Piece(tuple(words), tuple(codes), "".join(marked))


_Span = tuple[int, str, bool]  # its start in the sentence, its text, whether it is code
_start = operator.itemgetter(0)


@functools.lru_cache(maxsize=64)
def _spans_of(plain: str) -> tuple[str, list[_Span]]:
    """Returns a sentence without backticks, and its spans of prose and of code, in their order.

    Kept for the next claim: a sentence of a thousand values makes as many claims.
    """
    masked, atoms = mask_code(plain, frozenset())
    spans: list[_Span] = []
    here = 0
    for piece in filter(None, re.split(r"(⟦\d+⟧)", masked)):
        is_code = piece.startswith("⟦")
        own = atoms[int(piece[1:-1])].text if is_code else piece
        spans.append((here, own, is_code))
        here += len(own)
    return "".join(own for _, own, _ in spans), spans


@functools.lru_cache(maxsize=4096)
def _calls_in(statement: ast.stmt) -> tuple[ast.Call, ...]:
    return tuple(node for node in own_nodes(statement) if isinstance(node, ast.Call))


def _parse(code: str) -> ast.AST | None:
    code = code.strip().removeprefix(".").removesuffix(":")
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1:
        return None
    return body[0].value if isinstance(body[0], ast.Expr) else body[0]


def _same_function(one: ast.Call, two: ast.Call) -> bool:
    """Tells whether both call the same name or method with as many arguments."""
    if len(one.args) != len(two.args) or len(one.keywords) != len(two.keywords):
        return False
    if isinstance(one.func, ast.Attribute) and isinstance(two.func, ast.Attribute):
        return one.func.attr == two.func.attr
    told = getattr(one.func, "id", None)  # also of a method: "`replace(a, b)` is called on `s`"
    return told is not None and told == getattr(two.func, "id", getattr(two.func, "attr", None))


def _unparsed(node: ast.expr) -> str | None:
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        return None
