"""Writes the small function that makes a seed of what no call with literals could show by itself.

generator     def f_list(xs):          changes in place   def f_result(xs):
                  return list(f(xs))                          f(xs)
                                                              return xs
takes a       def f_of(xs):            method             def stack_push(items, x):
function          return f(len, xs)                           stack = Stack(items)
                                                              stack.push(x)
                                                              return stack.items
"""

import ast
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wrapper:
    """Holds the source of a wrapper.

    name:       of the wrapper
    code:       its source
    note:       a sentence for the description of the task
    shows:      what it returns: "value", "list" (the items of an iterator), "state" (what changed)
    parameters: its parameters, in order: ("init" | "call", name in the wrapped signature) -> name
    signatures: "init" and "call" -> the positional parameters there, "*rest" for the others
    fixed:      parameter -> the expression that is always passed
    calls:      calls that suit it
    of_property: whether it reads an attribute rather than call a method
    """

    name: str
    code: str
    note: str
    shows: str
    parameters: Mapping[tuple[str, str], str]
    signatures: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, str] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    of_property: bool = False


def free_name(name: str, taken: Set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def function_wrapper(
    function: ast.FunctionDef,
    taken: Set[str],
    *,
    is_iterator: bool,
    changed: Sequence[str] = (),
    fixed: Mapping[str, str] | None = None,
) -> Wrapper:
    """Wraps a function that gives an iterator, changes its arguments, or takes a function.

    changed: the parameters whose final value is the result
    fixed:   parameter -> the expression that is always passed
    """
    fixed = fixed or {}
    suffix = "list" if is_iterator else "result" if changed else "of"
    name = free_name(f"{function.name}_{suffix}".removeprefix("_"), taken)
    arguments = without_parameters(function.args, set(fixed))
    call = f"{function.name}({', '.join(_passed(function.args, fixed))})"
    if changed:
        body = f"    {call}\n    return {', '.join(changed)}"
    else:
        body = f"    return {f'list({call})' if is_iterator else call}"
    notes = [f"Use `{text}` as `{parameter}`." for parameter, text in fixed.items()]
    if is_iterator:
        notes.append("Return the items as a list.")
    if changed:
        told = " and ".join(f"`{one}`" for one in changed)
        notes.append(f"`{name}` returns {told} as `{function.name}` leaves it.")
    shows = "list" if is_iterator else "state" if changed else "value"
    parameters = {("call", one): one for one in _names(arguments)}
    code = f"def {name}({ast.unparse(arguments)}):\n{body}"
    signatures = {"call": positional_names(function.args)}
    return Wrapper(name, code, " ".join(notes), shows, parameters, signatures, fixed)


def positional_names(arguments: ast.arguments) -> tuple[str, ...]:
    """Returns the parameters that take positional arguments, in order; "*rest" for the others."""
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    return (*names, *([f"*{arguments.vararg.arg}"] if arguments.vararg else []))


def _names(arguments: ast.arguments) -> list[str]:
    return [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _passed(arguments: ast.arguments, fixed: Mapping[str, str]) -> list[str]:
    given = [fixed.get(a.arg, a.arg) for a in (*arguments.posonlyargs, *arguments.args)]
    given += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    given += [f"{a.arg}={fixed.get(a.arg, a.arg)}" for a in arguments.kwonlyargs]
    return given + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def without_parameters(arguments: ast.arguments, left_out: Set[str]) -> ast.arguments:
    """Returns a signature without some of its parameters."""
    positional = [*arguments.posonlyargs, *arguments.args]
    blank = len(positional) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * blank, *arguments.defaults]
    kept = [(a, d) for a, d in zip(positional, defaults, strict=True) if a.arg not in left_out]
    only = [
        (a, d)
        for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if a.arg not in left_out
    ]
    first = sum(a.arg not in left_out for a in arguments.posonlyargs)
    return ast.arguments(
        posonlyargs=[a for a, _ in kept[:first]],
        args=[a for a, _ in kept[first:]],
        vararg=arguments.vararg,
        kwonlyargs=[a for a, _ in only],
        kw_defaults=[d for _, d in only],
        kwarg=arguments.kwarg,
        defaults=[d for _, d in kept if d is not None],
    )
