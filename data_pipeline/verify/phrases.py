"""Decides whether a phrase of a sentence speaks of an expression of the program."""

import ast
import functools
import weakref
from collections.abc import Iterable, Iterator, Mapping

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.actions import Action, list_actions
from data_pipeline.verify.concepts import STRICT, tags_of
from data_pipeline.verify.lexicon import Phrase, Token, lemma_of
from data_pipeline.verify.wordlists import word_set

PLAIN_WORDS = word_set(
    """
    class
    single back version form reference existing entirely corresponds corresponding respectively
    both it's specified defined contained a an the it its itself their them they this that these
    those which whose such and or of for to in into from with as by on at value values variable
    variables element elements item items list lists string strings array arrays dictionary dict
    dictionaries number numbers integer integers int character characters char chars letter word
    words result results output outputs input inputs given specified resulting corresponding
    current name names called named key keys pair pairs key-value index position indices
    function method methods built-in operator operators operation operations python loop loops
    iteration iterations parameter parameters argument arguments type types object objects data
    variable content contents entry entries condition conditions expression line lines code
    block statement body text sequence tuple tuples set sets flag counter collection sub-list
    substring substrings sublist each every all any some one new if then else when now again
    also simply just finally first step steps following is are be was were been will being has
    have had so i.e. e.g. i e g using based upon within inside during through over while until
    after whole entire provided found present processed constructed final previously earlier
    containing accordingly boolean float same respective associated particular single current
    both itself keyword clause case built store stored purpose dictionary's list's string's
    otherwise individual only separate multiple there together back up down off does do exists
    exist met true executed determined equal keep keeping track total count running initial
    initially part parts slice slicing portion character's digit's occurrences occurrence
    instance instances various range ranging ranges comprehension once nested outer inner
    for-loop while-loop non-inclusive exclusive inclusive certain separator delimiter placed
    added joining comes come calculated computed chosen desired numbered consists
    consisting comprising
    """
) - {"first"}  # fmt: skip
_LOOSE = word_set(
    """
    remaining all each every any length total count number part parts slice slicing portion
    occurrences occurrence range word words letter lines line start
    """
)  # fmt: skip
_CHANGED = word_set("modified updated changed altered transformed new")
_TYPE_WORDS = {
    "list": "list", "dictionary": "dict", "string": "str", "integer": "int", "tuple": "tuple",
    "boolean": "bool", "float": "float", "array": "list", "dict": "dict", "number": "int",
}  # fmt: skip
MUTATORS = word_set(
    """
    append extend insert remove pop clear sort reverse update popitem setdefault add discard
    """
)


class Code:
    """Holds a program with what its phrases can speak of: actions, definitions, types."""

    def __init__(self, run: Replay):
        self.tree = run.tree
        self.actions = list_actions(run.tree)
        self.names = {n.id for n in run.nodes if isinstance(n, ast.Name)}
        self.definitions: dict[str, list[ast.expr]] = {}
        self.writes: dict[str, list[int]] = {}  # name -> lines that bind or mutate it
        for node in run.nodes:
            for name, value in _bound(node):
                self.writes.setdefault(name, []).append(getattr(node, "lineno", 0))
                if value is not None:
                    self.definitions.setdefault(name, []).append(value)
        self.changes = _changing_calls(run.tree)
        self.parents = {child: node for node in run.nodes for child in ast.iter_child_nodes(node)}
        self.function = _main_function(run)
        arguments = self.function.args if self.function else None
        given = [*arguments.posonlyargs, *arguments.args] if arguments else []
        more = [*arguments.kwonlyargs] if arguments else []
        self.parameters = [argument.arg for argument in (*given, *more)]
        self.constants = _constant_arguments(run, self.writes)
        self.types = _variable_types(run)
        self.returned = _returned_types(run)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yields the node and everything around it, innermost first."""
        found: ast.AST | None = node
        while found is not None:
            yield found
            found = self.parents.get(found)

    def expanded(self, node: ast.AST) -> list[ast.AST]:
        """Returns the node, and for a name also the values that it is set from."""
        made = self.definitions.get(node.id, ()) if isinstance(node, ast.Name) else ()
        if len(made) > 2:
            return [node]
        return [node, *(value for value in made if not self._holds(value, node))]

    def _holds(self, value: ast.AST, node: ast.AST) -> bool:
        """Tells whether an expression stands in a value: `text` in `text = text.center(n)`."""
        around: ast.AST | None = node
        while around is not None and around is not value:
            around = self.parents.get(around)
        return around is value

    def type_of(self, node: ast.AST) -> str | None:
        """Returns the type of a name or literal, None if unknown or if it varies."""
        if node in self.returned:
            found = self.returned[node]
            return next(iter(found)) if len(found) == 1 else None
        match node:
            case ast.Name(id=name):
                known = self.types.get(name, frozenset())
                return next(iter(known)) if len(known) == 1 else None
            case ast.Constant(value=value):
                return type(value).__name__
            case ast.List() | ast.ListComp():
                return "list"
            case ast.Dict() | ast.DictComp():
                return "dict"
            case ast.Tuple():
                return "tuple"
            case ast.JoinedStr():
                return "str"
            case ast.Call(func=ast.Name(id=name)) if name in ("str", "list", "dict", "int", "len"):
                return "int" if name == "len" else name
            case ast.Call(func=ast.Attribute(attr="join")):
                return "str"
        return None


_CODES: "weakref.WeakKeyDictionary[Replay, Code]" = weakref.WeakKeyDictionary()


def code_of(run: Replay) -> Code:
    """Returns the view of a run's program; made once a run."""
    code = _CODES.get(run)
    if code is None:
        code = _CODES[run] = Code(run)
    return code


def _main_function(run: Replay) -> ast.FunctionDef | None:
    for event in run.events:
        if event.kind == "call" and event.function in run.functions:
            return run.functions[event.function]
    return next(iter(run.functions.values()), None)


def _bound(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _targets(target, value)
        case ast.AugAssign(target=target, value=value):
            yield from _targets(target, value)
        case ast.AnnAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            yield from _targets(target, value)
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            for part in ast.walk(target):
                if isinstance(part, ast.Name):
                    yield part.id, value
        case ast.Delete(targets=targets):
            for target in targets:
                yield from _targets(target, None)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
            method in MUTATORS
        ):
            yield name, None


def _targets(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    match target:
        case ast.Name(id=name):
            yield name, value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            values = value.elts if isinstance(value, ast.Tuple) else [value] * len(parts)
            for part, item in zip(parts, values, strict=False):
                yield from _targets(part, item)
        case ast.Subscript(value=ast.Name(id=name)):
            yield name, None


def _changing_calls(tree: ast.AST) -> dict[str, list[ast.AST]]:
    """Returns name -> calls that order or empty what it holds: `xs.sort()`."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in (
                "sort", "reverse", "clear"
            ):  # fmt: skip
                found.setdefault(name, []).append(node)
    return found


def _constant_arguments(run: Replay, writes: Mapping[str, list[int]]) -> dict[str, str]:
    """Returns the arguments of a run with one call that nothing changes, as text."""
    if len(run.entries) != 1:
        return {}
    given = run.entries[0].event.changed
    return {name: text for name, text in given.items() if name not in writes}


def _variable_types(run: Replay) -> dict[str, frozenset[str]]:
    types: dict[str, set[str]] = {}
    for event in run.events[:400]:
        for name, text in event.changed.items():
            types.setdefault(name, set()).add(_literal_type(text))
    return {name: frozenset(found) for name, found in types.items()}


def _returned_types(run: Replay) -> dict[ast.AST, set[str]]:
    """Returns, for each expression that a `return` gave back, the types of its values."""
    types: dict[ast.AST, set[str]] = {}
    for here in run.occurrences[:400]:
        statement, end = run.statement_of(here.event), run.line_end(here)
        if isinstance(statement, ast.Return) and statement.value and end and end.value:
            types.setdefault(statement.value, set()).add(_literal_type(end.value))
    return types


def is_of_type(code: Code, word: str, nodes: Iterable[ast.AST]) -> bool:
    """Tells whether a noun such as "list" may name one of the expressions; also if none is known.

    A word that names no type fits any expression.
    """
    wanted = _TYPE_WORDS.get(word)
    if wanted is None or word == "number":
        return True
    known = [code.type_of(node) for node in nodes]
    return wanted in known or any(kind in (None, "?") for kind in known)


@functools.lru_cache(maxsize=4096)
def _literal_type(text: str) -> str:
    try:
        return type(parse_literal(text)).__name__
    except (LiteralError, ValueError):
        return "?"


def phrase_fits(
    code: Code,
    phrase: Phrase,
    node: ast.AST | str,
    extra: ast.AST | None = None,
    *,
    exact: bool = False,
) -> bool | None:
    """Tells whether a phrase speaks of an expression; None if that cannot be decided.

    `extra` may explain words too: the statement around the expression, or the action's own node.
    An `exact` phrase speaks of a variable itself and not of the values that it is set from.
    """
    if isinstance(node, str):
        return _fits_nothing(phrase, node, extra)
    shown = [node] if exact else code.expanded(node)
    for atom in phrase.atoms:
        if not any(atom_in(atom, part) for part in shown):
            if not exact and _is_defined_so(code, atom, node):
                continue
            if extra is not None and _names_method(atom, extra):
                continue
            return False if _plain_mismatch(atom, node, code) else None
    explained = shown if extra is None else [*shown, extra]
    return _words_fit(code, phrase, node, explained)


def _is_defined_so(code: Code, atom: str, node: ast.AST) -> bool:
    """Tells whether a name in the expression is set from the formula that the atom shows."""
    if isinstance(_parse_atom(atom), ast.Name | ast.Constant | None):
        return False
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return any(atom_in(atom, value) for name in names for value in code.definitions.get(name, ()))


def _fits_nothing(phrase: Phrase, text: str, extra: ast.AST | None) -> bool | None:
    if phrase.atoms:
        return None
    words = [w for w in phrase.words if w not in PLAIN_WORDS and _TYPE_WORDS.get(w, w) != text]
    known = tags_of(extra) if extra is not None else frozenset()
    return True if all(word in known or word == text for word in words) else None


def _words_fit(code: Code, phrase: Phrase, node: ast.AST, explained: list[ast.AST]) -> bool | None:
    names = {n.id.lower() for part in explained for n in ast.walk(part) if isinstance(n, ast.Name)}
    real = code.type_of(node)
    for word in phrase.words:
        if word in _CHANGED:
            if not is_changed(code, node):
                return None
        elif word in ("original", "unchanged"):
            if is_rebound(code, node):
                return None
        elif word == "final" and node in code.returned:
            continue
        elif word in _TYPE_WORDS and not phrase.atoms and real not in (None, "?"):
            if real != _TYPE_WORDS[word] and word == phrase.words[-1] and word != "number":
                return None
        elif word in STRICT and word not in _LOOSE:
            if not _is_explained(word, explained) and word not in names:
                return None
        elif (
            word in PLAIN_WORDS
            or word in names
            or word.removesuffix("s") in names
            or _abbreviated(word, names)
            or word in STRICT
            or (word in _DONE and any(_DONE[word] in action.verbs for action in code.actions))
        ):
            continue
        elif not _is_explained(word, explained):
            return None
    return True


def _abbreviated(word: str, names: set[str]) -> bool:
    """Tells whether a variable's name is short for a word: `vec` for "vectors"."""
    return any(len(name) > 2 and word.startswith(name.rstrip("s")) for name in names)


def _is_explained(word: str, nodes: list[ast.AST]) -> bool:
    lemma = lemma_of(word)
    return any(word in tags_of(node) or lemma in tags_of(node) for node in nodes)


_DONE = {
    "insertion": "insert", "removal": "remove", "sorting": "sort", "reversal": "reverse",
    "deletion": "delete", "stripping": "strip", "replacement": "replace",
    "concatenation": "concatenate",
    "iteration": "iterate", "splitting": "split", "joining": "join", "popping": "pop",
    "removing": "remove", "appending": "append", "reversing": "reverse", "replacing": "replace",
    "conversion": "convert", "replacements": "replace", "padding": "pad", "slicing": "slice",
}  # fmt: skip


def is_changed(code: Code, node: ast.AST) -> bool:
    """Tells whether a name is written more than once, or an expression makes something new."""
    if not isinstance(node, ast.Name):
        return not isinstance(node, ast.Constant)
    first = 0 if node.id in code.parameters else 1
    return len(code.writes.get(node.id, ())) > first


def is_rebound(code: Code, node: ast.AST) -> bool:
    if not isinstance(node, ast.Name) or node.id not in code.parameters:
        return True
    return any(line < node.lineno for line in code.writes.get(node.id, ()))


@functools.lru_cache(maxsize=8192)
def _parse_atom(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip().rstrip(":").rstrip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@functools.lru_cache(maxsize=8192)
def _dump(text: str) -> str | None:
    parsed = _parse_atom(text)
    return None if parsed is None else ast.dump(parsed)


def _dumps(node: ast.AST) -> frozenset[str]:
    found = getattr(node, "_dumps", None)
    if found is None:
        signed = {
            part.operand for part in ast.walk(node)
            if isinstance(part, ast.UnaryOp) and isinstance(part.operand, ast.Constant)
        }  # the 1 of -1 is no piece of the code  # fmt: skip
        found = frozenset(
            ast.dump(part).replace("Store()", "Load()").replace("Del()", "Load()")
            for part in ast.walk(node) if isinstance(part, ast.expr) and part not in signed
        )  # fmt: skip
        node._dumps = found  # type: ignore[attr-defined]
    return found


def atom_in(atom: str, node: ast.AST) -> bool:
    """Tells whether a piece of code, a literal or a method's name stands in the node."""
    dumped = _dump(atom)
    if dumped is not None and dumped in _dumps(node):
        return True
    if (parsed := _parse_atom(atom)) is not None and isinstance(node, ast.stmt):
        if _statement_text(atom, node):
            return True
        if isinstance(parsed, ast.UnaryOp | ast.BinOp | ast.Compare):
            return False
    if dumped is None and isinstance(node, ast.stmt) and _statement_text(atom, node):
        return True
    if _unescaped(atom, node):
        return True
    return _names_method(atom, node)


def _names_method(atom: str, node: ast.AST) -> bool:
    """Tells whether the node calls what the atom names: `rstrip`, `.rstrip()`."""
    name = atom.removesuffix("()").lstrip(".")
    return name.isidentifier() and _has_method(name, node)


def _statement_text(atom: str, node: ast.stmt) -> bool:
    dumped = _dump_statement(atom)
    return dumped is not None and dumped == ast.dump(node)


@functools.lru_cache(maxsize=4096)
def _dump_statement(code: str) -> str | None:
    try:
        parsed = ast.parse(code.strip()).body
    except (SyntaxError, ValueError):
        return None
    return ast.dump(parsed[0]) if len(parsed) == 1 else None


def _unescaped(atom: str, node: ast.AST) -> bool:
    """Matches a literal that was written without its quotes, or with its escapes (`\\n`)."""
    bare = {atom, atom.replace("\\n", "\n").replace("\\t", "\t")}
    return not atom.isidentifier() and not atom.isdigit() and any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value in bare
        for part in ast.walk(node)
    )  # fmt: skip


def _has_method(name: str, node: ast.AST) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and part.attr == name:
            return True
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == name:
            return True
        if (isinstance(part, ast.While) and name == "while") or (
            isinstance(part, ast.For) and name == "for"
        ):
            return True
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not) and name == "not":
            return True
    return False


def _plain_mismatch(atom: str, node: ast.AST, code: Code) -> bool:
    """Tells whether the atom and the expression are both plain, and surely not the same."""
    said = _parse_atom(atom)
    match said, node:
        case ast.Name(id=one), ast.Name(id=two):
            return one in code.names and one != two and two not in code.definitions
        case ast.Constant(value=one), ast.Constant(value=two):
            return type(one) is type(two) and one != two
        case ast.List(elts=[]) | ast.Dict(keys=[]), ast.Constant():
            return True
        case ast.Constant(), ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
    return False


def one_phrase(*phrases: Phrase | None) -> Phrase:
    tokens: list[Token] = []
    for phrase in phrases:
        tokens += phrase.tokens if phrase else ()
    return Phrase(tuple(tokens))


def action_words(action: Action) -> frozenset[str]:
    return tags_of(action.node)
