"""Finds what a branch of a program surely does itself, whatever the branches inside it decide.

A sentence with a condition is proven by the branch with that test alone: what stands behind the
branch, under a further test, or behind a way out is done for some inputs only.
"""

import ast
from collections.abc import Iterator, Sequence

from data_pipeline.verify.branches import Region
from data_pipeline.verify.phrases import Code

_LEAVING = ast.Return | ast.Raise | ast.Break | ast.Continue
_FORKS = ast.If | ast.IfExp | ast.Try | ast.Match | ast.FunctionDef | ast.Lambda | ast.ClassDef


def branch_regions(code: Code, test: ast.expr) -> tuple[Region, Region]:
    """Returns what is done if a test holds, and what if it does not; empty where not known."""
    match code.parents.get(test):
        case ast.If(body=body, orelse=orelse) as node:
            behind = orelse or (_behind(code, node) if _leaves(body) else [])
            return surely_done(body), surely_done(behind)
        case ast.While(body=body):
            return surely_done(body), frozenset()
        case ast.IfExp(body=one, orelse=two):
            return surely_done([one]), surely_done([two])
        case ast.comprehension(ifs=[_]) as loop:
            return surely_done([code.parents[loop]]), frozenset()
    return frozenset(), frozenset()


def surely_done(roots: Sequence[ast.AST]) -> Region:
    """Returns the nodes that are reached whenever the first of some statements is."""
    found: list[ast.AST] = []
    for root in roots:
        found += _reached(root)
        if isinstance(root, _LEAVING) or _may_leave(root):
            break
    return frozenset(found)


def _reached(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If | ast.IfExp):
        yield from _reached(node.test)
        return
    if isinstance(node, _FORKS):
        return
    yield node
    if isinstance(node, ast.For | ast.While):
        yield from _reached(node.test if isinstance(node, ast.While) else node.target)
        yield from _reached(node.iter) if isinstance(node, ast.For) else ()
        yield from surely_done(node.body)
        return
    for child in ast.iter_child_nodes(node):
        yield from _reached(child)


def _may_leave(root: ast.AST) -> bool:
    return any(isinstance(node, _LEAVING) for node in ast.walk(root))


def _behind(code: Code, node: ast.If) -> list[ast.stmt]:
    """Returns the statements behind a branch in its own block."""
    parent = code.parents.get(node)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and node in block:
            return block[block.index(node) + 1 :]
    return []


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], _LEAVING)
