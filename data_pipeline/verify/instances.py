"""Holds code told with values put in against the program's own code, part by part.

`s.count("0") + s.count("1")` told as `0 + 1` is an instance of it where the first count is 0 and
the second one 1. Code of the same form with another value at its place is none.
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.masking import is_literal, mask_code
from data_pipeline.verify.places import Place
from data_pipeline.verify.value_verdicts import ValueVerdicts, dump_node
from data_pipeline.verify.values import compare

_FITS, _HAS_OTHER_VALUES, _IS_OTHER_CODE = range(3)
_MOST_PLACES = 300
_MOST_POINTS = 400
_FORMS = (ast.Compare, ast.BinOp, ast.Call, ast.Subscript, ast.BoolOp, ast.UnaryOp)
_PUT_IN = re.compile(  # "`a + b` translates to `1 + 2`", "`a < b`, i.e. `1 < 2`"
    r"⟦(?P<code>\d+)⟧,? ?\(?(?:(?:then |now |therefore |here |condition |expression )*"
    r"(?:(?:which |this |that |it )?(?:translates to|becomes|evaluates to|simplifies to|is|means|"
    r"is equivalent to|results in|checks if|calculates to|turns into)|i\.e\.|→|->|=>|⇒|=)"
    r"(?: actually| effectively| now| then)*),? ⟦(?P<told>\d+)⟧",
    re.I,
)
_CALLS = re.compile(r"\.[a-z]\w*\(")  # a sum may be of what no code computes
_VALUE = re.compile(r"[\d'\"]|True|False|None")
_SUPPOSED = re.compile(
    r"\b(?:if|when|would|could|may|might|e\.g\.|example|instance|suppose|like|similar|equivalent|"
    r"same as)\b",
    re.I,
)


class Instances:
    """Knows the code of one run, and the values of its parts."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def denied(self, plain: str, place: Place) -> Iterator[tuple[str, str]]:
        """Yields (text, truth) for code that a sentence tells with values which it has not."""
        masked, atoms = mask_code(plain, frozenset())
        for found in _PUT_IN.finditer(masked):
            code = _expression(atoms[int(found["code"])].text)
            told = _expression(atoms[int(found["told"])].text)
            if not isinstance(told, _FORMS) or _literal_of(told) is not None:
                continue
            if not isinstance(code, _FORMS) or not _has_names(code):
                continue
            if _names_of(code) & self._turned or self._is_own_call(told):
                continue
            if _has_names(told) or (truth := self._other_values(told, code, place)) is None:
                continue
            yield f"{atoms[int(found['told'])].text} for {atoms[int(found['code'])].text}", truth

    def _other_values(self, told: ast.expr, code: ast.expr, place: Place) -> str | None:
        """Returns what code becomes where it runs, if no place has it as told."""
        if self.run.trace.truncated:
            return None
        seen = None
        for frame, at in self._points(place):
            fits = self._fit(told, code, frame, at)
            if fits != _HAS_OTHER_VALUES:
                return None
            seen = seen or (frame, at)
        return None if seen is None else f"it is {self._put_in(told, code, *seen)}"

    def _points(self, place: Place) -> Sequence[tuple[int, int]]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            return [(place.frame, at) for at in self.values.points(place.frame, (first, last))]
        if here is not None and place.sure:
            last = here.end - 1
            statement = self.run.statement_of(here.event)
            if isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try):
                return self._everywhere
            return [(here.event.frame, at) for at in (here.at - 1, here.at, last)]
        return self._everywhere

    @functools.cached_property
    def _everywhere(self) -> list[tuple[int, int]]:
        lines = self.run.occurrences[:_MOST_POINTS]
        return [(o.event.frame, at) for o in lines for at in (o.at - 1, o.end - 1)]

    def _put_in(self, told: ast.expr, code: ast.expr, frame: int, at: int) -> str:
        """Returns code with its values where values are told."""
        if isinstance(told, ast.BinOp) and isinstance(code, ast.BinOp):
            left = self._put_in(told.left, code.left, frame, at)
            return f"{left} {_sign(code.op)} {self._put_in(told.right, code.right, frame, at)}"
        if isinstance(told, ast.Compare) and isinstance(code, ast.Compare):
            left = self._put_in(told.left, code.left, frame, at)
            right = self._put_in(told.comparators[0], code.comparators[0], frame, at)
            return f"{left} {_sign(code.ops[0])} {right}"
        text = self.values.text_at(ast.unparse(code), frame, at)
        return ast.unparse(code) if text is None else text

    @functools.cached_property
    def _turned(self) -> frozenset[str]:
        """Returns the variables of comprehensions and the parameters of lambdas."""
        found: set[str] = set()
        for node in self.run.nodes:
            if isinstance(node, ast.comprehension):
                found |= _names_of(node.target)
            elif isinstance(node, ast.Lambda):
                found |= {one.arg for one in node.args.args}
        return frozenset(found)

    def _is_own_call(self, told: ast.expr) -> bool:
        """Tells whether code calls a function of the program, whose calls are many."""
        return any(
            isinstance(node, ast.Call) and getattr(node.func, "id", None) in self.run.functions
            for node in ast.walk(told)
        )

    # ---- code of the program

    def strangers(self, plain: str, place: Place) -> Iterator[tuple[str, str | None]]:
        """Yields code of a sentence whose form the place has, but with other values.

        With the truth if the whole run never has them.
        """
        _, atoms = mask_code(plain, frozenset())
        for atom in atoms:
            if not atom.literal and self.is_stranger(atom.text, place):
                supposed = _SUPPOSED.search(plain) or not _CALLS.search(atom.text)
                never = not supposed and self.is_stranger(atom.text, Place(None, False))
                sure = never and not self.run.trace.truncated
                yield atom.text, "the code never has these values" if sure else None

    def is_stranger(self, text: str, place: Place) -> bool:
        """Tells whether code has a form that the place has, but other values each time."""
        told = _expression(text) if _VALUE.search(text) else None
        if not isinstance(told, _FORMS) or not _has_values(told) or self._is_own_call(told):
            return False
        found = False
        alike: dict[int, list[ast.expr]] = {}  # line -> its operations of the same form
        for here in self._lines(place):
            line = here.event.line
            if line not in alike:
                alike[line] = [n for n in self._nodes(here) if _parts(told, n) is not None]
            for node in alike[line]:
                fits = self._fit(told, node, here.event.frame, here.at - 1)
                if fits == _FITS:
                    return False
                found = found or fits == _HAS_OTHER_VALUES
        return found

    def _lines(self, place: Place) -> Sequence[Occurrence]:
        if place.window is not None and not place.sure:
            first, last = place.window
            return [one for one in self.run.occurrences if first <= one.at <= last][:_MOST_PLACES]
        return self.run.occurrences[:_MOST_PLACES]

    def _nodes(self, here: Occurrence) -> Iterator[ast.expr]:
        statement = self.run.statement_of(here.event)
        return iter(_operations(statement)) if statement is not None else iter(())

    def _fit(self, told: ast.expr, code: ast.expr, frame: int, at: int) -> int:
        """Compares told code with the program's code in a state."""
        if _literal_of(told) is not None:
            if isinstance(code, ast.Constant):
                same = compare(_literal_of(told) or "", ast.unparse(code)) == CONFIRMED
                return _FITS if same else _IS_OTHER_CODE
            if _names_of(code) & self._turned:
                return _FITS  # a comprehension has its own
            text = self.values.text_at(ast.unparse(code), frame, at)
            if text is None or compare(_literal_of(told) or "", text) != CONTRADICTED:
                return _FITS
            return _HAS_OTHER_VALUES
        if dump_node(told) == dump_node(code):
            return _FITS
        pairs = _parts(told, code)
        if pairs is None:
            return _IS_OTHER_CODE
        fits = {self._fit(one, two, frame, at) for one, two in pairs}
        if _IS_OTHER_CODE in fits and _differs_in_constants(told, code):
            return _HAS_OTHER_VALUES
        if _IS_OTHER_CODE in fits:
            return _IS_OTHER_CODE
        return _HAS_OTHER_VALUES if _HAS_OTHER_VALUES in fits else _FITS


def _differs_in_constants(told: ast.expr, code: ast.expr) -> bool:
    """Tells whether both call the same method, with another constant: `find("a", 0)`."""
    match told, code:
        case (
            ast.Call(func=ast.Attribute(value=one), args=mine),
            ast.Call(func=ast.Attribute(value=two), args=own),
        ):
            constants = [
                isinstance(other, ast.Constant) and _literal_of(arg) is not None
                for arg, other in zip(mine, own, strict=True)
            ]
            return all(constants) and dump_node(one) == dump_node(two)
    return False


def _parts(told: ast.expr, code: ast.expr) -> list[tuple[ast.expr, ast.expr]] | None:
    """Returns the parts of told code beside those of code of the same form; None for another."""
    match told, code:
        case ast.BinOp(), ast.BinOp() if type(told.op) is type(code.op):
            return [(told.left, code.left), (told.right, code.right)]
        case ast.UnaryOp(), ast.UnaryOp() if type(told.op) is type(code.op):
            return [(told.operand, code.operand)]
        case ast.BoolOp(), ast.BoolOp() if type(told.op) is type(code.op):
            same = len(told.values) == len(code.values)
            return list(zip(told.values, code.values, strict=True)) if same else None
        case ast.Compare(), ast.Compare() if [*map(type, told.ops)] == [*map(type, code.ops)]:
            pairs = zip(told.comparators, code.comparators, strict=True)
            return [(told.left, code.left), *pairs]
        case ast.Subscript(), ast.Subscript():
            return [(told.value, code.value), (told.slice, code.slice)]
        case ast.Slice(), ast.Slice():
            ends = ((told.lower, code.lower), (told.upper, code.upper), (told.step, code.step))
            if any((one is None) != (two is None) for one, two in ends):
                return None
            return [(one, two) for one, two in ends if one is not None and two is not None]
        case ast.Call(), ast.Call() if not told.keywords and not code.keywords:
            if len(told.args) != len(code.args):
                return None
            pairs = list(zip(told.args, code.args, strict=True))
            match told.func, code.func:
                case ast.Attribute(), ast.Attribute() if told.func.attr == code.func.attr:
                    return [(told.func.value, code.func.value), *pairs]
                case ast.Name(), ast.Name() if told.func.id == code.func.id:
                    return pairs
    return None


@functools.lru_cache(maxsize=4096)
def _operations(statement: ast.stmt) -> tuple[ast.expr, ...]:
    found = [node for node in own_nodes(statement) if isinstance(node, _FORMS)]
    if isinstance(statement, ast.AugAssign):
        target = ast.parse(ast.unparse(statement.target), mode="eval").body
        found.append(ast.BinOp(target, statement.op, statement.value))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _literal_of(node: ast.expr) -> str | None:
    text = ast.unparse(node)
    return text if is_literal(text) else None


@functools.lru_cache(maxsize=4096)
def _expression(text: str) -> ast.expr | None:
    """Returns told code as an expression: of `if x > 2:` the test, of `3 - 1 = 2` the sum."""
    text = re.sub(r"^(?:if|elif|while) ", "", text.strip()).removesuffix(":")
    return parse_code(text) or parse_code(re.split(r"(?<![=!<>])=(?!=)", text)[0])


def _has_names(code: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id not in _PLAIN for node in ast.walk(code))


@functools.lru_cache(maxsize=4096)
def _names_of(code: ast.expr) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(code) if isinstance(node, ast.Name))


@functools.lru_cache(maxsize=4096)
def _has_values(code: ast.expr) -> bool:
    return any(isinstance(node, ast.Constant) for node in ast.walk(code))


_PLAIN = frozenset(("len", "int", "str", "sum", "min", "max", "ord", "chr", "abs", "sorted"))
_SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Mod: "%", ast.FloorDiv: "//", ast.Div: "/",
    ast.Pow: "**", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


def _sign(operator: ast.operator | ast.cmpop) -> str:
    return _SIGNS.get(type(operator), "?")
