"""Iterative self-refinement: the model reads the run of its own wrong solution, explains, repairs.

Round 0 is the plain solution. In each later round a solution that fails one of the tests *that the
problem shows* goes back to the model with that test, what came of it, and the run written into the
program (`inlined`); the repaired program takes its place. After each round every solution is
judged by whoever holds the hidden tests, of which this file knows nothing: a `RefineTask` has
neither them nor a reference solution, so no prompt can hold them.

Upstream (SemCoder, self-refine) prompts with the reference solution as "Buggy Solution" and feeds
hidden tests back; neither happens here. Format of the prompt: its debug-and-refine template.
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
    """What the model may know of a problem.

    Attributes:
      id: of the task.
      prompt: asks for the first solution (round 0).
      problem: the problem as the debug-and-refine template shows it.
      entry: name of the function.
      visible: assertions that the problem itself shows, such as "assert f(3) == 4".
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
      came: what its call came to, in words.
      trace: the run of that call; None where there was none (a syntax error, a time limit).
    """

    test: str
    came: str
    trace: Trace | None

    def shown(self, code: str) -> str:
        """The "Failed Test" block: the test, what came of it, the program with its run inlined."""
        told = "" if self.trace is None else failed_test(self.test, self.trace, self.came)
        return told if 0 < len(told) <= MAX_FEEDBACK else f"{self.test}\n# {self.came}"


@dataclasses.dataclass(frozen=True)
class Turn:
    """One task after one round.

    Attributes:
      round: 0 for the first solution.
      code: the solution that stands; None where no answer held one yet.
      prompt, text, finish_reason: what was asked and said *in this round*; empty where nothing
        was asked, since the solution had passed or no visible test could tell.
      failure: the visible test that was fed back in this round.
    """

    task: RefineTask
    sample: int
    round: int
    code: str | None
    prompt: str = ""
    text: str = ""
    finish_reason: str = ""
    failure: Failure | None = None


# Asks prompts: (turn to be made, prompt) -> (text, finish reason) in the same order.
Ask = Callable[[Sequence[tuple[Turn, str]]], Sequence[tuple[str, str]]]
# Reads the first solution out of a generation: (task id, text, finish reason) -> program or None.
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
    """Yield the turns of round 0, then of each round; every list has every task and sample.

    A task is asked again while a visible test fails. An answer without a repaired program leaves
    the former solution standing. Raises ValueError for rounds outside 0 to 5.
    """
    if not 0 <= rounds <= MAX_ROUNDS:
        raise ValueError(f"rounds={rounds}, expected 0 to {MAX_ROUNDS}")
    turns = [Turn(task, sample, 0, None) for task in tasks for sample in range(samples)]
    told = ask([(turn, turn.task.prompt) for turn in turns])
    turns = [
        dataclasses.replace(
            turn,
            code=extract(turn.task.id, text, reason),
            prompt=turn.task.prompt,
            text=text,
            finish_reason=reason,
        )
        for turn, (text, reason) in zip(turns, told, strict=True)
    ]
    yield turns
    for number in range(1, rounds + 1):
        failures = first_failures([(turn.task, turn.code) for turn in turns], sandbox)
        turns = [
            Turn(turn.task, turn.sample, number, turn.code, failure=failure)
            for turn, failure in zip(turns, failures, strict=True)
        ]
        again = [i for i, turn in enumerate(turns) if turn.failure is not None]
        prompts = [
            refine_prompt(
                turns[i].task.problem, turns[i].code, turns[i].failure.shown(turns[i].code)
            )
            for i in again
        ]
        told = ask([(turns[i], prompt) for i, prompt in zip(again, prompts, strict=True)])
        for i, prompt, (text, reason) in zip(again, prompts, told, strict=True):
            repaired = refined_code(text, finished=reason != "length")
            turns[i] = dataclasses.replace(
                turns[i],
                code=repaired or turns[i].code,
                prompt=prompt,
                text=text,
                finish_reason=reason,
            )
        yield turns


def refined_code(text: str, *, finished: bool) -> str | None:
    """The program in the last [Refined] block, its fence taken off; None where there is none.

    The closing tag ends a generation and is then not in it: a `finished` one may lack it.
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
    """The first visible test that each solution fails; None where it passes all, shows none, or
    there is no solution to be refined. A program with syntax errors fails its first test."""
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
            failures[i] = Failure(test, _came(test, result), result.trace)
    return failures


def _job(code: str, test: str, entry: str):
    call, expected = split_assertion(test)
    if expected is None:  # only its truth counts; MBPP's may name math without importing it
        program = f"{code.rstrip()}\nimport math\n" if "math." in call else code
        return expression_job(program, f"bool({call})", trace=_TRACE)
    return call_job(code, call, trace=_TRACE)


def _passes(test: str, result: Result) -> bool:
    _, expected = split_assertion(test)
    return is_equal(result, True if expected is None else ast.literal_eval(expected))


def _came(test: str, result: Result) -> str:
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
    """("f(3)", "4") of "assert f(3) == 4" with literal arguments and result; of any other
    assertion (its expression, None). Raises ValueError where it is no assertion."""
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


# ---- reading them out of a problem ---------------------------------------------------------------

_EXAMPLE = re.compile(r"(?:==>|=>|->|➞|→|==|=|\breturns?\b|\bshould return\b)\s*(.+?)\s*$")


def docstring_tests(prompt: str, entry: str) -> tuple[str, ...]:
    """The examples in the docstring of `entry` in HumanEval's `prompt`, as assertions.

    Doctests, and lines that open with a call and tell its value ("f(3) ➞ 4", "f(3) == 4",
    "f(3) returns 4"). Only calls of literals with a literal result; anything else is left out.
    """
    text = _docstring(prompt, entry)
    found = dict.fromkeys(_doctests(text, entry))
    for line in text.splitlines():
        line = line.strip().lstrip("-*•> ").removeprefix("assert ").removeprefix("For example:")
        if line.strip().startswith(f"{entry}("):
            found |= dict.fromkeys(_told_example(line.strip(), entry))
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


def _told_example(line: str, entry: str) -> Iterator[str]:
    """`line` opens with a call: its end is where the brackets close."""
    for end in [match.end() for match in re.finditer(r"\)", line)]:
        if isinstance(_expression(line[:end]), ast.Call):
            if told := _EXAMPLE.match(line[end:].lstrip(" #:,")):
                value = told[1].split(" # ")[0].strip()
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
    """The assertions that EvalPlus' MBPP `prompt` shows."""
    lines = prompt.strip().removeprefix('"""').removesuffix('"""').splitlines()
    return tuple(line.strip() for line in lines if _is_assertion(line.strip()))


def _is_assertion(line: str) -> bool:
    try:
        split_assertion(line)
    except ValueError:
        return False
    return True


# ---- tasks out of EvalPlus' rows -----------------------------------------------------------------


def humaneval_task(row: Mapping[str, Any]) -> RefineTask:
    """Of a HumanEval or HumanEval+ row; reads task_id, prompt and entry_point, nothing else."""
    prompt, entry = row["prompt"], row["entry_point"]
    visible = docstring_tests(prompt, entry)
    return RefineTask(row["task_id"], humaneval_prompt(prompt), prompt.strip(), entry, visible)


def mbpp_task(row: Mapping[str, Any]) -> RefineTask:
    """Of an EvalPlus MBPP row; reads task_id, prompt and entry_point, nothing else.

    Raises PromptError where the prompt is not in EvalPlus' form.
    """
    prompt, entry = row["prompt"], row["entry_point"]
    problem = prompt.strip().removeprefix('"""').removesuffix('"""').strip()
    visible = prompt_assertions(prompt)
    return RefineTask(row["task_id"], mbpp_prompt(prompt), problem, entry, visible)
