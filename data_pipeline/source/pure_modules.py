"""Lists the modules of the standard library that only compute.

Standard library only: this file also runs inside the sandbox.
"""

import ast
from collections.abc import Mapping, Set

# Pure modules of the standard library.
MODULES = frozenset(
    """
    abc array base64 binascii bisect cmath collections collections.abc colorsys contextlib copy
    dataclasses datetime decimal difflib enum fnmatch fractions functools graphlib heapq html
    html.entities
    itertools json keyword math numbers operator posixpath re reprlib shlex statistics string
    stringprep
    struct textwrap types typing unicodedata urllib.parse zlib
    """.split()  # noqa: SIM905
)
# Modules of which only some attributes only compute.
PARTS: Mapping[str, frozenset[str]] = {
    "sys": frozenset(
        {
            "maxsize",
            "maxunicode",
            "float_info",
            "int_info",
            "hash_info",
            "version_info",
            "hexversion",
            "intern",
            "byteorder",
        }
    ),
    "random": frozenset({"Random"}),  # with a seed, which the screening of seeds sees to
    "queue": frozenset({"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "Empty", "Full"}),
    "io": frozenset({"StringIO", "BytesIO"}),
    "threading": frozenset({"Lock", "RLock"}),
    "calendar": frozenset({"isleap", "leapdays", "monthrange", "weekday"}),
    "warnings": frozenset({"warn"}),
    "pprint": frozenset({"pformat", "saferepr", "isreadable", "isrecursive"}),
}


def uses_pure_modules(tree: ast.AST) -> bool:
    """Returns whether a program imports only what is listed here, as far as its text shows."""
    nodes = list(ast.walk(tree))
    names = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    return all(_is_pure(node, PARTS.keys() & names) for node in nodes)


def _is_pure(node: ast.AST, in_part: Set[str]) -> bool:
    """Tells whether a node is no use of another module. in_part: names that stand for modules."""
    match node:
        case ast.Import(names=names):
            return all(one.name in MODULES or _is_named_so(one) for one in names)
        case ast.ImportFrom(module=module, names=names):
            allowed = PARTS.get(module or "", frozenset())
            return module in (*MODULES, "__future__") or all(one.name in allowed for one in names)
        case ast.Attribute(value=ast.Name(id=module), attr=attribute) if module in in_part:
            return attribute in PARTS[module]
        case ast.Name(id="__import__" | "eval" | "exec" | "globals" | "vars"):
            return False
    return True


def _is_named_so(alias: ast.alias) -> bool:
    """Returns whether the attributes of a module of PARTS can be told by the module's name."""
    return alias.name in PARTS and alias.asname in (None, alias.name)
