"""Checks the conclusion and the answer: claims about the result of the whole run."""

import ast
import functools

from data_pipeline.tracing import Trace
from data_pipeline.verify.claims import CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.values import compare

MAX_ASSERTION = 40_000


def outcome(trace: Trace) -> str:
    """Returns the text of the result, "raises …", or "does not end" for a run that was ended."""
    if trace.result is None and trace.raised is None:
        return "does not end"
    return trace.result if trace.result is not None else f"raises {trace.raised}"


def result_claim(trace: Trace, number: int, kind: str, text: str) -> Claim:
    """Compares a stated result with that of the run."""
    text = text.strip()
    if trace.result is None:
        return Claim(number, kind, text, CONTRADICTED, f"raises {trace.raised}")
    return Claim(number, kind, text, compare(text, trace.result), trace.result)


def answer_claim(
    trace: Trace, number: int, asserted: str, *, other_is_false: bool = False
) -> Claim:
    """Checks `f(...) == value` against the run of this call.

    Another call than the run's is another input, which this trace cannot check; where that very
    call was asked, it is no answer (other_is_false).
    """
    truth = f"{trace.call} == {outcome(trace)}"
    sides = assertion_sides(asserted)
    if sides is None:
        return Claim(number, "answer", asserted, NOT_CHECKABLE, truth)
    left, right = sides
    if same_call(left, trace.call):
        verdict = CONTRADICTED if trace.result is None else compare(right, trace.result)
    else:
        verdict = CONTRADICTED if other_is_false else NOT_CHECKABLE
    return Claim(number, "answer", asserted, verdict, truth)


def assertion_sides(asserted: str) -> tuple[str, str] | None:
    """Returns the source of both sides of `call == value`; None for any other text."""
    tree = _tree(asserted)
    match tree:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            try:
                return ast.unparse(left), ast.unparse(right)
            except (ValueError, RecursionError):
                return None
    return None


def witness_call(monologue: str) -> str | None:
    """Returns the call in the final assertion of a monologue, such as "f(3)"; None if absent."""
    _, opened, answer = monologue.rpartition("[ANSWER]")
    if not opened:
        return None
    answer = answer.partition("[/ANSWER]")[0].strip().removeprefix("assert ")
    sides = assertion_sides(answer)
    return sides[0] if sides else None


def literal_of(told: str | None) -> str | None:
    """Returns the literal that is told, without its backticks; None if it is none."""
    if told is None:
        return None
    empty = {"an empty string": "''", "an empty list": "[]", "an empty dictionary": "{}"}
    text = empty.get(told.lower(), told.strip().strip("`").strip())
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return text


def same_call(one: str, other: str) -> bool:
    """Returns whether two calls are the same apart from layout."""
    first = _dump(literal_call(one))
    return first is not None and first == _dump(literal_call(other))


def literal_call(call: str) -> str:
    """Returns a call with its arguments as literals, "f(dict(a=1))" as "f({'a': 1})".

    Arguments that our evaluator cannot compute stay as they are.
    """
    tree = _tree(call)
    if not isinstance(tree, ast.Call):
        return call
    arguments = [_literal_node(node) for node in tree.args]
    keywords = [ast.keyword(k.arg, _literal_node(k.value)) for k in tree.keywords]
    if ast.dump(ast.Call(tree.func, arguments, keywords)) == ast.dump(tree):
        return call
    return ast.unparse(ast.Call(tree.func, arguments, keywords))


def _literal_node(node: ast.expr) -> ast.expr:
    try:
        ast.literal_eval(node)
        return node
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return ast.parse(repr(evaluate_node(node, None)), mode="eval").body
    except (Unknown, SyntaxError, ValueError):
        return node


@functools.lru_cache(maxsize=256)
def _tree(text: str) -> ast.expr | None:
    if len(text) > MAX_ASSERTION:
        return None
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@functools.lru_cache(maxsize=256)
def _dump(text: str) -> str | None:
    tree = _tree(text)
    try:
        return None if tree is None else ast.dump(ast.parse(ast.unparse(tree), mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
