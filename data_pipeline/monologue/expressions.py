"""Claims about a line's variables and expressions, and clauses for the parts of an expression."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.arithmetic import (
    ALL_METHODS,
    BUILTINS,
    Arithmetic,
    count_operations,
    is_plain,
    operands,
    parts_of,
    told_parts,
)
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.speech import Clause, Join, Part, Speaker
from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing.replay import Occurrence, Replay

_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_MOST_READ = 3
_MOST_READ_VALUE = 60  # characters of a value that is told again
_MOST_PARTS = 3
_MOST_CHANGED = 4
_ITEM_FORMS = ("items", "pair items", "triple items")  # by variables of the comprehension
_MOST_PUT = 60
_MUTABLE = (list, dict, set, bytearray)


class ExpressionNarrator:
    """Makes claims about an occurrence of a line, and tells how its expressions come out."""

    def __init__(self, run: Replay, program: Program, speaker: Speaker, *, labels: bool = True):
        self.run, self.program, self.speaker, self.labels = run, program, speaker, labels
        self.say = speaker.say
        self.spoken: dict[int, set[ast.expr]] = {}  # line event -> parts told before its calls

    # ---- claims

    def place(self, here: Occurrence) -> Place:
        return Place(self.program.first_line(here.event), here.at, here.event.frame)

    def claim(self, kind: str, here: Occurrence, subject: str = "", value: str = "") -> Claim:
        return Claim(kind, self.place(here), subject, value)

    def text(self, kind: str, line: int, subject: str = "", value: str = "") -> Claim:
        """Returns a claim about the program's text."""
        return Claim(kind, Place(line), subject, value)

    def code_claim(
        self, kind: str, here: Occurrence, node: ast.AST, value: str = ""
    ) -> Claim | None:
        code = self.program.source.code(node)
        return None if code is None else self.claim(kind, here, code, value)

    def text_of_code(self, kind: str, here: Occurrence, node: ast.AST) -> Claim | None:
        """Returns a claim about the text of the line, if its code can be quoted."""
        code = self.program.source.code(node)
        return None if code is None else self.text(kind, self.program.first_line(here.event), code)

    def after(self, here: Occurrence, name: str) -> Claim | None:
        text = self.run.value(here.event.frame, name, here.end - 1)
        return None if text is None else self.claim("after", here, name, text)

    def before(self, here: Occurrence, name: str) -> Claim | None:
        text = self.look_up(here, name)
        return None if text is None else self.claim("before", here, name, text)

    def look_up(self, here: Occurrence, name: str) -> str | None:
        text = self.run.value(here.event.frame, name, here.at - 1)
        return self.program.globals.get(name) if text is None else text

    def reads(self, here: Occurrence, *nodes: ast.AST | None) -> list[Claim]:
        """Returns "before" claims of the variables that expressions read."""
        found = []
        names = [n for node in nodes if node is not None for n in free_names(node)]
        for name in dict.fromkeys(names):
            claim = self.before(here, name)
            shown = None if claim is None else self.speaker.words.value(claim.value)
            if claim is not None and shown is not None and len(shown) <= _MOST_READ_VALUE:
                found.append(claim)
        return found[:_MOST_READ]

    def changed_claims(self, here: Occurrence) -> list[Claim | None]:
        """Returns "after" claims of what the line changed, if it can be written out."""
        found = []
        for name in here.event.changed:
            claim = self.after(here, name)
            if claim is not None and self.speaker.words.value(claim.value) is not None:
                found.append(claim)
        return found[:_MOST_CHANGED]

    def changes(self, here: Occurrence) -> list[Part]:
        changed = self.changed_claims(here)
        return [self.say("all now", *changed)] if changed else []

    # ---- expressions

    def arithmetic(self, here: Occurrence, node: ast.AST | None) -> Arithmetic:
        unsafe = self._unsafe(here, node)
        calls = self.program.calls_in(here)

        def look_up(name: str) -> str | None:
            return None if name in unsafe else self.look_up(here, name)

        def call(name: str, arguments: list[str]) -> str | None:
            found = {
                result
                for called, given, result in calls
                if called == name and list(given.values())[: len(arguments)] == arguments
            }
            return found.pop() if len(found) == 1 else None  # fmt: skip

        return Arithmetic(look_up, call)

    def _unsafe(self, here: Occurrence, node: ast.AST | None) -> set[str]:
        """Returns names whose value may change while the line runs."""
        if node is None:
            return set()
        unsafe = {n.target.id for n in nodes_of(node) if isinstance(n, ast.NamedExpr)}
        statement = self.program.statement(here.event)
        whole = node if statement is None else statement
        if any(self._may_change(part) for part in nodes_of(whole)):
            for name in here.event.changed:
                if _is_mutable(self.run.value(here.event.frame, name, here.at - 1)):
                    unsafe.add(name)
        return unsafe

    def _may_change(self, part: ast.AST) -> bool:
        """Returns whether evaluating a syntax node may change a value in place."""
        match part:
            case ast.Await():
                return True
            case ast.Call(func=ast.Name(id=name)):
                return name not in BUILTINS or name in self.run.functions
            case ast.Call(func=ast.Attribute(attr=name)):
                return name not in ALL_METHODS or name in self.run.functions
            case ast.Call():
                return True
        return False

    def parts(self, here: Occurrence, node: ast.expr, whole: bool = False) -> list[Part]:
        """Returns clauses for the operations inside an expression, and for itself if `whole`."""
        known = self.arithmetic(here, node)
        least = 0 if isinstance(node, ast.Tuple | ast.List | ast.Set) else 1
        told = told_parts(node, known, _MOST_PARTS) if count_operations(node) > least else []
        if whole and count_operations(node) and not is_plain(node) and known.text(node) is not None:
            told = [*told, node]
        told = [part for part in told if part not in self.spoken.get(here.at, ())]
        clauses: list[Part] = []
        for part in told:
            clause = self._part(here, part, known)
            if clause is not None:
                clauses += [Join.COMMA_AND if clauses and part is told[-1] else Join.COMMA, clause]
        return clauses[1:]

    def _part(self, here: Occurrence, part: ast.expr, known: Arithmetic) -> Clause | None:
        text = known.text(part)
        if text is None:
            return None
        value = self.code_claim("evaluates", here, part, text)
        if isinstance(part, ast.Compare | ast.BinOp):
            put = self.put(here, part, known)
            if put is not None:
                return self.say("put value", put, value)
        return self.say("part", value)

    def put(self, here: Occurrence, node: ast.expr, known: Arithmetic) -> Claim | None:
        """Claims what an expression reads when the values of its operands are put in."""
        if not isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp):
            return None
        values: dict[ast.expr, str] = {}
        for operand in operands(node, known):
            if isinstance(operand, ast.Constant):
                continue
            text = known.text(operand)
            if text is None or text.startswith(("{", "set", "frozenset")):
                return None
            tight = isinstance(node, ast.UnaryOp) or isinstance(getattr(node, "op", None), ast.Pow)
            values[operand] = f"({text})" if tight and text.startswith("-") else text
        if not values:
            return None
        code = self.program.source.code(node)
        put = self.program.source.with_values(node, values, _MOST_PUT)
        if code is None or put is None or not _reads_as(put):
            return None
        return self.claim("becomes", here, code, put)

    def put_or_parts(self, here: Occurrence, node: ast.expr) -> list[Part]:
        """Tells how an expression comes to its value, without the value itself."""
        parts = self.parts(here, node)
        put = self.put(here, node, self.arithmetic(here, node))
        told = self.say("put", put) if put is not None else None
        return [*parts, Join.SO, told] if told and parts else [told] if told else parts

    def arguments(self, here: Occurrence, name: str) -> list[Part]:
        """Tells the arguments of the one call of a function in a line, before the call."""
        statement = self.program.statement(here.event)
        if statement is None:
            return []
        found = [
            node
            for part in header_parts(statement)
            for node in parts_of(part)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == name
        ]
        if len(found) != 1:
            return []
        parts: list[Part] = []
        for argument in found[0].args:
            told = self.parts(here, argument, whole=True)
            if told:
                parts += [Join.COMMA, *told]
                inside = {n for n in ast.walk(argument) if isinstance(n, ast.expr)}
                self.spoken.setdefault(here.at, set()).update(inside)
        return parts[1:]

    def items(self, here: Occurrence, node: ast.expr) -> list[Part]:
        """Tells the first turns of the one comprehension in an expression.

        Gives its variable, what its condition comes to, and the item that it gives.
        """
        found = [n for n in nodes_of(node) if isinstance(n, _COMPREHENSIONS)]
        if len(found) != 1 or len(found[0].generators) != 1:
            return []
        generator = found[0].generators[0]
        element = found[0].value if isinstance(found[0], ast.DictComp) else found[0].elt
        names = [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)]
        if not 0 < len(set(names)) == len(names) <= len(_ITEM_FORMS) or len(generator.ifs) > 1:
            return []
        told: list[Part] = []
        for at in range(here.at + 1, here.end):
            event = self.run.events[at]
            if event.kind == "step" and event.line == found[0].lineno:
                if set(event.changed) != set(names) or event.iteration != len(told) + 1:
                    break
                item = self._item(here, at, generator.ifs, element)
                if item is None:
                    break
                told.append(item)
            if len(told) == _MOST_PARTS:
                break
        return joined(told, Join.SEMICOLON)

    def _item(
        self, here: Occurrence, at: int, tests: list[ast.expr], element: ast.expr
    ) -> Clause | None:
        """Tells one turn of a comprehension: its condition if that fails, else its item."""
        event = self.run.events[at]
        known = Arithmetic(lambda name: self._look_up_in_step(here, at, name),
                           lambda name, arguments: None)  # fmt: skip
        place = Place(event.line, at, event.frame)
        claims = [Claim("bound", place, name, bound) for name, bound in event.changed.items()]
        bound = len(claims)
        tests = [test for test in tests if not _is_true_of(test, event.changed)]
        shown = [*tests, *([element] if count_operations(element) else [])]
        for part in shown:
            text, code = known.text(part), self.program.source.code(part)
            if text is None or code is None:
                return None
            claims.append(Claim("item", place, code, text))
            if part in tests and not known.value(part):
                break
        return self.say(_ITEM_FORMS[bound - 1], *claims) if len(claims) > bound else None

    def _look_up_in_step(self, here: Occurrence, at: int, name: str) -> str | None:
        event = self.run.events[at]
        text = event.changed.get(name)
        if text is None and event.frame != here.event.frame:
            text = self.run.value(event.frame, name, at)
            return self.program.globals.get(name) if text is None else text
        return self.look_up(here, name) if text is None else text


def joined(parts: Sequence[Part], connective: Join) -> list[Part]:
    out: list[Part] = []
    for part in parts:
        out += [connective, part]
    return out[1:]


def _is_true_of(test: ast.expr, bound: Mapping[str, str]) -> bool:
    """Returns whether a test is a variable of the turn alone, and is true: it needs no word."""
    text = bound.get(test.id) if isinstance(test, ast.Name) else None
    try:
        return text is not None and bool(parse_literal(text))
    except LiteralError:
        return False


def _is_mutable(text: str | None) -> bool:
    try:
        return text is not None and isinstance(parse_literal(text), _MUTABLE)
    except LiteralError:
        return True


def _reads_as(code: str) -> bool:
    try:
        ast.parse(code, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def header_parts(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yields the expressions of a statement, without the blocks of a compound one."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child


@lru_cache(maxsize=4096)
def free_names(node: ast.AST) -> tuple[str, ...]:
    """Returns the variables that an expression reads, without those that it binds itself."""
    bound = {
        name.id
        for part in nodes_of(node)
        if isinstance(part, ast.comprehension)
        for name in nodes_of(part.target)
        if isinstance(name, ast.Name)
    }
    bound |= {a.arg for part in nodes_of(node) if isinstance(part, ast.arguments)
              for a in (*part.posonlyargs, *part.args, *part.kwonlyargs)}  # fmt: skip
    read = [
        part
        for part in nodes_of(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id not in bound
    ]
    read.sort(key=lambda part: (part.lineno, part.col_offset))
    return tuple(part.id for part in read)
