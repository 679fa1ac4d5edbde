"""Reads syntax trees that nobody changes, so that each is parsed, walked and dumped once.

Never change a tree that comes from here or goes in: the next reader gets it too.
"""

import ast
from functools import lru_cache


@lru_cache(maxsize=4096)
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Returns all nodes of a tree in the order of `ast.walk`."""
    return tuple(ast.walk(tree))


@lru_cache(maxsize=4096)
def dump_node(node: ast.AST) -> str:
    """Returns `ast.dump` of a node. Raises RecursionError."""
    return ast.dump(node)


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> ast.expr:
    """Parses an expression. Raises SyntaxError, ValueError, RecursionError or MemoryError."""
    return ast.parse(text, mode="eval").body
