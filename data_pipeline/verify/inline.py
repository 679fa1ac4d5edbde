"""Reads inline monologues strictly (see `data_pipeline.monologue.inline`).

In them every executed line is a step in one of a few forms, so a missing step is an error too.

A step is a line that opens with a label, `3. [L7] …`. It claims that line 7 runs next, the code
that it quotes, the values beside names (`a=3 + b=4` before the line; those behind "gives" after
it), the branch taken, the turn of a loop and the value returned. The conclusion and the answer
follow. Any other text makes no claim that this reader recognizes.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.source.literals import literal_end
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.replay import Moment, moments
from data_pipeline.verify.answer import answer_claim, result_claim
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.values import compare

_STEP = re.compile(r"^\s*(?:(?:\d+[.)]|[-*])\s*)?\[L(\d+)\]:?\s*(.*)$")
_QUOTED = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""")
_PAIR = re.compile(r"(?<![\w.])([A-Za-z_]\w*)=(?!=)")
_BRANCH = re.compile(r" is (True|False)$")
_TURN = re.compile(r"^iteration (\d+) of ")
_GIVES = re.compile(r"(?:^| )gives ")
_NOT_ENTERED = " does not start"
_RETURNED = re.compile(r"^The function returns (.*?)\.?$")
_ANSWER = re.compile(r"^assert (.*)$")
_FORM = re.compile(
    r"^\d+\. \[L\d+\] (?:.* gives .*|.* is (?:True|False)|return .*|.* does not start|.* is done"
    r"|pass|break|continue)\.?$"
)


def is_inline(monologue: str) -> bool:
    """Returns whether all steps have inline forms, at least half with values beside names."""
    steps = [line for line in monologue.split("\n") if _STEP.match(line)]
    if not steps or not all(_FORM.match(line) for line in steps):
        return False
    return 2 * sum(bool(_PAIR.search(_blank_strings(line))) for line in steps) >= len(steps)


def inline_claims(trace: Trace, monologue: str) -> list[Claim]:
    """Returns the claims of `monologue` about the run in `trace`, in the order of its lines."""
    run = _RunCursor(trace)
    claims: list[Claim] = []
    in_answer = False
    last_step = None
    for number, line in enumerate(monologue.split("\n"), 1):
        in_answer = (in_answer or "[ANSWER]" in line) and "[/ANSWER]" not in line
        if step := _STEP.match(line):
            told = step[2].rstrip().removesuffix(".")
            claims += _step_claims(run, number, int(step[1]), told)
            last_step = number
        elif returned := _RETURNED.match(line.strip()):
            if last_step is not None:
                claims += _end_claims(run, last_step)
                last_step = None
            claims.append(result_claim(trace, number, "return", returned[1]))
        elif in_answer and (answer := _ANSWER.match(line.strip())):
            claims.append(answer_claim(trace, number, answer[1], other_is_false=True))
    return claims


# ---- the run, line by line -------------------------------------------------------------------


class _RunCursor:
    """Steps through the executed lines of a trace along with the monologue."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.occurrences = [step for step in moments(trace) if step.event.kind == "line"]
        self.statements = {
            node.lineno: node
            for node in ast.walk(ast.parse(trace.program))
            if isinstance(node, ast.stmt)
        }
        self.names = {name for step in self.occurrences for name in (*step.before, *step.after)}
        self._next = 0

    def advance(self, line: int) -> tuple[Moment | None, int | None]:
        """Returns (this line's next execution, the line that really runs next).

        Does not move if the line does not run any more.
        """
        expected = None
        if self._next < len(self.occurrences):
            expected = self.occurrences[self._next].event.line
        for i in range(self._next, len(self.occurrences)):
            if self.occurrences[i].event.line == line:
                self._next = i + 1
                return self.occurrences[i], expected
        return None, expected

    def rest(self) -> Sequence[Moment]:
        return self.occurrences[self._next :]


# ---- claims of one step ----------------------------------------------------------------------


def _step_claims(run: _RunCursor, number: int, label: int, told: str) -> list[Claim]:
    line = label - FIRST_LABEL + 1
    occurrence, expected = run.advance(line)
    flow = _flow_claim(run.trace, number, line, occurrence, expected)
    if occurrence is None:
        return [flow, *_unplaced_claims(number, told)]
    claims = [flow]
    before_text, after_text = _split_states(told)
    for name, text in pairs_beside_names(before_text, run.names):
        claims.append(_value_claim(number, name, text, occurrence.before))
    for name, text in pairs_beside_names(after_text, None):
        claims.append(_value_claim(number, name, text, occurrence.after))
    claims += _form_claims(run, number, occurrence, told, before_text)
    return claims


def _flow_claim(trace, number, line, occurrence, expected) -> Claim:
    text = f"[L{line + FIRST_LABEL - 1}] runs next"
    if expected is None:
        verdict = NOT_CHECKABLE if trace.truncated else CONTRADICTED
        return Claim(number, "flow", text, verdict, "the run has ended")
    truth = f"[L{expected + FIRST_LABEL - 1}] runs next"
    verdict = CONFIRMED if occurrence is not None and expected == line else CONTRADICTED
    return Claim(number, "flow", text, verdict, truth)


def _end_claims(run: _RunCursor, number: int) -> Iterator[Claim]:
    """Yields a contradicted claim if the run goes on after the last step."""
    rest = run.rest()
    if rest:
        truth = f"[L{rest[0].event.line + FIRST_LABEL - 1}] runs next"
        yield Claim(number, "flow", "the run ends", CONTRADICTED, truth)


def _unplaced_claims(number: int, told: str) -> Iterator[Claim]:
    """Yields claims about values at a line that does not run."""
    for name, text in pairs_beside_names(told, None):
        yield Claim(number, "value", f"{name}={text}", NOT_CHECKABLE, None)


def _split_states(told: str) -> tuple[str, str]:
    """Splits a step into its texts about the state before and after the line."""
    masked = _blank_strings(told)
    *_, cut = [None, *_GIVES.finditer(masked)]
    return (told, "") if cut is None else (told[: cut.start()], told[cut.end() :])


def _blank_strings(text: str) -> str:
    """Blanks the contents of strings, so that their words are not matched."""
    return _QUOTED.sub(lambda match: "'" + "_" * (len(match[0]) - 2) + "'", text)


def pairs_beside_names(text: str, names: set[str] | None) -> Iterator[tuple[str, str | None]]:
    """Yields (name, literal beside it or None) for each `name=` in `text` outside strings.

    With `names`, yields only those: an unknown name may be a keyword argument of the quoted code.
    """
    masked = _blank_strings(text)
    for match in _PAIR.finditer(masked):
        end = literal_end(text, match.end())
        if names is None or match[1] in names:
            yield match[1], None if end is None else text[match.end() : end]


def _value_claim(number: int, name: str, text: str | None, values: Mapping[str, str]) -> Claim:
    truth = f"{name}={values[name]}" if name in values else f"{name} has no value"
    if text is None:
        return Claim(number, "value", f"{name}=…", NOT_CHECKABLE, truth)
    verdict = compare(text, values[name]) if name in values else CONTRADICTED
    return Claim(number, "value", f"{name}={text}", verdict, truth)


def _form_claims(
    run: _RunCursor, number: int, occurrence: Moment, told: str, before_text: str
) -> Iterator[Claim]:
    """Yields the claims of the step's own form: a branch, turn, returned value or quoted code."""
    event = occurrence.event
    statement = run.statements.get(event.line)
    quoted = before_text
    if told.startswith("return"):
        quoted, comma, value = _partition_last(told.removeprefix("return").strip(), ", which is ")
        if comma:
            yield result_claim(run.trace, number, "return", value)
        is_return = isinstance(statement, ast.Return)
        truth = "a return" if is_return else "no return"
        verdict = CONFIRMED if is_return else CONTRADICTED
        yield Claim(number, "code", "a return", verdict, truth)
        if is_return:
            yield from _code_claim(number, quoted, statement)
        return
    if turn := _TURN.match(told):
        quoted = quoted[turn.end() :]
        verdict = CONFIRMED if int(turn[1]) == occurrence.turn else CONTRADICTED
        truth = f"iteration {occurrence.turn}"
        yield Claim(number, "iteration", f"iteration {turn[1]}", verdict, truth)
        enters = not told.endswith(_NOT_ENTERED)
        quoted = quoted.removesuffix(_NOT_ENTERED)
        yield _branch_claim(number, enters, event, ("starts", "does not start"))
    elif branch := _BRANCH.search(_blank_strings(told)):
        quoted = told[: branch.start()]
        yield _branch_claim(number, branch[1] == "True", event, ("True", "False"))
    if statement is not None and quoted != told:
        yield from _code_claim(number, quoted, statement)


def _branch_claim(number: int, claimed: bool, event: Event, words: tuple[str, str]) -> Claim:
    text = words[0] if claimed else words[1]
    if event.branch is None:
        return Claim(number, "branch", text, NOT_CHECKABLE, None)
    verdict = CONFIRMED if claimed == event.branch else CONTRADICTED
    return Claim(number, "branch", text, verdict, words[0] if event.branch else words[1])


def _partition_last(text: str, separator: str) -> tuple[str, str, str]:
    cut = _blank_strings(text).rfind(separator)
    if cut < 0:
        return text, "", ""
    return text[:cut], separator, text[cut + len(separator) :]


def _code_claim(number: int, quoted: str, statement: ast.stmt) -> Iterator[Claim]:
    """Checks whether `quoted`, without its values, is the code of `statement`.

    Yields nothing if it is not valid Python or the statement has no expression of its own.
    """
    real = _expression(statement)
    code = without_values(quoted)
    found = _syntax(code)
    if real is None or found is None:
        return
    truth = ast.unparse(real)
    verdict = CONFIRMED if found == _syntax(truth) else CONTRADICTED
    yield Claim(number, "code", code, verdict, truth)


def _expression(statement: ast.stmt) -> ast.expr | None:
    """Returns the part of a statement that a narrator quotes: its value, test or iterable."""
    match statement:
        case (
            ast.Return(value=expression) | ast.Assign(value=expression) | ast.Expr(value=expression)
        ):
            return expression
        case ast.If(test=test) | ast.While(test=test):
            return test
        case ast.For(iter=iterated):
            return iterated
        case ast.AugAssign(target=ast.Name(id=name), op=operator, value=expression):
            return ast.BinOp(ast.Name(name, ast.Load()), operator, expression)
    return None


def without_values(quoted: str) -> str:
    """Returns quoted code without the values beside its names."""
    masked, parts, at = _blank_strings(quoted), [], 0
    for match in _PAIR.finditer(masked):
        end = literal_end(quoted, match.end())
        if end is not None:
            parts.append(quoted[at : match.end() - 1])
            at = end
    return "".join([*parts, quoted[at:]]).strip()


def _syntax(code: str) -> str | None:
    try:
        return ast.dump(ast.parse(code, mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
