"""Tells what a function does, on its text alone: statement by statement, as a teacher would.

Simple statements share a sentence ("It sets `n` to 0 and returns `n`"); an `if` or a loop has one
of its own, with what stands in it ("For each `x` in `xs`, if `x > n`, it sets `n` to `x`").
"""

import ast
import itertools
from collections.abc import Iterator, Sequence

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.assignments import written_change
from data_pipeline.monologue.speech import Join, Part, Speaker
from data_pipeline.monologue.wording import MOST_CODE, Source

_MOST_SENTENCES = 5
_MOST_ACTS = 4  # in a sentence
_MOST_INSIDE = 2  # of a block
_DEEPEST = 2
_MOST_CODE = 60
_LOOSE = ast.Name | ast.Attribute | ast.Subscript  # "if `found` is truthy"


class Purpose:
    """Collects the sentences of a function's body."""

    def __init__(self, speaker: Speaker, source: Source):
        self.say, self.source = speaker.say, source

    def sentences(self, body: Sequence[ast.stmt]) -> list[list[Part]]:
        """Returns sentences, each with the connective before it."""
        found: list[list[Part]] = []
        simple: list[tuple[ast.stmt, Part]] = []
        block: ast.stmt | None = None  # the last statement with a block
        for statement in body:
            told = self._compound(statement, 0)
            act = self._act(statement) if told is None else None
            if act is not None and isinstance(statement, ast.FunctionDef):
                act = self._definitions(statement, body)
            simple += [(statement, act)] if act is not None else []
            if told is not None or len(simple) == _MOST_ACTS:
                found += self._listed(simple, block, again=bool(found))
                found += [told] if told else []
                simple, block = [], statement if told else None
        found += self._listed(simple, block, again=bool(found))
        if len(found) > _MOST_SENTENCES:
            found = [*found[: _MOST_SENTENCES - 1], found[-1]]
        return found

    def _listed(
        self, acts: Sequence[tuple[ast.stmt, Part]], block: ast.stmt | None, again: bool
    ) -> list[list[Part]]:
        """Returns a sentence of what "it" does, or none."""
        parts: list[Part] = []
        for number, (_, act) in enumerate(acts):
            last = Join.AND if len(acts) == 2 else Join.COMMA_AND
            parts += [last if number == len(acts) - 1 else Join.COMMA, act]
        if block is not None and _leaves(block) and len(acts) == 1:
            claim = _block(block, "after", [statement.lineno for statement, _ in acts])
            head = self.say("otherwise", claim)
            return [[Join.STOP, head, Join.COMMA_IT, *parts[1:]]]
        return [[Join.THEN_IT if again else Join.IT, *parts[1:]]] if parts else []

    def _definitions(self, first: ast.FunctionDef, body: Sequence[ast.stmt]) -> Part:
        """Tells neighbouring inner functions together, at the first of them."""
        at = body.index(first)
        if at and isinstance(body[at - 1], ast.FunctionDef):
            return None
        more = itertools.takewhile(lambda one: isinstance(one, ast.FunctionDef), body[at:])
        claims = [self._claim("defines", one, one.name) for one in more]  # type: ignore[attr-defined]
        form = "intro defines all" if len(claims) > 1 else "intro defines"
        return self.say(form, *claims)

    # ---- blocks

    def _compound(self, statement: ast.stmt, depth: int) -> list[Part] | None:
        """Tells a statement with a block; None for another one, [] for one that has no words."""
        body = getattr(statement, "body", None)
        if body is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            return None
        if isinstance(statement, ast.Try) and isinstance(body[0], ast.Try):
            return self._compound(body[0], depth)
        lines, told = self._inside(body, depth + 1)
        head = self._head(statement, lines) if told else None
        if head is None:
            return []
        return [
            Join.STOP if depth == 0 else Join.COMMA,
            head,
            *told,
            *self._other(statement, depth),
        ]

    def _other(self, statement: ast.stmt, depth: int) -> list[Part]:
        """Tells what stands below `else`, `elif` or `except`."""
        if isinstance(statement, ast.Try):
            return [part for one in statement.handlers[:_MOST_INSIDE]
                    for part in self._handler(one, depth)]  # fmt: skip
        if not (isinstance(statement, ast.If) and statement.orelse):
            return []
        lines, told = self._inside(statement.orelse, depth + 1)
        inside = _block(statement, "else", lines)
        if not told:
            return []
        if any(map(_has_block, statement.body)):  # "otherwise" could be of a test in the body
            loose = " truthy" if isinstance(statement.test, _LOOSE) else ""
            test = self._claim("test", statement, statement.test)
            head = self.say(f"intro unless{loose}", test, inside)
            opening = Join.STOP if depth == 0 else Join.SEMICOLON
        else:
            head, opening = self.say("otherwise", inside), Join.SEMICOLON
        return [opening, head, *told] if head is not None else []

    def _handler(self, handler: ast.ExceptHandler, depth: int) -> list[Part]:
        """Tells what is done on an exception."""
        lines, told = self._inside(handler.body, depth + 1)
        code = self.source.code(handler.type, _MOST_CODE) if handler.type is not None else None
        if not told or code is None:
            return []
        catches = Claim("catches", Place(handler.lineno), code)
        head = self.say("intro except", catches, _block(handler, "body", lines))
        return [Join.SEMICOLON, head, *told] if head is not None else []

    def _inside(self, block: Sequence[ast.stmt], depth: int) -> tuple[list[int], list[Part]]:
        """Returns the lines of the first statements of a block, and what they do."""
        lines: list[int] = []
        told: list[Part] = []
        for statement in block:
            compound = self._compound(statement, depth) if depth <= _DEEPEST else None
            if compound:
                opening = Join.SEMICOLON if told else Join.COMMA
                return [*lines, statement.lineno], [*told, opening, *compound[1:]]
            act = self._act(statement) if compound is None else None
            if act is None:
                continue
            told += [Join.AND if told else Join.COMMA_IT, act]
            lines.append(statement.lineno)
            if len(lines) == _MOST_INSIDE:
                break
        return lines, told

    def _head(self, statement: ast.stmt, lines: Sequence[int]) -> Part:
        """Words what a block depends on."""
        inside = _block(statement, "body", lines)
        test = getattr(statement, "test", None)
        loose = " true" if isinstance(test, ast.Call) else ""
        loose = " truthy" if isinstance(test, _LOOSE) else loose
        match statement:
            case ast.If(test=test):
                return self.say(f"intro if{loose}", self._claim("test", statement, test), inside)
            case ast.While(test=ast.Constant() as test):
                return self.say("intro forever", self._claim("while", statement, test), inside)
            case ast.While(test=test):
                return self.say(
                    f"intro while{loose}", self._claim("while", statement, test), inside
                )
            case ast.For(target=target, iter=iterated):
                loop = self._claim("loop", statement, iterated, self.source.code(target) or "")
                return self.say("intro each", loop, inside)
            case ast.Try():
                return self.say("intro try", self._claim("guards", statement, "try"), inside)
            case ast.With(items=items):
                opens = self._claim("opens", statement, items[0].context_expr)
                return self.say("intro with", opens, inside)
        return None

    def _claim(
        self, kind: str, statement: ast.stmt, code: ast.AST | str, value: str = ""
    ) -> Claim | None:
        text = code if isinstance(code, str) else self.source.code(code, _MOST_CODE)
        return Claim(kind, Place(statement.lineno), text, value) if text else None

    # ---- simple statements

    def _act(self, statement: ast.stmt) -> Part:
        for form, claim in self._acts(statement):
            return self.say(f"intro {form}", claim) if claim is not None else None
        return None

    def _acts(self, node: ast.stmt) -> Iterator[tuple[str, Claim | None]]:
        match node:
            case ast.Assign(targets=[target], value=value):
                right = self.source.code(value, MOST_CODE)
                form = "computes" if isinstance(value, ast.BinOp | ast.Call) else "sets"
                form = form if right and len(right) <= _MOST_CODE else "computes long"
                yield form, self._claim("sets", node, target, right) if right else None
            case ast.AugAssign(target=target, op=op):
                change = written_change(node, self.source)
                form = _CHANGES.get(type(op), "changes")
                yield form, self._claim("changes", node, target, change) if change else None
            case ast.Return(value=ast.expr() as value):
                code = self.source.code(value, MOST_CODE)
                yield "gives", self._claim("gives", node, code) if code else None
            case ast.Expr(value=ast.Yield(value=ast.expr() as value)):
                yield "hands", self._claim("hands", node, value)
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=owner, attr="append" | "add"), args=[item], keywords=[]
                )
            ):
                code = self.source.code(item, _MOST_CODE)
                yield "puts", self._claim("puts", node, owner, code) if code else None
            case ast.Expr(value=ast.Call() as call):
                yield "does", self._claim("does", node, call)
            case ast.FunctionDef(name=name):
                yield "defines", self._claim("defines", node, name)
            case ast.Match(subject=subject, cases=cases):
                yield "matches", self._claim("matches", node, subject, str(len(cases)))
            case ast.Raise(exc=ast.Call(func=kind)) | ast.Raise(exc=ast.Name() as kind):
                yield "throws", self._claim("throws", node, kind)
            case ast.Assert(test=test):
                yield "asserts", self._claim("asserts", node, test)
            case ast.Delete(targets=[target]):
                yield "deletes", self._claim("deletes", node, target)
            case ast.Break():
                yield "leaves", self._claim("bare", node, "break")
            case ast.Continue():
                yield "skips", self._claim("bare", node, "continue")


_CHANGES = {ast.Add: "adds", ast.Sub: "subtracts", ast.Mult: "multiplies"}


def _block(statement: ast.stmt | ast.ExceptHandler, which: str, lines: Sequence[int]) -> Claim:
    return Claim("block", Place(statement.lineno), which, ",".join(map(str, lines)))


def _leaves(statement: ast.stmt | None) -> bool:
    """Returns whether what follows an `if` runs only when its test fails."""
    return (
        isinstance(statement, ast.If)
        and not statement.orelse
        and isinstance(statement.body[-1], ast.Return | ast.Raise)
        and not any(map(_has_block, statement.body))
    )


def _has_block(statement: ast.stmt) -> bool:
    return isinstance(getattr(statement, "body", None), list)
