"""Records the variables before each statement of a call, without the tracer.

Compiles calls of hooks into the program's tree (before statements, into bodies, loops and
comprehensions) and reads the variables there. Shares neither code nor mechanism with
`data_pipeline.tracing`, so that a mistake there shows when the two are compared
(`execution.second_opinion`).

Standard library only, and no other module of this project: the sandbox runs this file's text as an
ordinary program.
"""

import ast
import collections
import contextlib
import io
import json
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

HOOKS = "__second_recorder__"
NAMES_OF_THE_COMPILER = frozenset(
    {
        "__module__",
        "__qualname__",
        "__class__",
        "__classdict__",
        "__firstlineno__",
        "__static_attributes__",
        "__annotations__",
        "__classcell__",
    }
)
_Statements = list[ast.stmt]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def record_text(program: str, call: str, most: int = 20_000, limit: int = 1000) -> str:
    """Returns the record of `record` as JSON."""
    return json.dumps(record(program, call, most, limit))


def record(program: str, call: str, most: int = 20_000, limit: int = 1000) -> dict[str, Any]:
    """Runs `program`, then `call` in it with hooks.

    Args:
        most: records after which recording stops; the run continues.
        limit: characters of a value that are compared.

    Returns:
        nodes:   [line, column] of each statement or clause; a record refers to its index
        records: [frame, kind, node, changed, gone, value] in order; changed, gone: effect on the
                 frame's variables since its previous record. A text is None where a value's form
                 is not known here. Kinds: "call" (value: name), "start" (of a loop), "before" (a
                 statement, or once more a loop's header), "enter" (a body), "return" (value: its
                 text), "leave" (the frame ends), "turn" (of a comprehension, with its variables)
        full:    whether recording stopped
        result:  text of the returned value, or None
        raised:  [type] of the exception that left the call, or None
    """
    tree = ast.parse(program)
    planter = _Planter()
    planter.plant(tree)
    recording = _Recording(most, limit)
    module = types.ModuleType("program")
    # The hooks are no global of the program, which might list its globals.
    builtins = vars(sys.modules["builtins"])
    builtins[HOOKS] = recording
    shadowed = sys.modules.get("program")
    sys.modules["program"] = module
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result, raised = _run(tree, call, module, recording)
    finally:
        recording.on = False
        del builtins[HOOKS]
        if shadowed is None:
            del sys.modules["program"]
        else:
            sys.modules["program"] = shadowed
    return {
        "nodes": planter.nodes,
        "records": recording.records,
        "full": recording.full,
        "result": result,
        "raised": raised,
    }


def _run(
    tree: ast.Module, call: str, module: types.ModuleType, recording: "_Recording"
) -> tuple[str | None, list[str] | None]:
    exec(compile(tree, "<hooked program>", "exec", dont_inherit=True), vars(module))
    parsed = compile(call.strip(), "<call>", "eval", dont_inherit=True)
    recording.on = True
    try:
        value = eval(parsed, vars(module))
    except (Exception, SystemExit) as error:
        return None, [type(error).__name__]
    finally:
        recording.on = False
    return recording.text(value), None


# ---- planting


class _Planter(ast.NodeTransformer):
    """Plants hooks into functions. nodes: their [line, column], by the number given to hooks."""

    def __init__(self) -> None:
        self.nodes: list[list[int]] = []
        self.inside = False  # a function, where the body of a class is recorded too

    def plant(self, tree: ast.Module) -> None:
        self.visit(tree)
        ast.fix_missing_locations(tree)

    def number(self, node: ast.AST) -> int:
        place: Any = node.pattern if isinstance(node, ast.match_case) else node
        self.nodes.append([place.lineno, place.col_offset])
        return len(self.nodes) - 1

    # -- blocks

    def block(self, statements: _Statements) -> _Statements:
        planted: _Statements = []
        for statement in statements:
            if self.inside:
                planted += self.hooks_before(statement)
            visited = self.visit(statement)
            planted += visited if isinstance(visited, list) else [visited]
        return planted

    def hooks_before(self, statement: ast.stmt) -> _Statements:
        match statement:
            case ast.Global() | ast.Nonlocal() | ast.While() | ast.AnnAssign(value=None):
                return []
            case ast.Expr(value=ast.Constant()):
                return []
        return [_hook(statement, "before", self.number(statement))]

    def scope(self, node: _Function | ast.ClassDef, name: str) -> _Statements:
        """Returns the body of a function or class with hooks at its entry and exit."""
        outside, self.inside = self.inside, True
        body = self.block(node.body)
        self.inside = outside
        first = 1 if ast.get_docstring(node, clean=False) is not None else 0
        enter, leave = _hook(node, "call", name), _hook(node, "leave")
        guarded = ast.copy_location(ast.Try([enter, *body[first:]], [], [], [leave]), node)
        return [*body[:first], guarded]

    def visit_FunctionDef(self, node: Any) -> ast.AST:
        self.visit_header(node)
        node.body = self.scope(node, node.name)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.visit_header(node)
        node.body = self.scope(node, node.name) if self.inside else self.block(node.body)
        return node

    def visit_header(self, node: ast.AST) -> None:
        for name, child in ast.iter_fields(node):
            if name not in ("body", "orelse", "finalbody", "handlers", "cases"):
                for part in child if isinstance(child, list) else [child]:
                    if isinstance(part, ast.AST):
                        self.visit(part)

    # -- statements with a body

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            return super().generic_visit(node)
        self.visit_header(node)
        for name in ("body", "orelse", "finalbody"):
            if getattr(node, name, None):
                setattr(node, name, self.block(getattr(node, name)))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            self.visit(part)
        return node

    def entered(self, node: Any) -> int | None:
        """Plants the hook that says that the body of `node` is entered; returns its number."""
        number = self.number(node) if self.inside else None
        self.generic_visit(node)
        if number is not None:
            node.body.insert(0, _hook(node.body[0], "enter", number))
        return number

    def visit_If(self, node: ast.If) -> ast.AST:
        self.entered(node)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.entered(node)
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        self.entered(node)
        return node

    def visit_For(self, node: ast.For) -> ast.AST | _Statements:
        number = self.entered(node)
        if number is None:
            return node
        node.iter = _call(node.iter, "visits", ast.Constant(number), node.iter)
        return [_hook(node, "start", number), node]

    def visit_While(self, node: ast.While) -> ast.AST | _Statements:
        number = self.entered(node)
        if number is None:
            return node
        hook = _call(node.test, "before", ast.Constant(number))
        node.test = ast.copy_location(ast.BoolOp(ast.Or(), [hook, node.test]), node.test)
        return [_hook(node, "start", number), node]

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and self.inside:
            node.value = _call(node.value, "returned", node.value)
        return node

    # -- comprehensions

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        names = sorted(
            {
                part.id
                for part in ast.walk(node.target)
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
        )
        self.generic_visit(node)
        bound = ast.Dict(
            [ast.Constant(name) for name in names], [ast.Name(name, ast.Load()) for name in names]
        )
        node.ifs.insert(0, _call(node.target, "turn", bound))
        return node


def _call(at: ast.AST, name: str, *arguments: ast.expr) -> ast.Call:
    function = ast.Attribute(ast.Name(HOOKS, ast.Load()), name, ast.Load())
    call = ast.copy_location(ast.Call(function, list(arguments), []), at)
    return ast.fix_missing_locations(call)


def _hook(at: ast.stmt, name: str, *arguments: int | str) -> ast.stmt:
    call = _call(at, name, *(ast.Constant(argument) for argument in arguments))
    return ast.copy_location(ast.Expr(call), at)


# ---- recording


class _Recording:
    """The hooks, and what they record while `on`."""

    def __init__(self, most: int, limit: int) -> None:
        self.records: list[list[Any]] = []
        self.on = False
        self.full = False
        self.most, self.limit = most, limit
        self.frames: dict[int, int] = {}  # id of a running frame -> its number
        self.known: dict[int, dict[str, str | None]] = {}  # frame -> its variables' texts
        self.calls = 0

    def call(self, name: str) -> None:
        if self.on:
            frame = sys._getframe(1)
            number = self.frames[id(frame)] = self.calls
            self.known[number] = {}
            self.calls += 1
            self.add(frame, "call", 0, name)

    def leave(self) -> None:
        frame = sys._getframe(1)
        if self.on:
            self.add(frame, "leave", 0)
        self.frames.pop(id(frame), None)

    def start(self, node: int) -> None:
        if self.on:
            self.add(sys._getframe(1), "start", node)

    def before(self, node: int) -> bool:
        """Returns False, for a test: `before(n) or test`."""
        if self.on:
            self.add(sys._getframe(1), "before", node)
        return False

    def enter(self, node: int) -> None:
        if self.on:
            self.add(sys._getframe(1), "enter", node)

    def returned(self, value: Any) -> Any:
        if self.on:
            self.add(sys._getframe(1), "return", 0, self.text(value))
        return value

    def turn(self, variables: dict[str, Any]) -> bool:
        """Returns True, as a condition of a comprehension."""
        if self.on and self.has_room():
            texts = {name: self.text(value) for name, value in variables.items()}
            self.records.append([-1, "turn", 0, texts, [], None])
        return True

    def visits(self, node: int, iterable: Iterable[Any]) -> "_Visits":
        return _Visits(self, node, iter(iterable))

    # -- states

    def has_room(self) -> bool:
        self.full = self.full or len(self.records) >= self.most
        return not self.full

    def add(self, frame: types.FrameType, kind: str, node: int, value: str | None = None) -> None:
        number = self.frames.get(id(frame))
        if number is None or not self.has_room():
            return
        known = self.known[number]
        texts = {
            name: self.text(value)
            for name, value in dict(frame.f_locals).items()
            if name not in NAMES_OF_THE_COMPILER and name[0] != "."
        }
        changed = {n: t for n, t in texts.items() if n not in known or known[n] != t}
        gone = [name for name in known if name not in texts]
        self.known[number] = texts
        self.records.append([number, kind, node, changed, gone, value])

    def text(self, value: Any) -> str | None:
        writer = _Writer(4 * self.limit)
        try:
            writer.write(value, 0)
        except (_UnknownForm, RecursionError):
            return None
        return "".join(writer.parts)


class _Visits:
    """An iterator that records the visits of a loop's header but the first."""

    def __init__(self, recording: _Recording, node: int, iterator: Iterator[Any]) -> None:
        self.recording, self.node, self.iterator = recording, node, iterator
        self.visited = False

    def __iter__(self) -> "_Visits":
        return self

    def __next__(self) -> Any:
        if self.visited and self.recording.on:
            self.recording.add(sys._getframe(1), "before", self.node)
        self.visited = True
        return next(self.iterator)


# ---- texts of values


class _UnknownForm(Exception):
    """A value whose text is not written here, and is not compared."""


_ATOMS = frozenset({str, bool, float, complex, bytes, bytearray, type(None), range, slice})


class _Writer:
    """Appends the text of a value until `room` characters are used."""

    def __init__(self, room: int) -> None:
        self.parts: list[str] = []
        self.room = room
        self.open: set[int] = set()

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.room -= len(text)

    def write(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is int:
            self.put(_whole_number(value))
        elif kind in _ATOMS:
            self.put(repr(value))
        elif self.room < 0 or depth > 24 or id(value) in self.open:
            self.put("...")
        elif kind in _FORMS:
            self.open.add(id(value))
            _FORMS[kind](self, value, depth + 1)
            self.open.discard(id(value))
        elif _is_plain_instance(kind):
            self.open.add(id(value))
            self.attributes(kind.__name__, object.__getattribute__(value, "__dict__"), depth + 1)
            self.open.discard(id(value))
        elif kind.__module__ == "builtins" and isinstance(value, BaseException):
            self.open.add(id(value))
            self.sequence(f"{kind.__name__}(", value.args, ")", depth + 1)
            self.open.discard(id(value))
        else:
            raise _UnknownForm

    def sequence(self, opening: str, items: Iterable[Any], closing: str, depth: int) -> None:
        self.put(opening)
        for number, item in enumerate(items):
            self.put(", " if number else "")
            if self.room < 0:
                self.put("...")
                break
            self.write(item, depth)
        self.put(closing)

    def pairs(self, opening: str, items: dict[Any, Any], closing: str, depth: int) -> None:
        self.put(opening + "{")
        for number, (key, item) in enumerate(dict.items(items)):
            self.put(", " if number else "")
            if self.room < 0:
                self.put("...")
                break
            self.write(key, depth)
            self.put(": ")
            self.write(item, depth)
        self.put("}" + closing)

    def members(self, opening: str, items: Iterable[Any], closing: str) -> None:
        """Writes a set: whole numbers by size, other members by type and text."""
        members = list(items)
        if all(type(member) is int for member in members):
            texts = [_whole_number(member) for member in sorted(members)]
        else:
            named = []
            for member in members:
                writer = _Writer(max(self.room, 80) * 4)
                writer.write(member, 0)
                named.append((type(member).__name__, "".join(writer.parts)))
            texts = [text for _, text in sorted(named)]
        self.put(opening + ", ".join(texts) + closing)

    def attributes(self, name: str, values: dict[str, Any], depth: int) -> None:
        self.put(name + "(")
        for number, (key, item) in enumerate(values.items()):
            self.put(", " if number else "")
            if self.room < 0:
                self.put("...")
                break
            self.put(f"{key}=")
            self.write(item, depth)
        self.put(")")

    def deque(self, value: Any, depth: int) -> None:
        closing = "])" if value.maxlen is None else f"], maxlen={value.maxlen})"
        self.sequence("deque([", value, closing, depth)

    def defaultdict(self, value: Any, depth: int) -> None:
        factory = value.default_factory
        if factory is not None and not isinstance(factory, type):
            raise _UnknownForm
        self.pairs(f"defaultdict({factory.__name__ if factory else None}, ", value, ")", depth)


_FORMS: dict[type, Callable[[_Writer, Any, int], None]] = {
    list: lambda w, v, d: w.sequence("[", v, "]", d),
    tuple: lambda w, v, d: w.sequence("(", v, ",)" if len(v) == 1 else ")", d),
    dict: lambda w, v, d: w.pairs("", v, "", d),
    set: lambda w, v, d: w.members("{", v, "}") if v else w.put("set()"),
    frozenset: lambda w, v, d: w.members("frozenset({", v, "})") if v else w.put("frozenset()"),
    collections.deque: _Writer.deque,
    collections.defaultdict: _Writer.defaultdict,
    collections.Counter: lambda w, v, d: w.pairs("Counter(", v, ")", d),
    types.FunctionType: lambda w, v, d: w.put(f"<function {v.__qualname__}>"),
    types.GeneratorType: lambda w, v, d: w.put(f"<generator {v.__qualname__}>"),
    type: lambda w, v, d: w.put(f"<class {v.__name__}>"),
}


def _whole_number(value: int) -> str:
    try:
        return repr(value)
    except ValueError:  # longer than sys.get_int_max_str_digits()
        return f"<int of {value.bit_length()} bits>"


def _is_plain_instance(kind: type) -> bool:
    """Returns whether a class of the program keeps its values in `__dict__` alone."""
    return type(kind) is type and all(
        base is object
        or (
            type.__dict__["__dict__"].__get__(base).get("__module__") == "program"
            and "__slots__" not in type.__dict__["__dict__"].__get__(base)
        )
        for base in kind.__mro__
    )
