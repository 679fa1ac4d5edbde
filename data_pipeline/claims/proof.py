"""Proves claims about a run from its raw events.

Every proof returns True (proven), False (refuted) or None (undecided). Values of whole lines are
read off the trace; values of parts of an expression are computed by the evaluator of `verify`,
which reads literals and never runs code of the program.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_pipeline.claims.claim import Claim
from data_pipeline.claims.code_proofs import CODE_PROOFS, RUN_PROOFS, same_code
from data_pipeline.claims.expression_proofs import (
    EXPRESSION_PROOFS,
    evaluates,
    has_value,
    is_line,
    is_truth_value,
    record_state,
)
from data_pipeline.claims.necessity import Necessity
from data_pipeline.claims.record import LOOPS, Record
from data_pipeline.source.literals import LiteralError, is_literal, parse_literal, same_value
from data_pipeline.source.syntax import parse_expression
from data_pipeline.tracing import Trace

PROVEN, REFUTED, UNDECIDED = "proven", "refuted", "undecided"
_VERDICTS = {True: PROVEN, False: REFUTED, None: UNDECIDED}
_MUTABLE = (list, dict, set, bytearray)

Proof = Callable[[Record, Claim], bool | None]


class Prover:
    """Proves claims about one trace. `necessity` holds what backward claims have established."""

    def __init__(self, trace: Trace):
        self.record = Record(trace)
        self.necessity = Necessity(self.record)
        self._known: dict[Claim, str] = {}

    def verdict(self, claim: Claim) -> str:
        """Returns PROVEN, REFUTED or UNDECIDED. Never raises."""
        if claim.kind not in _PROOFS:  # later facts may decide what is undecided now
            return _VERDICTS[self._prove(claim)]
        if claim not in self._known:
            self._known[claim] = _VERDICTS[self._prove(claim)]
        return self._known[claim]

    def _prove(self, claim: Claim) -> bool | None:
        proof = _PROOFS.get(claim.kind)
        try:
            if proof is None:
                return self.necessity.prove(claim)
            return proof(self.record, claim)
        except (IndexError, KeyError, ValueError, RecursionError):
            return False  # the place, code or number does not exist in this run


# ---- variables


def _before(record: Record, claim: Claim) -> bool | None:
    place = claim.place
    text = record.state(place.frame, place.at - 1).get(claim.subject)
    if text is None and is_line(record, claim):
        return None  # a global that may change
    return is_line(record, claim) and text == claim.value


def _after(record: Record, claim: Claim) -> bool | None:
    return is_line(record, claim) and _value_after(record, claim) == claim.value


def _value_after(record: Record, claim: Claim, name: str | None = None) -> str | None:
    place = claim.place
    end = place.at + 1 if record.events[place.at].kind == "call" else record.window_end(place.at)
    return record.value(place.frame, name or claim.subject, end - 1)


def _size(record: Record, claim: Claim) -> bool | None:
    text = _value_after(record, claim)
    try:
        return text is not None and len(parse_literal(text)) == int(claim.value)
    except (LiteralError, TypeError):
        return None


def _gone(record: Record, claim: Claim) -> bool:
    here = record.events[claim.place.at]
    return is_line(record, claim) and claim.subject in here.gone


def _quiet(record: Record, claim: Claim) -> bool | None:
    event = record.events[claim.place.at]
    node = record.statement(claim.place.at)
    if not isinstance(node, ast.Expr) or not same_code(claim.subject, node.value):
        return False
    if not is_line(record, claim) or event.changed or event.gone:
        return False
    return None if _hides_state(record, claim, node) else True


def _hides_state(record: Record, claim: Claim, node: ast.Expr) -> bool:
    """Returns whether a variable of a line is shown without all that a call may change in it."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    texts = (record.value(claim.place.frame, name, claim.place.at - 1) for name in names)
    return any(text is not None and not is_literal(text) for text in texts)


def _appends(record: Record, claim: Claim) -> bool | None:
    place = claim.place
    match record.statement(place.at):
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"))
        ) if name == claim.subject:
            before = record.value(place.frame, name, place.at - 1)
            after = _value_after(record, claim)
        case _:
            return False
    try:
        whole = [*parse_literal(before or ""), parse_literal(claim.value)]
        return same_value(whole, parse_literal(after or ""))
    except (LiteralError, TypeError):
        return None


# ---- where control goes


def _branch(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    node = record.statement(claim.place.at)
    if not is_line(record, claim) or not isinstance(node, ast.If | ast.While | ast.Assert):
        return False
    if not same_code(claim.subject, node.test):
        return False
    if isinstance(node, ast.Assert):
        failed = any(record.inside(claim.place.at, "exception"))
        return claim.value == "True" and not failed
    return event.branch is not None and str(event.branch) == claim.value


def _is(record: Record, claim: Claim) -> bool | None:
    """The test comes out so, and its value is a truth value itself."""
    if not _branch(record, claim):
        return False
    node = parse_expression(f"({claim.subject.strip()})")
    if is_truth_value(node):
        return True
    return has_value(record, claim, node, claim.value, record_state(record, claim))


def _turn(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    if not is_line(record, claim) or not isinstance(record.statement(claim.place.at), LOOPS):
        return False
    turns = record.turns(claim.place.at)
    begun = [turn[0] for turn in turns if record.events[turn[0]].branch]
    number = int(claim.value)
    return bool(event.branch) and 0 < number <= len(begun) and begun[number - 1] == claim.place.at


def _turns(record: Record, claim: Claim) -> bool:
    """The loop's execution that `place` is in is over after so many turns."""
    if not is_line(record, claim):
        return False
    turns = record.turns(claim.place.at)
    begun = [turn for turn in turns if record.events[turn[0]].branch]
    return bool(turns) and len(begun) == int(claim.value)


def _range_of(record: Record, claim: Claim, text: str) -> list[list[int]]:
    turns = record.turns(claim.place.at)
    first, _, last = text.partition("-")
    start, end = int(first), int(last or first)
    begun = [turn for turn in turns if record.events[turn[0]].branch]
    if not 0 < start <= end <= len(begun):
        raise ValueError(text)
    return begun[start - 1 : end]


def _range(record: Record, claim: Claim) -> bool:
    return is_line(record, claim) and bool(_range_of(record, claim, claim.value))


def _alike(record: Record, claim: Claim) -> bool:
    turns = _range_of(record, claim, claim.subject)
    paths = {",".join(map(str, _path(record, turn[1:]))) for turn in turns}
    return is_line(record, claim) and paths == set(claim.value.split("|"))


def _path(record: Record, events: Sequence[int]) -> Iterator[int]:
    """Yields the line of each statement that runs, once for one written over several lines."""
    end = -1
    for at in events:
        if at >= end:
            yield record.events[at].line
            end = record.window_end(at)


def _over(record: Record, claim: Claim) -> bool:
    turns = record.turns(claim.place.at)
    chosen = _range_of(record, claim, claim.value)
    rest = turns[turns.index(chosen[-1]) + 1 :]
    return is_line(record, claim) and len(rest) == 1 and not record.events[rest[0][0]].branch


def _series(record: Record, claim: Claim) -> bool:
    name, _, span = claim.subject.partition("@")
    texts = []
    for turn in _range_of(record, claim, span):
        last = turn[-1]
        texts.append(record.value(claim.place.frame, name, record.window_end(last) - 1))
    return is_line(record, claim) and ", ".join(map(str, texts)) == claim.value


def _next(record: Record, claim: Claim) -> bool:
    return is_line(record, claim) and record.next_line(claim.place.at) == int(claim.value)


def _handler(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    for node in record.nodes:
        if isinstance(node, ast.ExceptHandler) and node.lineno == claim.place.line:
            code = "except" if node.type is None else f"except {ast.unparse(node.type)}"
            same = code.split() == claim.subject.partition(" as ")[0].split() or same_code(
                claim.subject.removeprefix("except").partition(" as ")[0], node.type
            )
            return is_line(record, claim) and same and str(event.branch) == claim.value
    return False


def _case(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    try:
        wanted = ast.parse(f"match _:\n {claim.subject}:\n  pass").body[0].cases[0]  # type: ignore
    except SyntaxError:
        return False
    for node in record.nodes:
        if isinstance(node, ast.match_case) and node.pattern.lineno == claim.place.line:
            same = ast.dump(wanted.pattern) == ast.dump(node.pattern) and same_code(
                ast.unparse(wanted.guard) if wanted.guard else "", node.guard
            )
            return is_line(record, claim) and same and str(event.branch) == claim.value
    return False


def _with(record: Record, claim: Claim) -> bool:
    node = record.statement(claim.place.at)
    if not is_line(record, claim) or not isinstance(node, ast.With | ast.AsyncWith):
        return False
    before = [
        record.events[at]
        for at in record.of_frame[claim.place.frame]
        if at < claim.place.at and record.events[at].kind == "line"
    ]
    body = range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1)
    leaves = bool(before) and before[-1].line in body and before[-1].line != node.lineno
    return claim.value == ("leave" if leaves else "enter")


# ---- calls


def _enters(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    return (
        event.kind == "call"
        and is_line(record, claim)
        and event.function.rpartition(".")[2] == claim.subject
    )


def _resumes(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    return event.kind == "resume" and event.function.rpartition(".")[2] == claim.subject


def _calls(record: Record, claim: Claim) -> bool:
    here = record.events[claim.place.at]
    found = [
        event
        for event in record.events[claim.place.at + 1 : record.window_end(claim.place.at)]
        if event.kind == "call"
        and event.depth > here.depth
        and event.function.rpartition(".")[2] == claim.subject
    ]
    return is_line(record, claim) and len(found) == int(claim.value)


def _result(record: Record, claim: Claim) -> bool:
    event = record.events[claim.place.at]
    if event.kind != "call":
        return False
    call = ast.parse(claim.subject, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return False
    stated = {str(k.arg): ast.unparse(k.value) for k in call.keywords}
    given = {name: ast.unparse(ast.parse(text, mode="eval"))
             for name, text in event.changed.items() if name in stated}  # fmt: skip
    return (
        event.function.rpartition(".")[2] == call.func.id
        and not call.args
        and stated == given
        and record.frame_result(event.frame) == claim.value
    )


def _returns(record: Record, claim: Claim) -> bool:
    event = next(record.inside(claim.place.at, "return"), None)
    name = record.events[claim.place.at].function.rpartition(".")[2]
    return (
        is_line(record, claim)
        and event is not None
        and event.value == claim.value
        and name == claim.subject
    )


def _yields(record: Record, claim: Claim) -> bool:
    event = next(record.inside(claim.place.at, "yield"), None)
    return is_line(record, claim) and event is not None and event.value == claim.value


def _waits(record: Record, claim: Claim) -> bool | None:
    node = record.statement(claim.place.at)
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    step: ast.AST | None = node
    while step is not None and not (isinstance(step, ast.Try) and step.finalbody):
        step = record.parents.get(step)
    following = record.next_line(claim.place.at)
    if step is None or following is None:
        return False
    if not step.finalbody[0].lineno <= following <= (step.finalbody[-1].end_lineno or 0):
        return False
    return same_code(claim.subject, node.value) and evaluates(record, claim)


def _held(record: Record, claim: Claim) -> bool:
    end = next(record.inside(claim.place.at, "return"), None)
    block = _final_block(record, record.statement(claim.place.at))
    if not is_line(record, claim) or end is None or block is None:
        return False
    earlier = [record.statement(at) for at in record.of_frame[claim.place.frame]
               if at < claim.place.at and record.events[at].kind == "line"]  # fmt: skip
    returns = [node for node in earlier if isinstance(node, ast.Return)]
    if not returns or returns[-1].value is None or end.value != claim.value:
        return False
    inside = block.lineno < returns[-1].lineno < block.finalbody[0].lineno
    return inside and same_code(claim.subject, returns[-1].value)


def _final_block(record: Record, node: ast.AST | None) -> ast.Try | None:
    """Returns the `try` statement in whose `finally` block a statement stands."""
    while node is not None:
        parent = record.parents.get(node)
        if isinstance(parent, ast.Try) and node in parent.finalbody:
            return parent
        node = parent
    return None


def _raises(record: Record, claim: Claim) -> bool:
    found = [event.raised.type for event in record.inside(claim.place.at, "exception")
             if event.raised]  # fmt: skip
    return is_line(record, claim) and claim.value in found


def _error(record: Record, claim: Claim) -> bool:
    found = [" ".join(str(event.raised).split()) for event in record.inside(claim.place.at,
             "exception") if event.raised]  # fmt: skip
    return is_line(record, claim) and claim.value in found[:1]


def _calm(record: Record, claim: Claim) -> bool:
    return is_line(record, claim) and not any(record.inside(claim.place.at, "exception"))


def _unset(record: Record, claim: Claim) -> bool:
    return is_line(record, claim) and _value_after(record, claim) is None


def _fails(record: Record, claim: Claim) -> bool:
    trace = record.trace
    raised = "" if trace.raised is None else " ".join(str(trace.raised).split())
    return bool(raised) and (trace.call, raised) == (claim.subject, claim.value)


def _endless(record: Record, claim: Claim) -> bool:
    trace = record.trace
    is_open = trace.raised is None and trace.result is None
    return is_open and (trace.call, trace.truncated) == (claim.subject, claim.value)


def _outcome(record: Record, claim: Claim) -> bool:
    trace = record.trace
    return claim.subject == trace.call and trace.raised is None and trace.result == claim.value


_PROOFS: Mapping[str, Proof] = {
    "before": _before, "after": _after, "size": _size, "gone": _gone, "quiet": _quiet,
    "appends": _appends, "branch": _branch, "is": _is, "turn": _turn, "turns": _turns,
    "range": _range,
    "alike": _alike, "series": _series, "over": _over, "next": _next, "handler": _handler,
    "case": _case, "with": _with, "enters": _enters, "resumes": _resumes, "calls": _calls,
    "result": _result, "returns": _returns, "yields": _yields, "waits": _waits, "held": _held,
    "raises": _raises, "error": _error, "calm": _calm, "unset": _unset, "fails": _fails,
    "endless": _endless, "outcome": _outcome, **EXPRESSION_PROOFS, **CODE_PROOFS, **RUN_PROOFS,
}  # fmt: skip
