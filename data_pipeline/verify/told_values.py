"""Puts the code of a line in place of the values that a sentence tells of it.

`text.replace(old, "")` told as "replaces each occurrence of 'a' with an empty string" reads as
"replaces each occurrence of `old` with an empty string" where `old` is 'a' at that place.
"""

import ast
import re
from collections.abc import Iterator, Mapping

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.value_verdicts import ValueVerdicts
from data_pipeline.verify.values import compare

_LITERAL = re.compile(
    r"(?<![\w\"'.])(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\[[^\[\]]*\]|-?\d+)(?![\w\"']|\.\d)"
)
_MOST_NODES = 40
_SHOWN = (ast.Name, ast.Call, ast.BinOp, ast.Subscript)


def with_code(
    run: Replay,
    values: ValueVerdicts,
    plain: str,
    here: Occurrence | None,
    bound: Mapping[str, str] | None = None,
) -> str:
    """Returns the sentence with code in backticks for each value that one expression alone has.

    Without a place, the values of the first call's arguments are known, and those in `bound`, the
    variables of a turn.
    """
    turn = [(name, text, True) for name, text in (bound or {}).items()]
    known = turn + [one for one in _known(run, values, here) if one[0] not in (bound or {})]
    parts = plain.split("`")
    parts[::2] = [_LITERAL.sub(lambda match: _code_for(match[0], known), p) for p in parts[::2]]
    return "`".join(parts)


def _known(run: Replay, values: ValueVerdicts, here: Occurrence | None) -> Iterator[tuple]:
    """Yields (code, value, whether it is a name) for what is known at a place."""
    if here is None:
        for name, text in (run.entries[0].event.changed if run.entries else {}).items():
            yield name, text, True
        return
    statement = run.statement_of(here.event)
    wholes = [] if statement is None else _own_expressions(statement)
    nodes = [node for whole in wholes for node in ast.walk(whole) if isinstance(node, _SHOWN)]
    for node in nodes[:_MOST_NODES]:
        code = ast.unparse(node)
        text = values.text_at(code, here.event.frame, here.at - 1)
        if text is not None:
            yield code, text, isinstance(node, ast.Name)


def _own_expressions(statement: ast.stmt) -> list[ast.expr]:
    return [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]


def _code_for(literal: str, known: list[tuple]) -> str:
    """Returns the one name with a value, else the one expression, else the literal."""
    same = [(code, named) for code, text, named in known if compare(literal, text) == CONFIRMED]
    names = {code for code, named in same if named}
    codes = names or {code for code, _ in same}
    return f"`{codes.pop()}`" if len(codes) == 1 else literal
