"""Iterative self-refinement: the model reads the run of its own wrong solution and repairs it.

Round 0 asks for a solution. In each later round, a solution that fails one of the *visible* tests
of the problem goes back to the model with that test, its outcome, and the run written into the
program; the repaired program replaces it. The caller judges every round by hidden tests. A
`RefineTask` holds neither hidden tests nor a reference solution, so no prompt can contain them.

Upstream (SemCoder, self-refine) prompts with the reference solution as "Buggy Solution" and feeds
hidden tests back; this module does neither. The prompts use its debug-and-refine template.
"""

import ast
import dataclasses
import doctest
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data_pipeline.execution.oracles import is_equal
from data_pipeline.execution.outcomes import BadInput, Died, Limit, Result
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job, expression_job
from data_pipeline.faults import failed_test
from data_pipeline.pyx.prompts import humaneval_prompt, mbpp_prompt, refine_prompt
from data_pipeline.tracing import Trace
from data_pipeline.tracing.events import Raised

MAX_ROUNDS = 5
STOP = "[/Refined]"
MAX_FEEDBACK = 6000  # characters of the traced program: a long loop must not crowd out the question
_TRACE = TraceLimits(max_lines=2000, max_bytes=4 << 20, max_characters=200)


@dataclasses.dataclass(frozen=True)
class RefineTask:
    """The visible part of a problem.

    Attributes:
      id: id of the task.
      prompt: prompt for the first solution (round 0).
      problem: problem text for the debug-and-refine template.
      entry: name of the function.
      visible: assertions that the problem shows, such as "assert f(3) == 4".
    """

    id: str
    prompt: str
    problem: str
    entry: str
    visible: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Failure:
    """The first visible test that a solution fails.

    Attributes:
      test: the assertion.
      outcome: outcome of its call, in words.
      trace: run of that call; None if it left none (a syntax error, a time limit).
    """

    test: str
    outcome: str
    trace: Trace | None

    def describe(self, code: str) -> str:
        """Returns the "Failed Test" block: test, outcome, and program with its run inlined."""
        block = "" if self.trace is None else failed_test(self.test, self.trace, self.outcome)
        return block if 0 < len(block) <= MAX_FEEDBACK else f"{self.test}\n# {self.outcome}"


@dataclasses.dataclass(frozen=True)
class Turn:
    """State of one task after one round.

    Attributes:
      round: 0 for the first solution.
      code: current solution; None if no answer contained one yet.
      prompt, text, finish_reason: question and answer *of this round*; empty if it asked nothing,
        because the solution passes or the problem shows no test.
      failure: visible test shown to the model in this round.
    """

    task: RefineTask
    sample: int
    round: int
    code: str | None
    prompt: str = ""
    text: str = ""
    finish_reason: str = ""
    failure: Failure | None = None


# Generates texts: (turn, prompt) -> (text, finish reason) in the same order.
Ask = Callable[[Sequence[tuple[Turn, str]]], Sequence[tuple[str, str]]]
# Extracts the first solution: (task id, text, finish reason) -> program or None.
Extract = Callable[[str, str, str], str | None]


def refine(
    tasks: Sequence[RefineTask],
    ask: Ask,
    extract: Extract,
    sandbox: Sandbox,
    *,
    rounds: int = MAX_ROUNDS,
    samples: int = 1,
) -> Iterator[list[Turn]]:
    """Yields the turns of each round, from round 0; every list has every task and sample.

    Asks a task again while a visible test fails. An answer without a program leaves the previous
    solution in place. Raises ValueError for rounds outside 0 to 5.
    """
    if not 0 <= rounds <= MAX_ROUNDS:
        raise ValueError(f"rounds={rounds}, expected 0 to {MAX_ROUNDS}")

    def prompt(turn: Turn) -> str:
        assert turn.code is not None and turn.failure is not None
        return refine_prompt(turn.task.problem, turn.code, turn.failure.describe(turn.code))

    def repaired(turn: Turn, text: str, reason: str) -> str | None:
        return extract_refined_code(text, finished=reason != "length")

    return _rounds(tasks, ask, extract, sandbox, rounds, samples, prompt, repaired)


def resample(
    tasks: Sequence[RefineTask],
    ask: Ask,
    extract: Extract,
    sandbox: Sandbox,
    *,
    rounds: int,
    samples: int = 1,
) -> Iterator[list[Turn]]:
    """Yields turns as `refine` does, but asks for a new solution, without program or run.

    This is what refinement must beat: the same visible tests select, the prompt stays the first.
    """

    def prompt(turn: Turn) -> str:
        return turn.task.prompt

    def solution(turn: Turn, text: str, reason: str) -> str | None:
        return extract(turn.task.id, text, reason)

    return _rounds(tasks, ask, extract, sandbox, rounds, samples, prompt, solution)


def _rounds(
    tasks: Sequence[RefineTask],
    ask: Ask,
    extract: Extract,
    sandbox: Sandbox,
    rounds: int,
    samples: int,
    prompt_again: Callable[[Turn], str],
    read_again: Callable[[Turn, str, str], str | None],
) -> Iterator[list[Turn]]:
    turns = [Turn(task, sample, 0, None) for task in tasks for sample in range(samples)]
    replies = ask([(turn, turn.task.prompt) for turn in turns])
    turns = [
        _answered(turn, turn.task.prompt, reply, extract(turn.task.id, *reply))
        for turn, reply in zip(turns, replies, strict=True)
    ]
    yield turns
    for number in range(1, rounds + 1):
        failures = first_failures([(turn.task, turn.code) for turn in turns], sandbox)
        turns = [
            Turn(turn.task, turn.sample, number, turn.code, failure=failure)
            for turn, failure in zip(turns, failures, strict=True)
        ]
        again = [i for i, turn in enumerate(turns) if turn.failure is not None]
        prompts = [prompt_again(turns[i]) for i in again]
        replies = ask([(turns[i], prompt) for i, prompt in zip(again, prompts, strict=True)])
        for i, prompt, reply in zip(again, prompts, replies, strict=True):
            turns[i] = _answered(turns[i], prompt, reply, read_again(turns[i], *reply))
        yield turns


def _answered(turn: Turn, prompt: str, reply: tuple[str, str], code: str | None) -> Turn:
    text, reason = reply
    return dataclasses.replace(
        turn, code=code or turn.code, prompt=prompt, text=text, finish_reason=reason
    )


def extract_refined_code(text: str, *, finished: bool) -> str | None:
    """Extracts the program of the last [Refined] block without its fence, or returns None.

    A `finished` text may lack the closing tag, which is a stop string.
    """
    _, opened, block = text.rpartition("[Refined]")
    block, closed, _ = block.partition(STOP)
    if not opened or not (closed or finished):
        return None
    fenced = re.search(r"^```(?:python|py)?[ \t]*\n(.*?)(?:^```|\Z)", block, re.S | re.M)
    code = (fenced[1] if fenced else block).strip("\n").rstrip()
    return code + "\n" if code.strip() else None


# ==== Visible tests


def first_failures(
    solutions: Sequence[tuple[RefineTask, str | None]], sandbox: Sandbox
) -> list[Failure | None]:
    """Finds the first visible test that each solution fails.

    None: the solution passes all tests, the problem shows none, or there is no solution. A
    program with syntax errors fails its first test.
    """
    failures: list[Failure | None] = [None] * len(solutions)
    tests = [
        (i, test, code)
        for i, (task, code) in enumerate(solutions)
        if code is not None
        for test in task.visible
    ]
    results = sandbox.map(_job(code, test, solutions[i][0].entry) for i, test, code in tests)
    for (i, test, _), result in zip(tests, results, strict=True):
        if failures[i] is None and not _passes(test, result):
            failures[i] = Failure(test, _describe_outcome(test, result), result.trace)
    return failures


def _job(code: str, test: str, entry: str):
    call, expected = split_assertion(test)
    if expected is None:  # judged by truth only; tests of MBPP may use math without importing it
        program = f"{code.rstrip()}\nimport math\n" if "math." in call else code
        return expression_job(program, f"bool({call})", trace=_TRACE)
    return call_job(code, call, trace=_TRACE)


def _passes(test: str, result: Result) -> bool:
    _, expected = split_assertion(test)
    return is_equal(result, True if expected is None else ast.literal_eval(expected))


def _describe_outcome(test: str, result: Result) -> str:
    call, expected = split_assertion(test)
    outcome = result.outcome
    if isinstance(outcome, Raised):
        where = f" in line {outcome.line}" if outcome.line else ""
        return _one_line(f"{call} raises {outcome}{where}")
    if isinstance(outcome, Limit):
        what = {"cpu": "does not end in time", "wall": "does not end in time"}
        return _one_line(f"{call} {what.get(outcome.kind, 'takes too much ' + outcome.kind)}")
    if isinstance(outcome, BadInput):
        return _one_line(outcome.message)
    if isinstance(outcome, Died):
        return _one_line(f"{call} ends the process")
    if expected is None:
        return _one_line(f"{call} is false")
    found = result.trace.result if result.trace is not None else None
    return _one_line(f"{call} returns {found}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]


def split_assertion(test: str) -> tuple[str, str | None]:
    """Splits "assert f(3) == 4" with literal arguments and result into ("f(3)", "4").

    Returns (expression, None) for any other assertion. Raises ValueError if `test` is no assertion.
    """
    try:
        (statement,) = ast.parse(test).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"no assertion: {test!r}") from None
    if not isinstance(statement, ast.Assert):
        raise ValueError(f"no assertion: {test!r}")
    match statement.test:
        case ast.Compare(
            left=ast.Call(func=ast.Name()) as call, ops=[ast.Eq()], comparators=[expected]
        ):
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            if all(_is_literal(node) for node in (*arguments, expected)):
                return ast.unparse(call), ast.unparse(expected)
    return ast.unparse(statement.test), None


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


# ---- extracted from a problem --------------------------------------------------------------------

_EXAMPLE = re.compile(r"(?:==>|=>|->|➞|→|==|=|\breturns?\b|\bshould return\b)\s*(.+?)\s*$")


def docstring_tests(prompt: str, entry: str) -> tuple[str, ...]:
    """Converts the examples in the docstring of `entry` in a HumanEval prompt to assertions.

    Reads doctests, and lines that begin with a call and state its value ("f(3) ➞ 4",
    "f(3) == 4", "f(3) returns 4"). Skips examples whose arguments or result are not literals.
    """
    text = _docstring(prompt, entry)
    found = dict.fromkeys(_doctests(text, entry))
    for line in text.splitlines():
        line = line.strip().lstrip("-*•> ").removeprefix("assert ").removeprefix("For example:")
        if line.strip().startswith(f"{entry}("):
            found |= dict.fromkeys(_parse_example(line.strip(), entry))
    return tuple(found)


def _docstring(prompt: str, entry: str) -> str:
    try:
        tree = ast.parse(prompt)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            return ast.get_docstring(node) or ""
    return ""


def _doctests(text: str, entry: str) -> Iterator[str]:
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:  # malformed doctests are prose
        return
    for example in examples:
        test = f"assert {example.source.strip()} == {example.want.strip()}"
        if f"{entry}(" in test and _expression(example.want) and _is_assertion(test):
            yield ast.unparse(ast.parse(test))


def _parse_example(line: str, entry: str) -> Iterator[str]:
    """Parses a line that begins with a call; the call ends where its brackets close."""
    for end in [bracket.end() for bracket in re.finditer(r"\)", line)]:
        if isinstance(_expression(line[:end]), ast.Call):
            if match := _EXAMPLE.match(line[end:].lstrip(" #:,")):
                value = match[1].split(" # ")[0].strip()
                value = {"true": "True", "false": "False"}.get(value.rstrip(".").lower(), value)
                for text in (value, value.rstrip(".,;")):
                    if made := list(_assertion(line[:end], text, entry)):
                        yield from made
                        break
            return


def _assertion(call: str, value: str, entry: str) -> Iterator[str]:
    asked, expected = _expression(call), _expression(value)
    match asked:
        case ast.Call(func=ast.Name(id=name)) if name == entry and expected is not None:
            test = f"assert {ast.unparse(asked)} == {ast.unparse(expected)}"
            if split_assertion(test)[1] is not None:
                yield test


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def prompt_assertions(prompt: str) -> tuple[str, ...]:
    """Returns the assertions in an MBPP prompt of EvalPlus."""
    lines = prompt.strip().removeprefix('"""').removesuffix('"""').splitlines()
    return tuple(line.strip() for line in lines if _is_assertion(line.strip()))


def _is_assertion(line: str) -> bool:
    try:
        split_assertion(line)
    except ValueError:
        return False
    return True


# ---- tasks from EvalPlus' rows -------------------------------------------------------------------


def humaneval_task(row: Mapping[str, Any]) -> RefineTask:
    """Builds the task of a HumanEval row; reads only task_id, prompt and entry_point."""
    prompt, entry = row["prompt"], row["entry_point"]
    visible = docstring_tests(prompt, entry)
    return RefineTask(row["task_id"], humaneval_prompt(prompt), prompt.strip(), entry, visible)


def mbpp_task(row: Mapping[str, Any]) -> RefineTask:
    """Builds the task of an EvalPlus MBPP row; reads only task_id, prompt and entry_point.

    Raises PromptError if the prompt does not have EvalPlus' format.
    """
    prompt, entry = row["prompt"], row["entry_point"]
    problem = prompt.strip().removeprefix('"""').removesuffix('"""').strip()
    visible = prompt_assertions(prompt)
    return RefineTask(row["task_id"], mbpp_prompt(prompt), problem, entry, visible)
