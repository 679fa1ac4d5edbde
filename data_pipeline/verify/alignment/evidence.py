"""Collects what an operation of the program explains: words, names and literals, by role."""

import ast
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from data_pipeline.source.syntax import nodes_of
from data_pipeline.verify.actions import Action
from data_pipeline.verify.alignment.lexicon import PLAIN_STEMS, stems
from data_pipeline.verify.concepts import STRICT, own_tags, tags_of
from data_pipeline.verify.phrases import Code, atom_in
from data_pipeline.verify.wordlists import word_set

STRICT_STEMS = stems(STRICT) - PLAIN_STEMS
_NESTED = frozenset(("of", "in", "from", "within", "at", "on", "for", "between", "inside"))
# What is done to all of a value at once, so that "all occurrences" is said rightly.
_TOTAL = word_set(
    """
    replace count join sum sorted translate lower upper swapcase title sort reverse clear split
    strip rstrip lstrip update extend all any list set tuple
    """
)


@functools.lru_cache(maxsize=16384)
def _tag_stems(words: frozenset[str]) -> frozenset[str]:
    return stems(words)


def explained_by(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Returns the stems of the words that expressions explain."""
    found: frozenset[str] = frozenset()
    for node in nodes:
        found |= _tag_stems(tags_of(node))
    return found


class Evidence:
    """Holds what one operation explains.

    Attributes:
      action: the operation.
      own: stems that it explains by itself, without its operands.
      loops: the loops around it, of comprehensions too, innermost first.
      guarded: whether a test decides if it is done.
    """

    def __init__(self, code: Code, action: Action):
        self.code, self.action = code, action

    # Most operations of a program are never spoken of, so all else is found when it is asked for.

    @functools.cached_property
    def _around(self) -> list[ast.AST]:
        return list(self.code.around(self.action.node))

    @functools.cached_property
    def loops(self) -> list[ast.AST]:
        around = self._around
        loops = [n for n in around if isinstance(n, ast.For | ast.While | ast.comprehension)]
        comprehended = [n for n in around if hasattr(n, "generators")]
        return loops + [loop for node in comprehended for loop in node.generators]

    @functools.cached_property
    def guards(self) -> list[ast.expr]:
        return list(_guards(self._around, self.loops))

    @functools.cached_property
    def guarded(self) -> bool:
        return any(isinstance(n, ast.If | ast.IfExp) for n in self._around[1:]) or any(
            loop.ifs for loop in self.loops if isinstance(loop, ast.comprehension)
        )

    @functools.cached_property
    def own(self) -> frozenset[str]:
        roles = self.action.roles
        told = str(roles.get("words", roles.get("only words", ""))).split()
        own = frozenset() if "only words" in roles else own_tags(self.action.node)
        return _tag_stems(own) | stems({*told, *_direction(self.action.node)})

    @functools.cached_property
    def roles(self) -> dict[str, list[ast.AST]]:
        """Operands by role, each with the definitions of the names in it."""
        return self._read_roles[0]

    @functools.cached_property
    def behind(self) -> set[ast.AST]:
        """What names are set from, outside the statement."""
        return self._read_roles[1]

    @functools.cached_property
    def cuts_twice(self) -> bool:
        return sum(isinstance(part, ast.Slice) for part in nodes_of(self.action.node)) > 1

    @functools.cached_property
    def _here(self) -> frozenset[ast.AST]:
        return frozenset(nodes_of(self.action.statement))

    @functools.cached_property
    def _read_roles(self) -> tuple[dict[str, list[ast.AST]], set[ast.AST]]:
        behind: set[ast.AST] = set()
        roles = {
            role: self._operands(node, behind)
            for role, node in self.action.roles.items() if isinstance(node, ast.AST)
        }  # fmt: skip
        is_made = isinstance(self.action.roles.get("to"), str)
        if isinstance(roles.get("object"), list) and is_made:
            roles["from"] = roles["object"]  # "creates a list from `xs`"
        if "named" in roles:  # "creates a copy `ys` of `xs`": target and value in one phrase
            roles["object"] = [*roles["named"], *roles["to"]]
        return roles, behind

    def _operands(self, node: ast.AST, behind: set[ast.AST]) -> list[ast.AST]:
        """Returns an operand with the definitions of the names in it."""
        found, level = [node], [node]
        if "exactly" in self.action.roles:
            return found
        for _ in range(2):
            names = {n.id for one in level for n in nodes_of(one) if isinstance(n, ast.Name)}
            made = [value for name in sorted(names)[:5] for value in self._made(name)]
            level = [value for value in made if value not in self._here]  # those have own roles
            behind.update(level)
            found += [value for value in level if value not in found]
        return found

    def _made(self, name: str) -> list[ast.AST]:
        """Returns what a name is set from, and the calls that sort, reverse or empty it."""
        values = self.code.definitions.get(name, ())
        done = self.code.changes.get(name, ())
        return [*(values if len(values) <= 5 else ()), *done]

    @functools.cached_property
    def whole(self) -> list[ast.AST]:
        """The operation, its operands, its statement and the headers of the loops around it."""
        shown: list[ast.AST] = []
        node = self.action.node
        if {"only words", "exactly"} & set(self.action.roles):
            return [operand for nodes in self.roles.values() for operand in nodes]
        if not hasattr(node, "body") or isinstance(node, ast.IfExp):
            shown.append(self.action.node)
        if not hasattr(self.action.statement, "body"):
            shown.append(self.action.statement)
        for loop in self.loops:
            shown += [loop.test] if isinstance(loop, ast.While) else [loop.target, loop.iter]
            shown += [*getattr(loop, "ifs", ())]
        return shown + [node for nodes in self.roles.values() for node in nodes]

    @functools.cached_property
    def names(self) -> frozenset[str]:
        return frozenset(
            part.id for node in self.whole for part in nodes_of(node) if isinstance(part, ast.Name)
        )

    @functools.cached_property
    def name_stems(self) -> frozenset[str]:
        pieces = {p for name in self.names for p in re.split(r"[_\d]+", name.lower()) if p}
        return stems(pieces | {name.lower() for name in self.names})

    def abbreviates(self, word: str) -> bool:
        """Tells whether a name here is short for a word: `sep` for "separator"."""
        return any(len(piece) > 2 and word.startswith(piece.rstrip("s"))
                   for name in self.names for piece in name.lower().split("_"))  # fmt: skip

    def in_role(self, role: str | None, preposition: str, before: str | None) -> list[ast.AST]:
        """Returns where a name of a phrase may stand: in its role, or in that of its noun."""
        if role == "object" and role not in self.roles and isinstance(self.action.node, ast.Call):
            return [self.action.node]  # "strips `x`" of `s.strip()`: not what `s` is set from
        if role not in self.roles or (role == "at" and preposition == "of"):
            return self.whole
        nested = preposition in _NESTED and before in self.roles
        return [*self.roles[role], *(self.roles[before] if nested and before else ())]

    def is_named(self, atom: str) -> bool:
        """Tells whether code is the whole operation, or the keyword that it begins with."""
        node = self.action.node
        if atom in ("for", "while"):
            return isinstance(node, ast.While if atom == "while" else ast.For | ast.comprehension)
        if atom in ("continue", "break"):
            return isinstance(node, ast.Continue if atom == "continue" else ast.Break)
        said = _parse(atom)
        if said is None or isinstance(said, ast.Name | ast.Constant):
            return False
        wholes = [node, getattr(self.action.statement, "value", None)]
        return any(
            isinstance(one, ast.expr) and _same(said, one, self.code.constants) for one in wholes
        )

    def holds(self, atom: str, nodes: Iterable[ast.AST], *, owns: bool = False) -> bool:
        """Tells whether code or a literal stands there, or is the value of a constant argument.

        owns: whether it is what something is taken from or put into: no loop's source is that.
        """
        nodes = [node for node in nodes if not (owns and self._is_source(node))]
        said = _parse(atom)
        if any(atom_in(atom, node) and self._tells(said, node) for node in nodes):
            return True
        if said is None or isinstance(said, ast.Name) or not self.code.constants:
            return False
        parts = (part for node in nodes for part in nodes_of(node) if isinstance(part, ast.expr))
        return any(_same(said, part, self.code.constants) for part in parts)

    def _is_source(self, node: ast.AST) -> bool:
        """Tells whether a value that a name is set from is what a loop goes over."""
        loop = self.code.parents.get(node) if node in self.behind else None
        return isinstance(loop, ast.For | ast.comprehension) and loop.iter is node

    def _tells(self, said: ast.expr | None, node: ast.AST) -> bool:
        """Tells whether a name alone may speak of an expression that another name is set from.

        Of `first = text.split(mark)`, "adds `mark` to `first`" tells nothing; "adds
        `text.split(mark)`" does.
        """
        if node not in self.behind or not isinstance(said, ast.Name | ast.Constant | None):
            return True
        return said is not None and ast.dump(said) == ast.dump(node)

    def explains(self, word: str, nodes: Iterable[ast.AST]) -> bool:
        """Tells whether a word that may be false is true of the operation or of those operands."""
        return self.makes(word, nodes) or self._is_held(word)

    def makes(self, word: str, nodes: Iterable[ast.AST]) -> bool:
        """Tells whether a word is true by the operation or operands, whatever was tested before."""
        if "only words" in self.action.roles:  # what stands elsewhere is cut by other slices
            nodes = [node for node in nodes if not _cuts(node)]
        return word in self.own or word in explained_by(nodes)

    def explains_operands(self, word: str, nodes: Iterable[ast.AST]) -> bool:
        """Tells whether a word is true of operands before the operation is done."""
        return word in explained_by(nodes) or self._is_held(word)

    def _is_held(self, word: str) -> bool:
        """Tells whether a test that must hold for the operation to be done affirms a word."""
        held = [part for test in self.guards for part in _affirmed(test)]
        return word in explained_by(part for part in held if isinstance(part, ast.Call))

    def may_be(self, kind: str, nodes: Iterable[ast.AST]) -> bool:
        """Tells whether a value of a type is among operands, or their types are not known."""
        known = {
            self.code.type_of(part) or made_type(part)
            for node in nodes for part in nodes_of(node) if isinstance(part, ast.expr)
        }  # fmt: skip
        return kind in known or not known - {None, "?"}

    @property
    def is_total(self) -> bool:
        """Whether the operation is done to all elements or occurrences."""
        node = self.action.node
        if self.loops or isinstance(node, ast.Return | ast.For):
            return any(not isinstance(loop, ast.While) for loop in self.loops) or any(
                name in _TOTAL for name in _called(node)
            ) or isinstance(node, ast.For)  # fmt: skip
        return any(name in _TOTAL for name in _called(node))


@functools.lru_cache(maxsize=4096)
def _parse(atom: str) -> ast.expr | None:
    try:
        return ast.parse(atom.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _same(said: ast.AST, real: ast.AST, values: Mapping[str, str]) -> bool:
    """Tells whether two expressions are one if names stand for their values."""
    if isinstance(real, ast.Name) and real.id in values and not isinstance(said, ast.Name):
        value = _parse(values[real.id])
        return value is not None and ast.dump(value) == ast.dump(said)
    if type(said) is not type(real):
        return False
    if isinstance(said, ast.Name):
        return said.id == real.id  # type: ignore[attr-defined]
    if isinstance(said, ast.Constant):
        return said.value == real.value  # type: ignore[attr-defined]
    if getattr(said, "attr", None) != getattr(real, "attr", None):
        return False
    one = [part for part in ast.iter_child_nodes(said) if not isinstance(part, ast.expr_context)]
    two = [part for part in ast.iter_child_nodes(real) if not isinstance(part, ast.expr_context)]
    return len(one) == len(two) and all(_same(a, b, values) for a, b in zip(one, two, strict=True))


def _guards(around: list[ast.AST], loops: list[ast.AST]) -> Iterator[ast.expr]:
    """Yields the tests that must hold for the operation to be done."""
    for inner, outer in itertools.pairwise(around):
        if isinstance(outer, ast.If) and inner in outer.body:
            yield outer.test
        if isinstance(outer, ast.IfExp) and inner is outer.body:
            yield outer.test
    for loop in loops:
        yield from loop.ifs if isinstance(loop, ast.comprehension) else ()


def _affirmed(test: ast.expr) -> list[ast.AST]:
    """Returns the parts of a test that must be true for it to hold."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [part for value in test.values for part in _affirmed(value)]
    return [] if isinstance(test, ast.UnaryOp | ast.BoolOp) else [test]


def _cuts(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Slice) for part in nodes_of(node))


def index_parts(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yields the parts of code that are positions: of subscripts, of methods, of ranges."""
    for part in (part for node in nodes for part in nodes_of(node)):
        match part:
            case ast.Subscript(slice=index):
                yield index
            case ast.Call(func=ast.Attribute(attr="insert" | "pop"), args=[index, *_]):
                yield index
            case ast.Call(func=ast.Name(id="range" | "enumerate")):
                yield part
            case ast.For(target=target, iter=ast.Call(func=ast.Name(id="range" | "enumerate"))):
                yield target


_MAKES = {
    **dict.fromkeys(("split", "rsplit", "splitlines", "sorted", "list"), "list"),
    **dict.fromkeys(("partition", "rpartition", "popitem"), "tuple"),
    **dict.fromkeys(("strip", "lstrip", "rstrip", "replace", "upper", "lower", "join"), "str"),
    **dict.fromkeys(("find", "rfind", "index", "rindex", "count", "len", "sum"), "int"),
}


def made_type(node: ast.AST) -> str | None:
    """Returns the type that a method or builtin always gives."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return _MAKES.get(name)
    return None


_STARTS = {1: "second", 2: "third", 3: "fourth"}


def _direction(node: ast.AST) -> list[str]:
    """Returns the words for where a loop over a `range` starts and which way it goes."""
    match node:
        case ast.For(iter=ast.Call(func=ast.Name(id="range"), args=[_, _, step])) if (
            ast.unparse(step) == "-1"
        ):
            return ["reverse", "backward", "descending", "end"]
        case ast.For(iter=ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(at)),
                                                                    _, *_])):  # fmt: skip
            return [_STARTS.get(at, "")]
    return []


def _called(node: ast.AST) -> list[str]:
    found = []
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            func = part.func
            limited = isinstance(func, ast.Attribute) and func.attr == "replace"
            if limited and len(part.args) > 2:
                continue
            found.append(func.attr if isinstance(func, ast.Attribute) else ast.unparse(func))
        if hasattr(part, "generators"):
            found.append("all")
    return found
