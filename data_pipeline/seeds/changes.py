"""Finds what a function changes in place: its parameters, or attributes of `self`."""

import ast
from collections.abc import Iterator, Mapping

from data_pipeline.seeds.program_text import dotted_path
from data_pipeline.seeds.screening import bindings

MUTATORS = frozenset(
    """
    append extend insert remove pop clear sort reverse add discard update setdefault popitem
    appendleft extendleft popleft rotate difference_update intersection_update
    symmetric_difference_update move_to_end subtract put push
    """.split()  # noqa: SIM905
)
# Functions of the standard library that change their first argument.
_CHANGING = frozenset(
    "heappush heappop heapify heapreplace heappushpop insort insort_left insort_right".split()  # noqa: SIM905
)


def changed_parameters(
    function: ast.FunctionDef,
    functions: Mapping[str, ast.FunctionDef],
    above: frozenset[str] = frozenset(),
) -> list[str]:
    """Returns the parameters whose value the function changes, in the order of its signature.

    functions: those of the program, to which parameters may be passed on
    """
    arguments = function.args
    own = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    changed = {owner for node in ast.walk(function) for owner in _changed_names(node)}
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in functions.keys() - above:
                target = functions[name]
                further = changed_parameters(target, functions, above | {name})
                for parameter, value in bindings(node, target):
                    if parameter in further and isinstance(value, ast.Name):
                        changed.add(value.id)
    rebound = _rebound(function)
    return [name for name in own if name in changed and name not in rebound]


def _changed_names(node: ast.AST) -> Iterator[str]:
    """Yields the names whose value a node changes in place."""
    for target in _changed_targets(node):
        while isinstance(target, (ast.Subscript, ast.Attribute)):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id


def _changed_targets(node: ast.AST) -> Iterator[ast.expr]:
    """Yields the expressions whose value a node changes in place."""
    match node:
        case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
            yield value
        case ast.Attribute(value=value, ctx=ast.Store() | ast.Del()):
            yield value
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in MUTATORS:
            yield value
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]):
            if name in _CHANGING:
                yield first


def _rebound(function: ast.FunctionDef) -> set[str]:
    """Returns the names that get another value: at the end, they may not be the argument."""
    return {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }


def changed_attributes(
    method: ast.FunctionDef,
    methods: Mapping[str, ast.FunctionDef],
    above: frozenset[str] = frozenset(),
) -> list[str]:
    """Returns the attributes of `self` that a method sets or changes, in order of the source.

    methods: those of its class, which it may call
    """
    if not method.args.args:
        return []
    self = method.args.args[0].arg
    found: dict[str, None] = {}
    for node in ast.walk(method):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store() | ast.Del()):
                if owner == self:
                    found[name] = None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                if owner == self and name in methods.keys() - above:
                    further = changed_attributes(methods[name], methods, above | {name})
                    found |= dict.fromkeys(further)
        for target in _changed_targets(node):
            while isinstance(target, (ast.Subscript, ast.Attribute)):
                if dotted_path(target) == (self, getattr(target, "attr", "")):
                    found[target.attr] = None  # type: ignore[union-attr]
                target = target.value
    return list(found)
