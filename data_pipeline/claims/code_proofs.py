"""Proves claims about the program's text, and about the run as a whole."""

import ast
from collections.abc import Callable, Mapping, Sequence

from data_pipeline.claims.claim import Claim
from data_pipeline.claims.record import FUNCTIONS, Record
from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.source.scopes import all_arguments
from data_pipeline.source.syntax import dump_node, parse_expression

Proof = Callable[[Record, Claim], bool | None]
_OPERATORS = {
    "+=": ast.Add, "-=": ast.Sub, "*=": ast.Mult, "/=": ast.Div, "//=": ast.FloorDiv,
    "%=": ast.Mod, "**=": ast.Pow, "<<=": ast.LShift, ">>=": ast.RShift, "|=": ast.BitOr,
    "&=": ast.BitAnd, "^=": ast.BitXor, "@=": ast.MatMult,
}  # fmt: skip


def same_code(text: str, node: ast.AST | None) -> bool:
    """Returns whether a text reads as the expression `node`, whatever its spaces and brackets."""
    if node is None:
        return not text.strip()
    try:
        return _as_read(parse_expression(f"({text.strip()})")) == _as_read(node)
    except (SyntaxError, ValueError):
        return False


def _as_read(node: ast.AST) -> str:
    return dump_node(node).replace("ctx=Store()", "ctx=Load()").replace("ctx=Del()", "ctx=Load()")


def _nodes(record: Record, claim: Claim, kinds: type | tuple[type, ...]) -> list:
    """Returns the nodes of some kinds on the claim's line."""
    on_line = record.program.nodes_at.get(claim.place.line, ())
    return [node for node in on_line if isinstance(node, kinds)]


def _takes(record: Record, claim: Claim) -> bool:
    return any(
        node.name == claim.subject and ", ".join(_spelled(node.args)) == claim.value
        for node in _nodes(record, claim, FUNCTIONS)
    )


def _spelled(arguments: ast.arguments) -> list[str]:
    stars = {id(arguments.vararg): "*", id(arguments.kwarg): "**"}
    return [stars.get(id(a), "") + a.arg for a in all_arguments(arguments)]


def _quote(record: Record, claim: Claim) -> bool:
    for node in _nodes(record, claim, FUNCTIONS):
        text = " ".join((ast.get_docstring(node) or "").split())
        if node.name == claim.subject and claim.value and claim.value in text:
            return True
    return False


def _loop(record: Record, claim: Claim) -> bool:
    return any(
        same_code(claim.subject, node.iter) and same_code(claim.value, node.target)
        for node in _nodes(record, claim, (ast.For, ast.AsyncFor))
    )


def _test_of(*kinds: type) -> Proof:
    def proof(record: Record, claim: Claim) -> bool:
        return any(same_code(claim.subject, n.test) for n in _nodes(record, claim, kinds))

    return proof


def _sets(record: Record, claim: Claim) -> bool:
    for node in _nodes(record, claim, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if same_code(claim.value, node.value) and any(same_code(claim.subject, t) for t in targets):
            return True
    return False


def _changes(record: Record, claim: Claim) -> bool:
    operator, _, right = claim.value.partition(" ")
    return any(
        same_code(claim.subject, node.target)
        and isinstance(node.op, _OPERATORS[operator])
        and same_code(right, node.value)
        for node in _nodes(record, claim, ast.AugAssign)
    )


def _value_of(*kinds: type) -> Proof:
    def proof(record: Record, claim: Claim) -> bool:
        return any(same_code(claim.subject, n.value) for n in _nodes(record, claim, kinds))

    return proof


def _defines(record: Record, claim: Claim) -> bool:
    kinds = (*FUNCTIONS, ast.ClassDef)
    return any(node.name == claim.subject for node in _nodes(record, claim, kinds))


def _throws(record: Record, claim: Claim) -> bool:
    for node in _nodes(record, claim, ast.Raise):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if same_code(claim.subject, kind):
            return True
    return False


def _deletes(record: Record, claim: Claim) -> bool:
    targets = (target for node in _nodes(record, claim, ast.Delete) for target in node.targets)
    return any(same_code(claim.subject, target) for target in targets)


def _catches(record: Record, claim: Claim) -> bool:
    handlers = _nodes(record, claim, ast.ExceptHandler)
    return any(same_code(claim.subject, node.type) for node in handlers if node.type is not None)


def _puts(record: Record, claim: Claim) -> bool:
    """A statement of the line adds `value` to the list or set `subject` by `append` or `add`."""
    for node in _nodes(record, claim, ast.Expr):
        match node.value:
            case ast.Call(
                func=ast.Attribute(value=owner, attr="append" | "add"), args=[item], keywords=[]
            ) if same_code(claim.subject, owner) and same_code(claim.value, item):
                return True
    return False


def _block(record: Record, claim: Claim) -> bool:
    """A block of a header holds statements that begin on these lines, in this order.

    "after": they follow an `if` that always leaves the function when its test holds.
    """
    wanted = [int(line) for line in claim.value.split(",")]
    for node in _nodes(record, claim, (ast.stmt, ast.ExceptHandler)):
        if claim.subject == "after":
            block = _after(record, node)
        else:
            block = getattr(node, {"body": "body", "else": "orelse"}[claim.subject], ())
        lines = [statement.lineno for statement in block]
        if wanted == [line for line in lines if line in wanted]:
            return True
    return False


def _after(record: Record, node: ast.stmt) -> Sequence[ast.stmt]:
    """Returns what stands below an `if` without `else` whose body ends by leaving the function."""
    if not isinstance(node, ast.If) or node.orelse:
        return ()
    if not isinstance(node.body[-1], ast.Return | ast.Raise):
        return ()
    for field in ("body", "orelse", "finalbody"):
        block = getattr(record.parents[node], field, ())
        if isinstance(block, list) and node in block:
            return block[block.index(node) + 1 :]
    return ()


def _exists(*kinds: type) -> Proof:
    def proof(record: Record, claim: Claim) -> bool:
        return bool(_nodes(record, claim, kinds))

    return proof


def _opens(record: Record, claim: Claim) -> bool:
    return any(
        same_code(claim.subject, node.items[0].context_expr)
        for node in _nodes(record, claim, (ast.With, ast.AsyncWith))
    )


def _matches(record: Record, claim: Claim) -> bool:
    return any(
        same_code(claim.subject, node.subject) and len(node.cases) == int(claim.value)
        for node in _nodes(record, claim, ast.Match)
    )


def _imports(record: Record, claim: Claim) -> bool:
    try:
        wanted = ast.dump(ast.parse(claim.subject).body[0])
    except SyntaxError:
        return False
    found = _nodes(record, claim, (ast.Import, ast.ImportFrom))
    return any(ast.dump(node) == wanted and _brings(node, claim.value) for node in found)


def _brings(node: ast.Import | ast.ImportFrom, names: str) -> bool:
    """Returns whether these are the names that an import binds."""
    bound = [one.asname or one.name.partition(".")[0] for one in node.names]
    return names == ", ".join(bound)


def _bare(record: Record, claim: Claim) -> bool:
    kinds = {"pass": ast.Pass, "break": ast.Break, "continue": ast.Continue}
    return bool(_nodes(record, claim, kinds[claim.subject]))


def _constant(record: Record, claim: Claim) -> bool | None:
    known = record.program.constants.get(claim.subject)
    if known is None:
        return None
    try:
        return repr(parse_literal(known)) == repr(parse_literal(claim.value))
    except LiteralError:
        return None


# ---- the run as a whole


def _recursive(record: Record, claim: Claim) -> bool:
    """The function is called again before a call of it is over."""
    open_frames: list[int] = []
    for at, event in enumerate(record.events):
        if event.function.rpartition(".")[2] != claim.subject:
            continue
        if event.kind == "call":
            open_frames = [f for f in open_frames if record.frames[f][1] > at]
            if open_frames:
                return True
            open_frames.append(event.frame)
    return False


def _helper(record: Record, claim: Claim) -> bool:
    return any(
        event.kind == "call"
        and event.frame != 0
        and event.function.rpartition(".")[2] == claim.subject
        for event in record.events
    )


def _mutated(record: Record, claim: Claim) -> bool:
    function = record.function(0)
    start = record.events[0].changed.get(claim.subject)
    if function is None or start is None:
        return False
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Name)
            and node.id == claim.subject
            and not isinstance(node.ctx, ast.Load)
        ):
            return False
    _, texts = record._histories[0, claim.subject]
    return any(text != start for text in texts)


def _type(record: Record, claim: Claim) -> bool | None:
    try:
        return type(parse_literal(record.trace.result or "")).__name__ == claim.value
    except LiteralError:
        return _class_of(record.trace.result or "") == claim.value


def _class_of(text: str) -> str | None:
    """Returns the class of an object that a text shows as a call: "Point" of "Point(x=1)"."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return node.func.id if is_call else None  # type: ignore[attr-defined]


def _length(record: Record, claim: Claim) -> bool | None:
    try:
        return len(parse_literal(record.trace.result or "")) == int(claim.value)
    except (LiteralError, TypeError):
        return None


CODE_PROOFS: Mapping[str, Proof] = {
    "takes": _takes, "quote": _quote, "loop": _loop, "while": _test_of(ast.While),
    "test": _test_of(ast.If), "asserts": _test_of(ast.Assert), "sets": _sets,
    "changes": _changes, "gives": _value_of(ast.Return), "does": _value_of(ast.Expr),
    "hands": _value_of(ast.Yield, ast.YieldFrom), "defines": _defines, "throws": _throws,
    "guards": _exists(ast.Try), "opens": _opens, "matches": _matches, "imports": _imports,
    "bare": _bare, "constant": _constant, "puts": _puts, "deletes": _deletes,
    "catches": _catches, "block": _block,
}  # fmt: skip
RUN_PROOFS: Mapping[str, Proof] = {
    "recursive": _recursive, "helper": _helper, "mutated": _mutated, "type": _type,
    "length": _length,
}  # fmt: skip
