"""Writes the first two parts of a monologue: the function's purpose and its properties.

States only facts that the syntax tree or the trace proves, or quotes from the docstring.
"""

import ast
import re

from data_pipeline.monologue.steps import label
from data_pipeline.monologue.wording import Words, code_of, join_words
from data_pipeline.tracing.replay import Replay


def introduction(run: Replay, words: Words, *, labels: bool = True) -> str:
    return (
        f"### Understanding the Function\n{_understanding(run, words)}\n\n"
        f"### Key Properties and Constraints\n{_properties(run, words, labels)}\n"
    )


def entry(run: Replay) -> ast.FunctionDef | None:
    """Returns the function that the call runs."""
    name = run.events[0].function.rpartition(".")[2] if run.events else ""
    return run.functions.get(name)


def _understanding(run: Replay, words: Words) -> str:
    function = entry(run)
    if function is None:
        return "The program defines what the call runs."
    arguments = _arguments(function)
    takes = f"takes {join_words(arguments)}" if arguments else "takes no arguments"
    parts = [
        words.choose((f"`{function.name}` {takes}.", f"The function `{function.name}` {takes}."))
    ]
    docstring = _first_sentence(ast.get_docstring(function))
    if docstring:
        parts.append(f'Its docstring says: "{docstring}"')
    else:
        parts.append(_shape(function, words))
    return " ".join(parts)


def _first_sentence(docstring: str | None) -> str:
    if not docstring:
        return ""
    paragraph = docstring.strip().split("\n\n")[0]
    sentence = re.split(r"(?<=[.!?;])\s", " ".join(paragraph.split()))[0]
    sentence = re.sub(r"[`\"⟦⟧\[\]]", "", sentence).strip()
    return sentence if 8 < len(sentence) <= 160 else ""


def _arguments(function: ast.FunctionDef) -> list[str]:
    a = function.args
    names = [f"`{arg.arg}`" for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    if a.vararg:
        names.append(f"any further positional arguments as `{a.vararg.arg}`")
    if a.kwarg:
        names.append(f"keyword arguments as `{a.kwarg.arg}`")
    return names


def _shape(function: ast.FunctionDef, words: Words) -> str:
    own = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    loops = any(isinstance(node, ast.For | ast.While) for node in own)
    branches = any(isinstance(node, ast.If | ast.Match) for node in own)
    how = {
        (False, False): "without loops or branches",
        (True, False): "in a loop",
        (False, True): "by testing conditions",
        (True, True): "in a loop that tests conditions"
        if any(
            isinstance(part, ast.If)
            for node in own
            if isinstance(node, ast.For | ast.While)
            for part in ast.walk(node)
        )
        else "with loops and conditions",
    }[loops, branches]
    return words.choose((f"It works {how}.", f"It computes its result {how}."))


def _properties(run: Replay, words: Words, labels: bool) -> str:
    function = entry(run)
    facts: list[str] = []
    scope = function if function is not None else run.tree
    for node in ast.walk(scope):
        at = f" at {label(node.lineno)}" if labels and hasattr(node, "lineno") else ""
        if isinstance(node, ast.For):
            code = code_of(node.iter, 60)
            facts.append(f"The loop{at} goes over {code}." if code else f"There is a loop{at}.")
        elif isinstance(node, ast.While):
            code = code_of(node.test, 60)
            facts.append(f"The loop{at} goes on while {code}." if code else f"There is a loop{at}.")
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call | ast.Name):
            kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            code = code_of(kind, 40)
            if code:
                facts.append(f"It can raise {code}{at}.")
    facts = list(dict.fromkeys(facts))[:4]
    helpers = sorted({e.function.rpartition(".")[2] for e in run.events if e.kind == "call"})
    name = function.name if function is not None else ""
    if len(run.calls_of(name)) > 1:
        facts.append(f"`{name}` calls itself.")
    others = [f"`{h}`" for h in helpers if h in run.functions and h != name][:4]
    if others:
        facts.append(
            f"In this run {join_words(others)} {'is' if len(others) == 1 else 'are'} called too."
        )
    facts += _mutations(run, function)
    kind = (run.trace.result or "")[:1]
    kinds = {"[": "a list", "(": "a tuple", "'": "a string", '"': "a string", "{": "a dict or set"}
    if run.trace.result in ("True", "False"):
        facts.append("The result of this call is a truth value.")
    elif kind in kinds:
        facts.append(f"The result of this call is {kinds[kind]}.")
    elif kind.isdigit() or kind == "-":
        facts.append("The result of this call is a number.")
    return "\n".join(f"- {fact}" for fact in facts) or "- It is a single statement of work."


def _mutations(run: Replay, function: ast.FunctionDef | None) -> list[str]:
    """Describes arguments that the run changed in place.

    These change although no statement binds their name.
    """
    if function is None or not run.events:
        return []
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    changed = [
        name
        for name in run.events[0].changed
        if name not in stored and len(set(run.history(0, name)[1])) > 1
    ]
    return [f"The argument `{name}` is changed in place." for name in changed[:3]]
