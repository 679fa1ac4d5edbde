"""Writes inline forward monologues: each step quotes its line with the values beside the names.

Follows the parts of the release's monologues (read off SemCoder-S generations): the function's
purpose, its key properties, a numbered execution whose steps cite lines as [L7], a conclusion, and
the asserted answer. A step quotes the code of its line with each variable's value beside its name
(`a=3 + b=4 gives x=7`), so a reader, a verifier or a small model can judge the step by itself,
without looking for where `a` was set.
"""

import ast
from collections.abc import Mapping

from data_pipeline.errors import UserError
from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Moment, moments


class NarrationError(UserError):
    """Reports a run that a narrator cannot describe."""


def inline_monologue(trace: Trace) -> str:
    """Returns the response of a forward row: monologue, tags and completed assertion.

    Raises NarrationError if the run raised, was cut, or left the called function's own frame.
    """
    check_single_frame(trace)
    return (
        f"{describe_function(trace)}### Execution Simulation\n{_execution(trace)}\n\n"
        f"### Conclusion\nThe function returns {trace.result}.\n"
        f"[/MONOLOGUE]\n\n[ANSWER]\n{direct_answer(trace)}"
    )


def direct_answer(trace: Trace) -> str:
    """Returns the text that follows [ANSWER]: the completed assertion and the closing tag."""
    check_single_frame(trace)
    return f"assert {trace.call} == {trace.result}\n[/ANSWER]"


def check_single_frame(trace: Trace) -> None:
    """Raises NarrationError unless the run returned, is whole, and stayed in one frame."""
    if trace.raised is not None or trace.result is None:
        raise NarrationError(f"{trace.call} raised {trace.raised}; expected it to return")
    if trace.truncated is not None or trace.clipped:
        raise NarrationError(f"the trace of {trace.call} is cut: {trace.truncated or 'values'}")
    if any(event.frame != 0 for event in trace.events):
        raise NarrationError(f"{trace.call} runs nested frames; expected one function")


def describe_function(trace: Trace) -> str:
    """Writes the two opening sections: the shape of the function, and what it may change."""
    nodes = list(ast.walk(ast.parse(trace.program)))
    branches = any(isinstance(node, ast.If | ast.Match) for node in nodes)
    loops = any(isinstance(node, ast.For | ast.While) for node in nodes)
    shape = {
        (False, False): "in a straight line",
        (True, False): "with a branch",
        (False, True): "with a loop",
        (True, True): "with a branch and a loop",
    }[branches, loops]
    # Expression statements such as `xs.append(1)` may change a list argument.
    mutates = any(isinstance(node, ast.Expr) for node in nodes)
    effect = "may change a list in place" if mutates else "only assigns local variables"
    return (
        f"### Understanding the Function\nThe function computes its result {shape}.\n\n"
        f"### Key Properties and Constraints\nIt is deterministic and {effect}.\n\n"
    )


def _execution(trace: Trace) -> str:
    statements = {
        node.lineno: node
        for node in ast.walk(ast.parse(trace.program))
        if isinstance(node, ast.stmt)
    }
    steps = []
    for moment in moments(trace):
        if moment.event.kind == "line":
            label = f"[L{moment.event.line + FIRST_LABEL - 1}]"
            told = _step(statements[moment.event.line], moment, trace)
            steps.append(f"{len(steps) + 1}. {label} {told}.")
    return "\n".join(steps)


def _step(statement: ast.stmt, moment: Moment, trace: Trace) -> str:
    event, before, after = moment.event, moment.before, moment.after
    match statement:
        case ast.Return(value=ast.Name(id=name)) if name in before:
            return f"return {name}={before[name]}"
        case ast.Return(value=None):
            return "return None"
        case ast.Return(value=expression):
            return f"return {quote_with_values(expression, before)}, which is {trace.result}"
        case ast.If(test=test):
            return f"{quote_with_values(test, before)} is {event.branch}"
        case ast.While(test=test):
            return f"{quote_with_values(test, before)} is {event.branch}"
        case ast.For(iter=iterated):
            where = f"iteration {moment.turn} of {quote_with_values(iterated, before)}"
            if not event.branch:
                return f"{where} does not start"
            return f"{where} gives {join_assignments(_targets(statement.target), after)}"
        case ast.Assign(targets=[target], value=expression):
            given = join_assignments(_targets(target), after)
            return f"{quote_with_values(expression, before)} gives {given}"
        case ast.AugAssign(target=ast.Name(id=name) as target, op=operator, value=expression):
            sum_ = ast.BinOp(ast.Name(name, ast.Load()), operator, expression)
            given = join_assignments(_targets(target), after)
            return f"{quote_with_values(sum_, before)} gives {given}"
        case ast.Pass() | ast.Break() | ast.Continue():
            return ast.unparse(statement)
        case ast.Expr(value=expression):
            quoted = quote_with_values(expression, before)
            changed = list(event.changed)
            return (
                f"{quoted} gives {join_assignments(changed, after)}"
                if changed
                else f"{quoted} is done"
            )
    raise NarrationError(f"line {event.line}: no words for {type(statement).__name__}")


def _targets(target: ast.expr) -> list[str]:
    """Returns the variables that an assignment to `target` alters."""
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def join_assignments(names: list[str], values: Mapping[str, str]) -> str:
    """Writes `a=1, b=2`, each name with its value."""
    return ", ".join(f"{name}={values[name]}" for name in names)


def quote_with_values(expression: ast.expr, values: Mapping[str, str]) -> str:
    """Returns the expression's code with `=value` after each local variable that it reads."""
    copy = ast.parse(ast.unparse(expression), mode="eval").body
    for node in ast.walk(copy):
        if isinstance(node, ast.Name) and node.id in values:
            node.id = f"{node.id}={values[node.id]}"
    return ast.unparse(copy)
