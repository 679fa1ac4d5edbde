"""Aligns the segments of a sentence with the operations of one program."""

import ast
import dataclasses
import functools
from collections.abc import Sequence

from data_pipeline.source.syntax import nodes_of
from data_pipeline.verify.actions import Action
from data_pipeline.verify.alignment.conditions import ConditionReader
from data_pipeline.verify.alignment.evidence import STRICT_STEMS, Evidence, index_parts, made_type
from data_pipeline.verify.alignment.lexicon import (
    FILLER_STEMS,
    POLAR_STEMS,
    TYPES,
    stem,
    stems,
    synonyms,
)
from data_pipeline.verify.alignment.operations import list_operations
from data_pipeline.verify.alignment.qualities import Quality, judge_quality
from data_pipeline.verify.alignment.results import fits_result
from data_pipeline.verify.alignment.segments import (
    Piece,
    boundaries,
    read_pieces,
    strip_beginning,
)
from data_pipeline.verify.branches import Region, Tests
from data_pipeline.verify.conditions import read_condition
from data_pipeline.verify.lexicon import Token
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.wordlists import word_set

_PREPOSITIONS = {
    "to": "to", "into": "to", "onto": "to", "from": "from", "with": "with", "using": "with",
    "via": "with", "by": "with", "in": "in", "on": "in", "within": "in", "inside": "in",
    "at": "at", "as": "as", "over": "over", "through": "over", "across": "over",
    "called": "named", "named": "named",
}  # fmt: skip
_BE = word_set("is are be been was were being gets get")
_DETERMINERS = word_set("the a an its their this these those each every any no all such of")
_TELLING_VERBS = stems(word_set("reverse sort swap capitalize break"))
_CHECKS = stems(word_set("check determine verify test see ensure evaluate examine"))
_MOST_TOKENS, _MOST_BOUNDARIES, _MOST_HEADS = 90, 14, 3


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Holds a segment's operations; none, and not `says`, for a segment that claims nothing.

    A segment that states a test of the program holds what runs under it: the operation of the
    segment before it must be done there.
    """

    actions: tuple[Action, ...] = ()
    says: bool = False
    under: tuple[Region, ...] | None = None


_NOTHING = Aligned()


class Aligner:
    """Reads descriptions of one program."""

    def __init__(self, code: Code, tests: Tests):
        self.code = code
        self.conditions = ConditionReader(code, tests)
        self.function = code.function.name if code.function else ""

    @functools.cached_property
    def _evidence(self) -> list[tuple[frozenset[str], Evidence]]:
        return [
            (stems(action.verbs), Evidence(self.code, action))
            for action in list_operations(self.code)
        ]

    @functools.cached_property
    def _verbs(self) -> frozenset[str]:
        known = frozenset(verb for verbs, _ in self._evidence for verb in verbs)
        return known | {said for said, meant in synonyms().items() if meant & known}

    def says_truly(self, text: str, focus: frozenset[ast.AST] | None) -> bool | None:
        """Tells whether a sentence is true of the code; None if a part of it is not aligned.

        False if it claims nothing. `focus` is the code that it may speak of, None for all of it.
        """
        pieces = read_pieces(text)
        if sum(len(piece.tokens) for piece in pieces) > _MOST_TOKENS or focus == frozenset():
            return None
        self.conditions.start()
        says = False
        at = 0
        regions: list[Region] | None = None
        while at < len(pieces):
            piece = pieces[at]
            following = pieces[at + 1] if at + 1 < len(pieces) else None
            if piece.kind != "told":
                regions = self.conditions.regions(piece)
                if regions is None:
                    return None
                at += 1
                continue
            if following is not None and self._is_check(piece, following):
                within = focus if regions is None else frozenset[ast.AST]().union(*regions)
                if not self.conditions.states(following, within):
                    return None
                rest = self._without_check(piece)
                says, at = True, at + 2
                regions = None
            else:
                rest = piece.tokens
                at += 1
                if following is not None and following.kind != "told" and not following.leads:
                    own = self.conditions.regions(following)
                    if own is None:
                        return None
                    at += 1
                    aligned = self._told(rest, focus, own)
                    if aligned is None:
                        return None
                    says = says or aligned
                    continue
            aligned = self._told(rest, focus, regions)
            if aligned is None:
                return None
            says = says or aligned
        if not says and any(piece.kind == "condition" for piece in pieces):
            return None  # "if it is one, it returns the string" does claim something
        return says

    def place(self, text: str) -> frozenset[ast.AST] | None:
        """Returns the code that "inside the loop" or "after the loop" names, None without that."""
        found = [piece for piece in read_pieces(text) if piece.kind == "place"]
        regions = self.conditions.regions(found[0]) if len(found) == 1 else None
        return None if regions is None else frozenset().union(*regions)

    def _is_check(self, piece: Piece, following: Piece) -> bool:
        if following.marker not in ("if", "whether") or not piece.tokens:
            return False
        words = [token for token in piece.tokens if token.kind != "mark"]
        return bool(words) and stem(words[-1].lower or "x") in _CHECKS

    def _without_check(self, piece: Piece) -> tuple[Token, ...]:
        last = max(i for i, token in enumerate(piece.tokens) if token.kind != "mark")
        return piece.tokens[:last]

    def _told(
        self, tokens: Sequence[Token], focus: frozenset[ast.AST] | None,
        regions: list[Region] | None,
    ) -> bool | None:  # fmt: skip
        """Aligns all segments; True if one of them claims something, None if one is left over."""
        places = [*boundaries(tokens), len(tokens)]
        if len(places) > _MOST_BOUNDARIES:
            return None
        known = [
            (verbs, evidence) for verbs, evidence in self._evidence
            if (focus is None or evidence.action.node in focus)
            and (regions is None or any(evidence.action.node in region for region in regions))
            and (regions is not None or focus is not None or not self._is_one_of_many(evidence))
        ]  # fmt: skip

        @functools.cache
        def solve(first: int) -> tuple[Aligned, ...] | None:
            if first == len(places) - 1:
                return ()
            for last in range(first + 1, len(places)):
                _, own = strip_beginning(tokens[places[first] : places[last]])
                segment = self._segment(own, known) if own else _NOTHING
                if segment is None:
                    segment = self._tested(own)
                if segment is None:
                    continue
                rest = solve(last)
                if rest is None or not _ordered(segment, rest, tokens[places[last] :]):
                    continue
                if rest and rest[0].under is not None and not _is_under(segment, rest[0].under):
                    continue
                return (segment, *rest)
            return None

        found = solve(0)
        if found is None:
            return None
        placed = regions is not None or focus is not None
        return any(segment.says or (placed and _goes_on(segment)) for segment in found)

    def _is_one_of_many(self, evidence: Evidence) -> bool:
        """Tells whether an operation returns, but another may do so in its place."""
        node = evidence.action.node
        if not isinstance(evidence.action.statement, ast.Return):
            return False
        if "return" not in evidence.action.verbs:
            return False
        return node is not evidence.action.statement or self._returns > 1

    @functools.cached_property
    def _returns(self) -> int:
        return sum(isinstance(node, ast.Return) for node in nodes_of(self.code.tree))

    def _segment(
        self, tokens: tuple[Token, ...], known: list[tuple[frozenset[str], Evidence]]
    ) -> Aligned | None:
        if all(self._is_empty(token) for token in tokens) and self._fits_types(tokens):
            return _NOTHING
        heads = self._heads(tokens)
        for at in heads:
            joined = at > 0 and tokens[at - 1].lower in ("and", "or", "then", ",")
            if joined or any(_is_verb(tokens, other) for other in heads if other < at):
                break  # "clears `x` and returns both" is no segment about what is returned
            found = self._under(tokens, at, known)
            if found is not None:
                return found
        return None

    def _tested(self, tokens: tuple[Token, ...]) -> Aligned | None:
        """Aligns "(elements that) are greater than `n`" with a test of the program."""
        words = [token.lower for token in tokens]
        if not set(words) & _PREDICATING or set(words) & _TOO_MUCH:
            return None
        said = read_condition(tokens)
        regions = self.conditions.holds(said) if said is not None else []
        return Aligned((), True, tuple(regions)) if regions else None

    def _is_empty(self, token: Token) -> bool:
        """Tells whether a token claims nothing, whatever stands around it."""
        if token.kind in ("code", "text"):
            return token.text.removesuffix("()") == self.function
        if token.kind == "mark":
            return token.text in ",-"
        word = token.lower
        named = word in self.code.names and word not in ("list", "string", "result", "text")
        return stem(word) in FILLER_STEMS and not named and stem(word) not in self._strict

    def _fits_types(self, tokens: tuple[Token, ...]) -> bool:
        """Tells whether a phrase without a verb names no type that nothing here has."""
        told = {TYPES[stem(t.lower)] for t in tokens if stem(t.lower) in TYPES}
        words = {token.lower for token in tokens}
        known: set[str] = set()
        if not words & {"output", "result", "returned", "returns"}:
            known = {kind for kinds in self.code.types.values() for kind in kinds}
        return told <= known.union(*self.code.returned.values())

    @functools.cached_property
    def _strict(self) -> frozenset[str]:
        return POLAR_STEMS | STRICT_STEMS

    def _heads(self, tokens: tuple[Token, ...]) -> list[int]:
        """Returns where the segment's verb may stand."""
        return [
            at for at, token in enumerate(tokens)
            if token.kind == "word" and stem(token.lower) in self._verbs
            and (not at or tokens[at - 1].lower not in _DETERMINERS)
        ][:_MOST_HEADS]  # fmt: skip

    def _under(
        self, tokens: tuple[Token, ...], at: int, known: list[tuple[frozenset[str], Evidence]]
    ) -> Aligned | None:
        """Aligns a segment whose verb stands at a place."""
        verb = stem(tokens[at].lower)
        meant = {verb} | synonyms().get(verb, frozenset())
        passive = any(token.lower in _BE for token in tokens[max(0, at - 3) : at])
        groups = _groups(tokens, at, passive)
        actions, says = [], False
        for verbs, evidence in known:
            if not meant & verbs or not fits_result(groups, evidence):
                continue
            anchors = self._explained(groups, evidence, verbs)
            if anchors is None:
                continue
            actions.append(evidence.action)
            says = says or anchors > 0 or verb in _TELLING_VERBS
        return Aligned(tuple(actions), says) if actions else None

    def _explained(
        self, groups: list["Group"], evidence: Evidence, verbs: frozenset[str]
    ) -> int | None:
        """Returns how many names and telling words are explained; None if a word is not."""
        anchors = 0
        before: str | None = None
        if evidence.cuts_twice and sum(
            token.kind != "word" for group in groups for token in group.tokens
        ) > 2:  # fmt: skip
            return None  # which part is which is told by the order of the words
        target = evidence.action.roles.get("named")
        is_set = any(group.role in ("to", "as") and _atoms(group) for group in groups)
        for group in groups:
            nodes = evidence.in_role(group.role, group.preposition, before)
            if is_set and isinstance(target, ast.AST) and group.role == "object":
                nodes = [target]  # "sets `x` to `y`" is not said of `y = x`
            for place, token in enumerate(group.tokens):
                found = self._token(token, place, group, nodes, evidence, verbs)
                if found is None:
                    return None
                anchors += found
            before = group.role or before
        return anchors

    def _token(
        self, token: Token, place: int, group: "Group", nodes: list[ast.AST],
        evidence: Evidence, verbs: frozenset[str],
    ) -> int | None:  # fmt: skip
        """Returns 1 for a token that ties the segment to the operation, 0 for one that may stand.

        None for a token that the operation does not explain.
        """
        if token.kind == "mark":
            return 0 if token.text in ",-/" else None
        if token.kind != "word":
            if token.text.removesuffix("()") == self.function or evidence.is_named(token.text):
                return 0
            if place and stem(group.tokens[place - 1].lower) in _POSITIONS:
                nodes = list(index_parts([*evidence.whole, evidence.action.node]))
            if group.role == "to" and "to" not in evidence.roles:
                return None  # "is incremented to `1`" tells a value of the run
            owns = group.role in ("from", "to")
            return 1 if evidence.holds(token.text, nodes, owns=owns) else None
        word, known = token.lower, stem(token.lower)
        if word in self.code.names and word not in evidence.names and word not in _COMMON:
            return None
        if (kind := TYPES.get(known)) and not self._is_kind(kind, place, group, nodes, evidence):
            return None
        if word == "current" and isinstance(evidence.action.node, ast.Delete):
            return None  # each deletion shifts what stands at an index
        if word in evidence.names and known not in POLAR_STEMS:
            return 0 if word in _COMMON else 1
        if known in self._strict or word == "number":
            quality = Quality(word, known, group.tokens, place, group.role, nodes, group.followed)
            return judge_quality(quality, evidence)
        if known in FILLER_STEMS or known in evidence.name_stems or known in verbs:
            return 0
        if evidence.explains(known, evidence.whole) or evidence.abbreviates(word):
            return 0
        return None

    def _is_kind(
        self, kind: str, place: int, group: "Group", nodes: list[ast.AST], evidence: Evidence
    ) -> bool:
        """Tells whether "the list `xs`" or "a list" may be said of a name or of an operand."""
        beside = group.tokens[max(0, place - 1) : place + 2]
        for token in beside:
            if token.kind == "code" and (found := self.code.types.get(token.text)):
                return kind in found or "?" in found
        if group.preposition in ("to", "into") and "to" not in evidence.roles:
            made = made_type(evidence.action.node)
            if made is not None:
                return kind == made
        return evidence.may_be(kind, evidence.whole if group.preposition == "of" else nodes)


_POSITIONS = stems(word_set("index position indices"))
_PREDICATING = word_set("is are equals matches contains starts ends match contain start end")
_TOO_MUCH = word_set("not no only always never then must would should will all any")
_COMMON = word_set("list string text result number value array item char key index words word s")


@dataclasses.dataclass(frozen=True)
class Group:
    """Holds the tokens behind one preposition, and the role that it names; None for any."""

    role: str | None
    preposition: str
    tokens: tuple[Token, ...]
    followed: str = ""  # the preposition of the next phrase


def _groups(tokens: tuple[Token, ...], at: int, passive: bool) -> list[Group]:
    """Returns the phrases of a segment whose verb stands at a place."""
    subject = tuple(t for t in tokens[:at] if t.lower not in _BE)
    groups = [Group("object" if passive else None, "", subject)] if subject else []
    role, preposition, own = ("object" if not passive else None), "", []
    for token in tokens[at + 1 :]:
        if token.kind == "word" and (token.lower in _PREPOSITIONS or token.lower == "of"):
            groups.append(Group(role, preposition, tuple(own), token.lower))
            preposition, own = token.lower, []
            role = role if token.lower == "of" else _PREPOSITIONS[token.lower]
        else:
            own.append(token)
    groups.append(Group(role, preposition, tuple(own)))
    return [group for group in groups if group.tokens]


def _atoms(group: Group) -> bool:
    return any(token.kind in ("code", "text") for token in group.tokens)


def _is_under(segment: Aligned, regions: tuple[Region, ...]) -> bool:
    """Tells whether an operation is done under a test, or is one that goes over it."""
    inside = {id(node) for region in regions for node in region}
    for action in segment.actions:
        if id(action.node) in inside or any(id(part) in inside for part in nodes_of(action.node)):
            return True
    return False


def _is_verb(tokens: Sequence[Token], at: int) -> bool:
    """Tells whether a word is surely a verb: "it clears", "to clear"."""
    before = tokens[at - 1].lower if at else ""
    return tokens[at].lower.endswith("s") or before in ("to", "it", "we", "then")


def _goes_on(segment: Aligned) -> bool:
    return any(isinstance(action.node, ast.Continue) for action in segment.actions)


def _ordered(segment: Aligned, rest: tuple[Aligned, ...], tokens: Sequence[Token]) -> bool:
    """Tells whether "before" and "after" between two segments fit the order of the program."""
    joined, _ = strip_beginning(tokens)
    if not {"before", "after"} & set(joined.split()):
        return True
    if not rest or not segment.actions or not rest[0].actions:
        return False
    pairs = [(one.node, two.node) for one in segment.actions for two in rest[0].actions]
    if "after" in joined.split():
        pairs = [(two, one) for one, two in pairs]
    return all(_runs_first(one, two) for one, two in pairs)


def _runs_first(one: ast.AST, two: ast.AST) -> bool:
    """Tells whether an operation is done before another: operands are, then earlier lines."""
    if one is two or any(part is two for part in nodes_of(one)):
        return False
    if any(part is one for part in nodes_of(two)):
        return True
    return getattr(one, "lineno", 0) < getattr(two, "lineno", 0)
