"""Finds the part of a program that runs under what a sentence says before or after an action."""

import ast
from collections.abc import Sequence

from data_pipeline.verify.alignment.evidence import STRICT_STEMS, explained_by
from data_pipeline.verify.alignment.lexicon import FILLER_STEMS, POLAR_STEMS, stem, stems
from data_pipeline.verify.alignment.reach import branch_regions
from data_pipeline.verify.alignment.segments import Piece
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.branches import Region, Tests, compare_conditions
from data_pipeline.verify.clause_verdicts import DENIALS, EQUAL_WORDS, refers
from data_pipeline.verify.conditions import (
    METHOD_WORDS,
    Condition,
    Joined,
    Source,
    Test,
    read_condition,
    read_test,
)
from data_pipeline.verify.lexicon import Token
from data_pipeline.verify.phrases import Code, atom_in
from data_pipeline.verify.wordlists import word_set

_PREDICATES = {
    "in": "present found find contain include exist appear occur presence",
    "==": "equal equals match matches same identical",
    "startswith": "start starts begin begins prefix beginning match",
    "endswith": "end ends suffix match",
    "empty": "empty",
}
_BY_METHOD = {
    method: " ".join(word for word, name in METHOD_WORDS.items() if name == method)
    for method in METHOD_WORDS.values()
}
_DENYING = word_set("not no doesn't isn't aren't don't never without lacks cannot non-empty")

Regions = list[tuple[Region, Region]]


class ConditionReader:
    """Reads the conditions and places of one sentence after the other."""

    def __init__(self, code: Code, tests: Tests):
        self.code, self.tests = code, tests
        self.last: Regions | None = None
        self.focus: Region | None = None

    def start(self) -> None:
        """Forgets the conditions of the sentence before."""
        self.last = None

    def regions(self, piece: Piece) -> list[Region] | None:
        """Returns the parts that run there, None if what the piece says is not understood."""
        if piece.kind == "each":
            return self._bodies(piece.tokens)
        if piece.kind == "place":
            return self._places(piece)
        if piece.kind == "otherwise":
            found = [(no, yes) for yes, no in self.last or self._only() or ()]
        elif piece.marker in ("since", "because", "once", "where", "whether"):
            return None
        else:
            known = self._condition(piece)
            if known is None:
                return None
            found = known
        self.last = found
        return [yes for yes, _ in found if yes] or None

    def states(self, piece: Piece, focus: Region | None) -> bool:
        """Tells whether the program tests what a piece says, or its opposite."""
        self.focus = focus
        found = self._condition(piece)
        self.last = found
        stated = bool(found) or self._is_part(piece.tokens)
        self.focus = None
        return stated

    def _tests(self) -> list[tuple[Condition, ast.expr, Region, Region]]:
        """Returns the tests that a sentence may speak of, with what each surely decides."""
        return [
            (real, node, *branch_regions(self.code, node)) for real, node, *_ in self.tests.found
            if self.focus is None or node in self.focus
        ]  # fmt: skip

    def _compared(self, said: Condition) -> Regions:
        """Returns the branches whose test is a condition or its opposite."""
        found = []
        for real, _, yes, no in self._tests():
            match compare_conditions(said, real, self.tests.fits):
                case "same":
                    found.append((yes, no))
                case "opposite":
                    found.append((no, yes))
        return found

    def _is_part(self, tokens: Sequence[Token]) -> bool:
        """Tells whether words state one part of a test that "and" or "or" joins."""
        parts = (
            (part, value)
            for real, node, *_ in self._tests()
            if isinstance(real, Joined) and isinstance(node, ast.BoolOp)
            for part, value in zip(real.parts, node.values, strict=False)
        )
        return any(
            isinstance(part, Test) and self._states_one(tokens, part, value)
            for part, value in parts
        )

    def holds(self, said: Condition) -> list[Region]:
        """Returns what runs where a test of the program is the condition, not its opposite."""
        found = []
        for real, node, yes, _ in self._tests():
            parts = [real]
            if isinstance(real, Joined) and real.operator == "and":
                parts += real.parts
            if any(compare_conditions(said, part, self.tests.fits) == "same" for part in parts):
                found.append(yes | _nodes([node]))
        return found

    def _only(self) -> Regions | None:
        """Returns the regions of the one `if` of a program, which "the condition" must mean."""
        found = [(yes, no) for _, node, yes, no in self._tests()
                 if not isinstance(self.code.parents.get(node), ast.While)]  # fmt: skip
        return found if len(found) == 1 else None

    def _condition(self, piece: Piece) -> Regions | None:
        denied = piece.marker in ("unless", "until")
        known = self.last or self._only()
        if refers(piece.tokens) and known is not None:
            words = {token.lower for token in piece.tokens}
            found = self._equalities(known) if words & EQUAL_WORDS else known
            denied = denied != bool(words & DENIALS)
        else:
            said = read_condition(piece.tokens)
            found = self._compared(said) if said is not None else []
            found = found or self._aligned(piece.tokens)
        return [(no, yes) for yes, no in found] if denied else found or None

    def _equalities(self, known: Regions) -> Regions:
        """Returns what runs if "they are equal", for the tests of equality that are meant."""
        equal = [
            (yes, no) if real.positive else (no, yes)
            for real, _, yes, no in self._tests()
            if isinstance(real, Test) and real.name == "=="
        ]
        meant = {frozenset(pair) for pair in known}
        return [pair for pair in equal if frozenset(pair) in meant]

    def _bodies(self, tokens: Sequence[Token]) -> list[Region] | None:
        """Returns the bodies of the loops over what "each `x` in `xs`" tells."""
        found = []
        for node in ast.walk(self.code.tree):
            match node:
                case ast.For(target=target, iter=source, body=body):
                    inside: list[ast.AST] = [*body, target, source]
                case ast.comprehension(target=target, iter=source):
                    inside = [self.code.parents[node]]
                case _:
                    continue
            names = [part.id for part in ast.walk(source) if isinstance(part, ast.Name)]
            behind = [value for name in names for value in self.code.definitions.get(name, ())]
            if self._explain(tokens, [target, source, *behind], "each every all index position"):
                found.append(frozenset(n for root in inside for n in ast.walk(root)))
        return found or None

    def _places(self, piece: Piece) -> list[Region] | None:
        words = [token.lower for token in piece.tokens]
        if any(stem(w) not in FILLER_STEMS and w not in _OF_PLACES for w in words if w):
            return None
        after = piece.marker == "after"
        if piece.marker in ("before", "at") or (after and {"each", "every"} & set(words)):
            return None
        both = self.tests.after_loops()
        return [behind if after else body for behind, body in both] or None

    def _explain(self, tokens: Sequence[Token], nodes: list[ast.AST], more: str) -> bool:
        """Tells whether expressions explain all words and names of a phrase."""
        known = explained_by(nodes) | stems(set(more.split()))
        named = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
        known |= stems({piece for name in named for piece in name.lower().split("_")} | named)
        for token in tokens:
            if token.kind in ("code", "text"):
                if not any(atom_in(token.text, node) for node in nodes):
                    return False
            elif token.kind == "word":
                word = stem(token.lower)
                strict = word in STRICT_STEMS | POLAR_STEMS
                if word not in known and (strict or word not in FILLER_STEMS):
                    return False
        return True

    def _aligned(self, tokens: Sequence[Token]) -> Regions:
        """Returns the regions of the tests whose predicate and operands a condition names."""
        words = [token.lower for token in tokens if token.kind == "word"]
        if {"and", "or"} & set(words):
            return self._aligned_parts(tokens, words)
        found: Regions = []
        for real, node, yes, no in self._tests():
            if isinstance(real, Joined):
                continue
            regions = (yes, no)
            if self._states_one(tokens, real, node):
                found.append(regions)
            elif self._states_one(tokens, real.negated(), node):
                found.append((regions[1], regions[0]))
        return found

    def _aligned_parts(self, tokens: Sequence[Token], words: list[str]) -> Regions:
        """Aligns "x is empty or y is missing" with a test joined by the same word."""
        joined = {"and", "or"} & set(words)
        if len(joined) > 1:
            return []
        operator = joined.pop()
        told = _split_at(tokens, operator)
        found: Regions = []
        for real, node, yes, no in self._tests():
            if not isinstance(real, Joined) or real.operator != operator:
                continue
            values = node.values if isinstance(node, ast.BoolOp) else []
            if len(values) == len(told) == len(real.parts) and all(
                self._states_part(one, part, value)
                for one, part, value in zip(told, real.parts, values, strict=True)
            ):
                found.append((yes, no))
        return found

    def _states_part(self, tokens: Sequence[Token], real: Condition, node: ast.expr) -> bool:
        said = read_condition(tokens)
        if said is not None and compare_conditions(said, real, self.tests.fits) == "same":
            return True
        return isinstance(real, Test) and self._states_one(tokens, real, node)

    def _states_one(self, tokens: Sequence[Token], real: Test, node: ast.expr) -> bool:
        """Tells whether words state a test: its predicate and operands, and no word more."""
        words = {token.lower for token in tokens if token.kind == "word"}
        denied = len(_DENYING & words) % 2 == 1
        name, positive, total = _predicate(real, node)
        predicate = _PREDICATES.get(name, _BY_METHOD.get(name, ""))
        if (total and not total & words) or positive == denied:
            return False
        if not stems(words) & stems(set(predicate.split())):
            return False
        rest = [token for token in tokens if token.lower not in _DENYING]
        shown = [node, *self._definitions(node)]
        if not self._explain(rest, shown, f"{predicate} {' '.join(total)}"):
            return False
        return real.argument is None or self._in_order(rest, real, predicate)

    def _in_order(self, tokens: Sequence[Token], real: Test, predicate: str) -> bool:
        """Tells whether the names before and behind the predicate stand on their own side."""
        known = stems(set(predicate.split()))
        places = [i for i, t in enumerate(tokens) if t.kind == "word" and stem(t.lower) in known]
        if real.name in ("startswith", "endswith") and not _STARTING & {t.lower for t in tokens}:
            return self._owner_follows(tokens, real)
        head, tail = tokens[: places[0]], tokens[places[0] :]
        sides = [self._side(real.subject), self._side(real.argument)]
        if tokens[places[0]].lower in _CONTAINING:
            sides.reverse()
        orders = [sides, sides[::-1]] if real.name == "==" else [sides]
        return any(_stand(head, one) and _stand(tail, two) for one, two in orders)

    def _owner_follows(self, tokens: Sequence[Token], real: Test) -> bool:
        """Tells whether the last "of" is followed by what starts so: "is the prefix of `text`"."""
        at = [i for i, token in enumerate(tokens) if token.lower == "of"]
        if not at:
            return False
        return _stand(tokens[: at[-1]], self._side(real.argument)) and _stand(
            tokens[at[-1] :], self._side(real.subject)
        )

    def _side(self, source: Source | None) -> list[ast.AST]:
        node = parse_code(str(source))
        return [] if node is None else [node, *self._definitions(node)]

    def _definitions(self, node: ast.AST) -> list[ast.AST]:
        names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        return [value for name in names for value in self.code.definitions.get(name, ())[:3]]


_OF_PLACES = word_set("each every all iteration iterations loop loops nested")


_ALL, _ANY = word_set("all every each entirely only solely"), word_set("any contains has some")


def _predicate(real: Test, node: ast.expr) -> tuple[str, bool, frozenset[str]]:
    """Returns a test's name and sign, and the words of which it takes one.

    `at == -1` tests that nothing was found; `all(…)` tests each element.
    """
    if real.name == "==" and real.argument == "-1":
        return "in", not real.positive, frozenset()
    match node:
        case ast.Call(
            func=ast.Name(id="all" | "any" as name), args=[ast.GeneratorExp(elt=inner)]
        ) if real.name == "empty":
            test = read_test(inner)
            if isinstance(test, Test):
                sign = test.positive == (not real.positive)
                return test.name, sign, _ALL if name == "all" else _ANY
    return real.name, real.positive, frozenset()


_STARTING = word_set("starts begins start ends begin end")
_CONTAINING = word_set("contains contain contained includes include has")


def _stand(tokens: Sequence[Token], nodes: list[ast.AST]) -> bool:
    told = [token.text for token in tokens if token.kind in ("code", "text")]
    return all(any(atom_in(text, node) for node in nodes) for text in told)


def _split_at(tokens: Sequence[Token], word: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.lower == word:
            parts.append([])
        elif token.lower not in ("both", "either", "if", "whether", ","):
            parts[-1].append(token)
    return parts


def _nodes(roots: Sequence[ast.AST]) -> Region:
    return frozenset(node for root in roots for node in ast.walk(root))
