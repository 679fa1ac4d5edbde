"""Writes backward monologues: from a wanted output to an input that gives it.

Follows the parts of the release's backward monologues: the function's purpose, its key properties,
the constraints that the output puts on each variable, from the return back to the arguments, and a
concrete witness. Reads every value off the run of that witness, so every statement is true of it;
the caller must run the witness to confirm the output.
"""

import ast
import random
from collections.abc import Mapping, Sequence

from data_pipeline.monologue.inline import NarrationError
from data_pipeline.monologue.wording import join_words
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Moment, moments

_MOST_CONSTRAINTS = 12
_LONGEST_VALUE = 160  # characters; longer values are mentioned, not shown
_LONGEST_CODE = 200


def backward_monologue(trace: Trace, witness_call: str, *, seed: int = 0) -> str:
    """Returns the response of a backward row: monologue, tags and completed assertion.

    trace: of `witness_call`. seed: chooses the wording; the facts do not depend on it. Raises
    NarrationError if the run raised or was cut, or if the call names no function of the program.
    """
    if trace.raised is not None or trace.result is None:
        raise NarrationError("the run raised")
    if trace.truncated is not None:
        raise NarrationError("the trace is cut")
    function = _function(trace)
    wording = random.Random(seed)
    constraints = _constraints(trace, function, wording)
    bullets = "\n".join(f"- {constraint}" for constraint in constraints)
    return (
        f"### Understanding the Function\n{_understanding(function, wording)}\n\n"
        f"### Key Properties and Constraints\n{_properties(function, wording)}\n\n"
        f"### Reverse Deduction\n{bullets}\n\n"
        f"### Conclusion\n{_conclusion(trace, witness_call, wording)}\n"
        f"[/MONOLOGUE]\n\n[ANSWER]\nassert {witness_call} == {trace.result}\n[/ANSWER]"
    )


def _function(trace: Trace) -> ast.FunctionDef:
    try:
        name = parse_call(trace.call).path[0]
    except CallError:
        raise NarrationError("the call cannot be read") from None
    for node in ast.parse(trace.program).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise NarrationError("the call names no function of the program")


def _understanding(function: ast.FunctionDef, wording: random.Random) -> str:
    parameters = [f"`{argument.arg}`" for argument in _parameters(function)]
    takes = join_words(parameters) if parameters else "no arguments"
    return wording.choice(
        (
            f"`{function.name}` takes {takes}, and an input is wanted for which it returns the "
            f"given output.",
            f"We look for values of {takes} with which `{function.name}` returns the given output.",
            f"The output of `{function.name}` is known; what it was given in {takes} is asked.",
        )
    )


def _properties(function: ast.FunctionDef, wording: random.Random) -> str:
    nodes = list(ast.walk(function))
    returns = sum(isinstance(node, ast.Return) for node in nodes)
    branches = sum(isinstance(node, ast.If | ast.IfExp | ast.Match) for node in nodes)
    loops = sum(isinstance(node, ast.For | ast.While) for node in nodes)
    parts = [
        _count_phrase(returns, "return statement", wording),
        _count_phrase(branches, "branch", wording, "branches"),
        _count_phrase(loops, "loop", wording),
    ]
    tail = wording.choice(
        (
            "Several inputs may give the same output; one of them is enough.",
            "Any input that gives the output will do.",
            "It is enough to find one input, it need not be the only one.",
        )
    )
    return f"The function has {join_words(parts)}. {tail}"


def _count_phrase(number: int, what: str, wording: random.Random, plural: str | None = None) -> str:
    if number == 0:
        return f"no {what}"
    amount = {1: "one", 2: "two", 3: "three"}.get(number, str(number))
    return f"{amount} {what if number == 1 else plural or what + 's'}"


def _constraints(trace: Trace, function: ast.FunctionDef, wording: random.Random) -> Sequence[str]:
    """Returns the constraints from the return back to the arguments.

    Includes only lines that the returned value, or the path to it, depends on.
    """
    statements = {node.lineno: node for node in ast.walk(function) if isinstance(node, ast.stmt)}
    steps = _steps(trace, function)
    told: list[str] = []
    needed: set[str] = set()
    seen: set[int] = set()
    for step in reversed(steps):
        line = step.event.line
        statement = statements.get(line)
        if statement is None or line in seen:
            continue
        seen.add(line)
        constraint = _constraint(statement, step, trace, needed, wording, not told)
        if constraint is not None:
            told.append(constraint)
            needed |= _read_by(statement)
    if not any(isinstance(statements.get(s.event.line), ast.Return) for s in steps[-1:]):
        told.insert(0, f"The run ends without a return statement, which gives {trace.result}.")
    if len(told) > _MOST_CONSTRAINTS:
        skipped = len(told) - _MOST_CONSTRAINTS
        told = [*told[: _MOST_CONSTRAINTS - 1], f"{skipped + 1} more lines fix the values before."]
    return [*told, _arguments(trace, function, steps)]


def _constraint(
    statement: ast.stmt,
    step: Moment,
    trace: Trace,
    needed: set[str],
    wording: random.Random,
    last: bool,
) -> str | None:
    match statement:
        case ast.Return(value=expression) if last and expression is not None:
            asked = wording.choice(("has to give", "must come to", "has to be"))
            values = _values_clause(expression, step.before)
            return f"`{_code(statement)}` {asked} {trace.result}{values}."
        case ast.If(test=test) | ast.While(test=test) if step.event.branch is not None:
            taken = "has to hold" if step.event.branch else "must not hold"
            need = wording.choice(("For the run to get there", "On the way to it", "Before that"))
            return f"{need}, `{_code(test)}` {taken}{_values_clause(test, step.before)}."
        case ast.For(target=target, iter=iterated):
            turns = [loop.iterations for loop in trace.loops if loop.line == statement.lineno]
            if len(turns) != 1 or not needed & (_assigned_names(statement) | _names(target)):
                return None
            times = {0: "not at all", 1: "once"}.get(turns[0], f"{turns[0]} times")
            return f"The loop over `{_code(iterated)}` has to run {times}."
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()) if name in needed:
            return f"`{name}` starts from {_value(step.after.get(name, 'a constant'))}."
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
            stored = sorted(_assigned_names(statement) & needed & step.after.keys())
            if not stored:
                return None
            values = [f"`{name}` is {_value(step.after[name])}" for name in stored]
            leave = wording.choice(
                ("has to leave", "must make it so that", "has to see to it that")
            )
            joined = join_words(values)
            if leave == "has to leave":
                joined = join_words([f"`{n}` at {_value(step.after[n])}" for n in stored])
            return f"`{_code(statement)}` {leave} {joined}."
    return None


def _arguments(trace: Trace, function: ast.FunctionDef, steps: Sequence[Moment]) -> str:
    """Describes the parameters when the function starts, read off the run."""
    start = next(
        (e.changed for e in trace.events if e.kind == "call" and e.function == function.name), {}
    )
    held = [
        f"`{argument.arg}` = {_value(start[argument.arg])}"
        for argument in _parameters(function)
        if argument.arg in start
    ]
    if not held:
        return "The function takes no arguments, so there is nothing to choose."
    return f"All this holds with {join_words(held)}."


def _conclusion(trace: Trace, call: str, wording: random.Random) -> str:
    return wording.choice(
        (
            f"One such input is `{call}`, which returns {trace.result}.",
            f"`{call}` meets all constraints and returns {trace.result}.",
            f"So `{call}` is a witness: it returns {trace.result}.",
        )
    )


# ---- reading the run and the code ---------------------------------------------------------------


def _steps(trace: Trace, function: ast.FunctionDef) -> Sequence[Moment]:
    """Returns the lines of the first activation of the called function."""
    frame = next(
        (e.frame for e in trace.events if e.kind == "call" and e.function == function.name), None
    )
    return [m for m in moments(trace) if m.event.frame == frame and m.event.kind == "line"]


def _values_clause(expression: ast.expr, values: Mapping[str, str]) -> str:
    """Returns ", with `a` = 1" for the variables that an expression reads; "" if it reads none."""
    held = [f"`{n}` = {_value(values[n])}" for n in sorted(_names(expression)) if n in values]
    return f", as with {join_words(held)}" if held else ""


def _value(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else "a value too long to write out"


def _code(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LONGEST_CODE else f"{text[: _LONGEST_CODE - 1]}…"


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _read_by(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement reads; for a compound statement, its header only."""
    match statement:
        case ast.If(test=test) | ast.While(test=test):
            return _names(test)
        case ast.For(iter=iterated):
            return _names(iterated)
    return _names(statement)


def _assigned_names(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement or a loop body assigns or alters by subscript."""
    stored = set()
    for node in ast.walk(statement):
        targets: list[ast.expr] = []
        match node:
            case ast.Assign(targets=several):
                targets = several
            case ast.AugAssign(target=one) | ast.AnnAssign(target=one) | ast.For(target=one):
                targets = [one]
        for target in targets:
            stored |= _names(target)
    return stored


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    spec = function.args
    starred = [argument for argument in (spec.vararg, spec.kwarg) if argument is not None]
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]
