"""Lists what the statements of a program do, in the verbs that people use for it.

One statement does several things at once: `r += s.upper()` appends, adds and concatenates to `r`,
and converts `s` to uppercase. Each is an `Action` with the expressions that play its roles.
"""

import ast
import dataclasses
from collections.abc import Iterator, Mapping

from data_pipeline.verify.wordlists import word_set


@dataclasses.dataclass(frozen=True)
class Action:
    """Holds one thing that a statement does.

    Attributes:
      verbs: the verbs that say it.
      roles: role ("object", "to", "from", "with", "at", "over", "in") -> expression; an empty
        string stands for something that has no expression, such as white space.
      node: the syntax node that does it.
      statement: the statement around `node`.
    """

    verbs: frozenset[str]
    roles: Mapping[str, ast.expr | str]
    node: ast.AST
    statement: ast.stmt


Made = tuple[str, dict[str, ast.expr | str]]

_SET = (
    "set initialize create assign store define construct build calculate compute determine"
    " obtain make save start begin get generate"
)
_ITERATE = "iterate loop go traverse process scan run enter repeat examine check begin start"
_REMOVE = "remove delete discard drop eliminate"
_CONVERT = "convert change transform make modify"
_STRIP = "strip remove trim"
_PAD = "pad format justify center add extend"
_FIND = "find search locate determine get look calculate"
_CALLED: Mapping[str, tuple[str, str, str]] = {  # method -> verbs, role of args[0], of the owner
    "append": ("append add insert put push include store", "object", "to"),
    "add": ("add insert include store", "object", "to"),
    "extend": ("extend append add concatenate", "object", "to"),
    "remove": (_REMOVE, "object", "from"),
    "discard": (_REMOVE, "object", "from"),
    "clear": ("clear empty remove reset", "", "object"),
    "update": ("update merge add combine", "with", "object"),
    "sort": ("sort order arrange", "", "object"),
    "reverse": ("reverse", "", "object"),
    "split": ("split divide break separate", "with", "object"),
    "rsplit": ("split divide break separate", "with", "object"),
    "splitlines": ("split divide break separate", "", "object"),
    "partition": ("partition split divide break separate", "with", "object"),
    "rpartition": ("partition split divide break separate", "with", "object"),
    "join": ("join concatenate combine merge convert", "object", "with"),
    "strip": (_STRIP, "object", "from"),
    "lstrip": (_STRIP, "object", "from"),
    "rstrip": (_STRIP, "object", "from"),
    "removeprefix": (_STRIP, "object", "from"),
    "removesuffix": (_STRIP, "object", "from"),
    "upper": (_CONVERT, "", "object"),
    "lower": (_CONVERT, "", "object"),
    "title": (_CONVERT + " capitalize", "", "object"),
    "capitalize": (_CONVERT + " capitalize", "", "object"),
    "swapcase": (_CONVERT + " swap", "", "object"),
    "casefold": (_CONVERT, "", "object"),
    "find": (_FIND, "object", "in"),
    "rfind": (_FIND, "object", "in"),
    "index": (_FIND, "object", "in"),
    "count": ("count calculate determine get", "object", "in"),
    "zfill": (_PAD, "to", "object"),
    "ljust": (_PAD, "to", "object"),
    "rjust": (_PAD, "to", "object"),
    "center": (_PAD, "to", "object"),
    "copy": ("copy create make", "", "object"),
    "get": ("get retrieve return look", "object", "from"),
    "setdefault": ("set initialize add", "object", "in"),
    "encode": ("encode convert apply", "", "object"),
    "popitem": ("pop remove", "", "from"),
}
_CONVERTERS = word_set("str int float list tuple set dict bool")
_FUNCTIONS = {
    "sorted": "sort order arrange return create get retrieve",
    "reversed": "reverse iterate",
    "len": "calculate compute determine get find count",
    "sum": "calculate compute sum add return",
    "max": "find determine calculate get compute",
    "min": "find determine calculate get compute",
    "abs": "convert calculate take",
    "print": "print output",
    "enumerate": "enumerate iterate",
    "ord": "convert get calculate",
    "chr": "convert",
}
_COUNTING = "occurrences occurrence number times appears appear occurs unique each distinct many"
_BINARY: Mapping[type, str] = {
    ast.Add: "add concatenate combine sum append join",
    ast.Sub: "subtract",
    ast.Mult: "multiply repeat",
    ast.Div: "divide",
    ast.FloorDiv: "divide",
    ast.Mod: "divide calculate",
    ast.Pow: "raise calculate square",
}


def verbs_of_call(name: str) -> frozenset[str]:
    """Returns the verbs that say what a call of a method or builtin does."""
    node = ast.Call(ast.Attribute(ast.Name("x"), name), [ast.Name("y"), ast.Name("z")], [])
    plain = ast.Call(ast.Name(name), [ast.Name("y")], [])
    made = [
        verbs for call in (node, plain) for verbs, roles in _called(call) if "method" not in roles
    ]
    return frozenset(" ".join(made).split())


def list_actions(tree: ast.Module) -> list[Action]:
    """Returns all actions of a program, in the order of its lines."""
    actions = []
    for statement in sorted(_statements(tree), key=lambda node: node.lineno):
        for part in _own_nodes(statement):
            for verbs, roles in _made_by(part):
                actions += _branches(Action(frozenset(verbs.split()), roles, part, statement))
    return actions


def _branches(action: Action) -> list[Action]:
    """Returns the action, or one for each branch of the ternary that it returns or assigns."""
    for role in ("object", "to"):
        value = action.roles.get(role)
        if isinstance(value, ast.IfExp) and isinstance(action.node, ast.Return | ast.Assign):
            roles = [{**action.roles, role: branch} for branch in (value.body, value.orelse)]
            nodes = (value.body, value.orelse)
            return [
                branch
                for given, node in zip(roles, nodes, strict=True)
                for branch in _branches(Action(action.verbs, given, node, action.statement))
            ]
    return [action]


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            yield node


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yields a statement and its expressions, without the statements of its body."""
    yield statement
    stack = [
        child for child in ast.iter_child_nodes(statement)
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.arguments | ast.match_case)
    ]  # fmt: skip
    while stack:
        node = stack.pop(0)
        yield node
        stack += list(ast.iter_child_nodes(node))


def _made_by(node: ast.AST) -> Iterator[Made]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _assigned(target, value)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _assigned(target, value)
        case ast.NamedExpr(target=target, value=value):
            yield from _assigned(target, value)
        case ast.AugAssign(target=target, op=op, value=value):
            yield from _augmented(target, op, value)
        case ast.For(target=target, iter=source) | ast.comprehension(target=target, iter=source):
            yield _ITERATE, {"object": target, "over": source}
        case ast.While(test=test):
            yield "loop iterate enter continue run repeat start begin", {"while": test}
        case ast.Return(value=value):
            given = ast.Constant(None) if value is None else value
            yield "return output", {"object": given}
        case ast.Delete(targets=targets):
            for target in targets:
                if isinstance(target, ast.Subscript):
                    yield _REMOVE, {"object": target.slice, "from": target.value}
        case ast.Break():
            yield "break exit stop terminate end", {}
        case ast.Continue():
            yield "continue skip", {}
        case ast.Raise():
            yield "raise", {"object": node.exc or ""}
        case ast.Call():
            yield from _called(node)
        case ast.BinOp(left=left, op=op, right=right):
            yield from _operated(left, op, right)
        case ast.UnaryOp(op=ast.USub(), operand=inner) if not isinstance(inner, ast.Constant):
            yield "negate invert change", {"object": inner}
        case ast.Subscript(value=value, slice=ast.Slice() as part):
            yield from _sliced(value, part)
        case ast.Subscript(value=value, slice=index):
            yield (
                "get access retrieve take select extract",
                {"object": node, "from": value, "at": index},
            )


def _counts_up(target: ast.expr, value: ast.expr) -> bool:
    """Tells whether `d[k] = d.get(k, 0) + 1` or `n = n + 1`."""
    match value:
        case ast.BinOp(left=left, op=ast.Add()):
            owner = target.value if isinstance(target, ast.Subscript) else target
            return ast.unparse(owner) in {
                ast.unparse(part) for part in ast.walk(left) if isinstance(part, ast.expr)
            }
    return False


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[Made]:
    if isinstance(value, ast.BinOp) and _counts_up(target, value):
        yield "increment increase update", {"object": target, "with": value.right}
        yield "add", {"object": value.right, "to": target}
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, two in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, two)
        if ast.unparse(target) != ast.unparse(value) and len(target.elts) == 2:
            yield "swap exchange", {"object": target}
        return
    yield _SET, {"object": target, "to": value, "with": value, "as": value, "named": target}
    verbs = "update modify change"
    if isinstance(target, ast.Subscript):
        verbs += " replace"
    yield verbs, {"object": target, "to": value, "with": value}
    if isinstance(target, ast.Subscript):
        yield (
            "add insert update store map",
            {"object": value, "to": target.value, "at": target.slice},
        )


def _augmented(target: ast.expr, op: ast.operator, value: ast.expr) -> Iterator[Made]:
    if isinstance(op, ast.Add):
        if isinstance(target, ast.Subscript) and ast.unparse(value) == "1":
            roles: dict[str, ast.expr | str] = {"object": target.slice, "words": _COUNTING}
            yield "count", roles
        yield "append add concatenate", {"object": value, "to": target, "words": "end"}
        yield "increment increase update", {"object": target, "with": value}
        yield "accumulate", {"object": value, "in": target}
    elif isinstance(op, ast.Sub):
        yield "subtract", {"object": value, "from": target}
        yield "decrement decrease reduce", {"object": target, "with": value}
    else:
        yield _BINARY.get(type(op), "update") + " update", {"object": target, "with": value}
        if isinstance(op, ast.Mult) and ast.unparse(value) == "-1":
            yield "convert negate change invert", {"object": target}


def _called(node: ast.Call) -> Iterator[Made]:
    yield "call use utilize apply invoke", {"method": node}
    first: ast.expr | str = node.args[0] if node.args else ""
    match node.func:
        case ast.Attribute(value=owner, attr="insert") if len(node.args) == 2:
            at, given = node.args
            roles: dict[str, ast.expr | str] = {"object": given, "to": owner, "at": at, "in": owner}
            yield "insert add put place", roles
            if ast.unparse(at) == "0":
                yield "prepend", {"object": given, "to": owner}
        case ast.Attribute(value=owner, attr="replace") if len(node.args) >= 2:
            old, new = node.args[:2]
            yield (
                "replace substitute change convert",
                {"object": old, "with": new, "to": new, "in": owner},
            )
            if isinstance(new, ast.Constant) and new.value == "":
                yield _REMOVE, {"object": old, "from": owner}
        case ast.Attribute(value=owner, attr="pop"):
            yield (
                "pop remove delete extract retrieve take",
                {"object": first, "from": owner, "at": first},
            )
        case ast.Attribute(value=owner, attr=method) if method in _CALLED:
            verbs, role, owned = _CALLED[method]
            made: dict[str, ast.expr | str] = {owned: owner}
            if role:
                made[role] = first
            if method in ("zfill", "ljust", "rjust", "center") and len(node.args) > 1:
                made["with"] = node.args[1]
            yield verbs, made
        case ast.Name(id=name) if name in _CONVERTERS and node.args:
            yield "convert cast transform create make split", {"object": first, "to": name}
            if name == "list":
                yield "copy create", {"object": first}
        case ast.Name(id=name) if name in _FUNCTIONS:
            yield _FUNCTIONS[name], {"object": first}


def _operated(left: ast.expr, op: ast.operator, right: ast.expr) -> Iterator[Made]:
    verbs = _BINARY.get(type(op), "")
    if isinstance(op, ast.Sub):
        yield verbs, {"object": right, "from": left}
    elif isinstance(op, ast.Add):
        yield "add concatenate combine sum join", {"object": ast.Tuple([left, right], ast.Load())}
        yield "add append", {"object": right, "to": left, "words": "end"}
        yield "add prepend", {"object": left, "to": right, "words": "beginning start front"}
    else:
        yield verbs, {"object": left, "with": right}


def _sliced(value: ast.expr, part: ast.Slice) -> Iterator[Made]:
    step = None if part.step is None else ast.unparse(part.step)
    if step == "-1" and part.lower is None and part.upper is None:
        yield "reverse", {"object": value}
    elif part.lower is None and part.upper is None and step is None:
        yield "copy create make", {"object": value}
    else:
        yield "slice extract take get select cut", {"object": value, "from": value}
