"""Proves claims about the expressions of a line.

Values of whole expressions are read off the trace; values of parts are computed by the evaluator
of `verify`, which reads literals and never runs code of the program.
"""

import ast
from collections.abc import Mapping
from typing import Any

from data_pipeline.claims.claim import Claim
from data_pipeline.claims.code_proofs import Proof
from data_pipeline.claims.record import Record
from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.source.syntax import dump_node, nodes_of, parse_expression
from data_pipeline.verify.evaluation import Unknown, evaluate_node

_MUTABLE = (list, dict, set, bytearray)
_PURE_FUNCTIONS = """
len sum min max abs sorted list tuple set str int float bool ord chr any all round divmod repr dict
frozenset range enumerate zip reversed isinstance
"""
_PURE_METHODS = """
get keys values items copy index count find split rsplit strip lstrip rstrip upper lower title join
replace startswith endswith isdigit isalpha isalnum isupper islower isspace capitalize swapcase
partition splitlines union intersection difference issubset
"""
PURE_FUNCTIONS = frozenset(_PURE_FUNCTIONS.split())
PURE_METHODS = frozenset(_PURE_METHODS.split())


def is_line(record: Record, claim: Claim) -> bool:
    """Returns whether the claim's place is an event of its line and frame."""
    place = claim.place
    if place.at < 0:
        return False
    event = record.events[place.at]
    if event.frame != place.frame:
        return False
    if event.kind == "call":
        function = record.function(place.frame)
        return function is not None and function.lineno == place.line  # type: ignore[attr-defined]
    if event.line == place.line:
        return True
    statement = record.statement(place.at)
    return statement is not None and statement.lineno == place.line


def evaluates(record: Record, claim: Claim) -> bool | None:
    if not is_line(record, claim):
        return False
    node = parse_expression(claim.subject.strip())
    known = _recorded(record, claim, node)
    if known is not None:
        return known == claim.value
    return has_value(record, claim, node, claim.value, record_state(record, claim))


def record_state(record: Record, claim: Claim) -> Any:
    """Returns the state that the line's expressions are evaluated in.

    That is the state before the line, or after a `case` header's captures.
    """
    place = claim.place
    after_captures = place.line in record.program.case_lines
    return record.state(place.frame, place.at if after_captures else place.at - 1)


def _recorded(record: Record, claim: Claim, node: ast.expr) -> str | None:
    """Returns the text that the trace itself gives for a whole expression of the line."""
    place = claim.place
    statement = record.statement(place.at)
    end = record.window_end(place.at)
    match statement:
        case ast.Return(value=value) if value is not None and _same(value, node):
            last = record.events[end] if end < len(record.events) else None
            return last.value if last is not None and last.kind == "return" else None
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _same(value, node):
            return record.value(place.frame, name, end - 1)
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value and _same(value, node):
            return record.value(place.frame, name, end - 1)
        case ast.Expr(value=ast.Yield(value=value)) if value is not None and _same(value, node):
            found = next(record.inside(place.at, "yield"), None)
            return found.value if found else None
    return None


def _same(one: ast.AST, other: ast.AST) -> bool:
    return dump_node(one) == dump_node(other)


def has_value(record: Record, claim: Claim, node: ast.expr, text: str, state: Any) -> bool | None:
    if _is_unsafe(record, claim, node):
        return None
    try:
        value = evaluate_node(node, state)
        return same_value(value, parse_literal(text))
    except (Unknown, LiteralError):
        return None


def _is_unsafe(record: Record, claim: Claim, node: ast.expr) -> bool:
    """Returns whether a name of the expression may have changed within the line."""
    event = record.events[claim.place.at]
    statement = record.statement(claim.place.at)
    names = {part.id for part in nodes_of(node) if isinstance(part, ast.Name)}
    if statement is not None:
        for part in nodes_of(statement):
            if isinstance(part, ast.NamedExpr) and part.target.id in names:
                return True
    if isinstance(statement, ast.For) or event.kind != "line":
        return False
    calls = statement is not None and any(
        isinstance(part, ast.Call | ast.Await) and not _is_pure(record, part)
        for part in nodes_of(statement)
    )
    for name in names & event.changed.keys() if calls else ():
        before = record.value(event.frame, name, claim.place.at - 1)
        try:
            if before is None or isinstance(parse_literal(before), _MUTABLE):
                return True
        except LiteralError:
            return True
    return False


def _is_pure(record: Record, call: ast.AST) -> bool:
    """Returns whether a call is of a builtin, or of a method, that changes nothing."""
    match call:
        case ast.Call(func=ast.Name(id=name)):
            return name in PURE_FUNCTIONS and name not in record.functions
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in PURE_METHODS and name not in record.functions
    return False


def _becomes(record: Record, claim: Claim) -> bool | None:
    """Proves that every part of the code that `value` replaces by a literal has that value."""
    if not is_line(record, claim):
        return False
    code = parse_expression(claim.subject.strip())
    put = parse_expression(claim.value.strip())
    return _matches(record, claim, code, put)


def _matches(record: Record, claim: Claim, code: ast.AST, put: ast.AST) -> bool | None:
    if _same(code, put):
        return True
    if isinstance(code, ast.expr) and isinstance(put, ast.expr):
        try:
            text = ast.unparse(put)
            parse_literal(text)
        except LiteralError:
            pass
        else:
            return has_value(record, claim, code, text, record_state(record, claim))
    if type(code) is not type(put):
        return False
    verdicts = []
    for name, one in ast.iter_fields(code):
        other = getattr(put, name)
        ones, others = (x if isinstance(x, list) else [x] for x in (one, other))
        if len(ones) != len(others):
            return False
        for a, b in zip(ones, others, strict=True):
            if isinstance(a, ast.AST) and isinstance(b, ast.AST):
                verdicts.append(_matches(record, claim, a, b))
            elif a != b:
                return False
    return False if False in verdicts else None if None in verdicts else True


def _item(record: Record, claim: Claim) -> bool | None:
    event = record.events[claim.place.at]
    if event.kind != "step":
        return False
    node = parse_expression(claim.subject.strip())
    bound = _bound_in_step(record, claim)
    state = record.state(event.frame, _line_of_step(record, claim.place.at), bound)
    return has_value(record, claim, node, claim.value, state)


def _bound_in_step(record: Record, claim: Claim) -> dict[str, str]:
    """Returns the variables of the comprehension's turn."""
    return dict(record.events[claim.place.at].changed)


def _line_of_step(record: Record, at: int) -> int:
    """Returns the index before the line (or the frame's start) that a step belongs to."""
    frame = record.events[at].frame
    for index in range(at, -1, -1):
        event = record.events[index]
        if event.frame == frame and event.kind == "line":
            return index - 1
        if event.frame == frame and event.kind == "call":
            return at
    return at


def _bound(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    return event.kind == "step" and event.changed.get(claim.subject) == claim.value


def is_truth_value(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
        case ast.BoolOp(values=values):
            return all(is_truth_value(part) for part in values)
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in ("startswith", "endswith") or (name in PURE_METHODS and name[:2] == "is")
    return False


EXPRESSION_PROOFS: Mapping[str, Proof] = {
    "evaluates": evaluates, "becomes": _becomes, "item": _item, "bound": _bound,
}  # fmt: skip
