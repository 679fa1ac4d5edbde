"""Makes answers whose verdict is known: references, and answers that are wrong by construction.

A benchmark whose references do not all score, or for which any of the wrong answers scores,
misjudges models (see `reference_check`).
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from data_pipeline.execution.guest.values import Malformed, decode, has_opaque
from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Sandbox, expression_job
from data_pipeline.source.literals import is_literal, parse_literal
from semcoder_jax.evaluation.benchmarks.cruxeval import CruxEval, CruxEvalProblem
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, EvalPlusTask
from semcoder_jax.evaluation.benchmarks.evalplus_oracles import NOT_NONE
from semcoder_jax.evaluation.benchmarks.heldout import Heldout
from semcoder_jax.evaluation.benchmarks.livecodebench import LiveCodeBench, LiveCodeBenchProblem
from semcoder_jax.evaluation.response import Response

ANOTHER, CONSTANT, NO_CALL, EMPTY, PROMPT, EXITS, PRINTS = WRONG_KINDS = (
    "another task's answer",
    "a constant",
    "never calls it",
    "empty",
    "the prompt itself",
    "exits with 0",
    "prints a success",
)
_TRIED = 20  # other tasks, to find one whose answer is wrong for this task
_SUCCESS = "passed\\nOK\\nTrue\\n{'pass': true}"

Texts = Mapping[str, Sequence[str]]


def references(benchmark: Any, mode: str) -> list[Response]:
    """Returns the right answers that the benchmark's data holds; none for LiveCodeBench."""
    if isinstance(benchmark, EvalPlus):
        right = {task.id: task.reference for task in benchmark.tasks.values()}
    elif isinstance(benchmark, CruxEval):
        is_output = benchmark.direction == "output"
        problems = benchmark.problems.values()
        right = {one.id: one.output if is_output else one.call for one in problems}
    elif isinstance(benchmark, Heldout):
        problems = benchmark.problems.values()
        right = {one.id: f"assert {one.call} == {one.output}" for one in problems}
    else:
        return []
    is_answer = not isinstance(benchmark, Heldout)
    variant = _variant(benchmark)
    return [
        Response(id, 0, variant, mode, text, "stop", is_answer=is_answer)
        for id, text in right.items()
    ]


def wrong_answers(benchmark: Any, mode: str, sandbox: Sandbox) -> dict[str, list[Response]]:
    """Returns wrong answers by their kind, both as whole responses and as extracted answers."""
    variant = _variant(benchmark)
    found: dict[str, list[Response]] = {kind: [] for kind in WRONG_KINDS}
    for id in benchmark.task_ids:
        prompt = benchmark.prompt(id, variant, mode)
        texts = {EMPTY: ("", " \n\n"), PROMPT: (prompt,), **_texts(benchmark, id, mode, sandbox)}
        for kind, lies in texts.items():
            for lie in lies:
                for is_answer in (False, True):
                    number = len(found[kind])
                    found[kind].append(
                        Response(id, number, variant, mode, lie, "stop", is_answer=is_answer)
                    )
    return found


def _variant(benchmark: Any) -> str:
    return "direct" if "direct" in benchmark.variants else benchmark.variants[0]


def _texts(benchmark: Any, id: str, mode: str, sandbox: Sandbox) -> Texts:
    if isinstance(benchmark, EvalPlus):
        return _wrong_programs(benchmark, benchmark.tasks[id], sandbox)
    if isinstance(benchmark, LiveCodeBench):
        return _wrong_scripts(benchmark.problems[id])
    if isinstance(benchmark, CruxEval) and benchmark.direction == "input":
        return _wrong_inputs(benchmark, benchmark.problems[id], mode, sandbox)
    return _wrong_outputs(benchmark, benchmark.problems[id])


def _others(items: Mapping[str, Any], id: str) -> Iterator[Any]:
    """Yields the items that follow `id`, round the end, up to _TRIED."""
    ids = list(items)
    place = ids.index(id)
    for other in [*ids[place + 1 :], *ids[:place]][:_TRIED]:
        yield items[other]


# ==== Predicted values


def _wrong_outputs(benchmark: Any, problem: Any) -> Texts:
    """Wrong values of a call, alone and as an assertion; equal by `==` to the right one: none."""
    right = parse_literal(problem.output)
    others = (one.output for one in _others(benchmark.problems, problem.id))
    another = next((one for one in others if parse_literal(one) != right), None)
    constants = [text for text in ("'a constant'", "None", "17") if parse_literal(text) != right]
    bare = {
        ANOTHER: [] if another is None else [another],
        CONSTANT: constants,
        EXITS: ["exit(0)", "__import__('os')._exit(0)"],
        PRINTS: [f'print("""{_SUCCESS}""")'],
    }
    return {
        kind: [form for text in texts for form in (text, f"assert {problem.call} == {text}")]
        for kind, texts in bare.items()
    }


def _wrong_inputs(
    benchmark: CruxEval, problem: CruxEvalProblem, mode: str, sandbox: Sandbox
) -> Texts:
    """Wrong inputs; those that never call the function hold the wanted output."""
    name, output = problem.function, problem.output
    silent = [
        output,
        f"({name} and {output})",
        f"[{name}, {output}][1]",
        f"__builtins__.eval({output!r})",
        f"(lambda *a: {output})({name})",
    ]
    if mode == "compat":  # as the official scorer, it asks only that the call's text occurs
        silent = [lie for lie in silent if f"{name}(" not in lie]
    another = _another_input(benchmark, problem, sandbox)
    return {
        ANOTHER: [] if another is None else [another, f"assert {another} == {output}"],
        CONSTANT: ["'a constant'", "None", f"{name}", f"assert {output} == {output}"],
        NO_CALL: [form for lie in silent for form in (lie, f"assert {lie} == {output}")],
        EXITS: ["exit(0)", "__import__('os')._exit(0)", f"{name}(__import__('os')._exit(0))"],
        PRINTS: [f'print("""{_SUCCESS}""")'],
    }


def _another_input(benchmark: CruxEval, problem: CruxEvalProblem, sandbox: Sandbox) -> str | None:
    """Returns the call of another task that gives this function another value, or fails."""
    for other in _others(benchmark.problems, problem.id):
        if other.function == problem.function:
            result = sandbox.run(expression_job(problem.code, f"{other.call} == {problem.output}"))
            if result.outcome != Value(True):
                return other.call
    return None


# ==== Programs


def _wrong_programs(benchmark: EvalPlus, task: EvalPlusTask, sandbox: Sandbox) -> Texts:
    entry = task.entry
    base, plus = _values(benchmark, task, sandbox)
    another = next((one for one in _others(benchmark.tasks, task.id) if one.entry != entry), None)
    head = f"def {entry}(*a, **k):\n    "
    constants = [text for text in _constants([*base, *plus]) if _is_wrong(task, text, base)]
    silent = [f"def other(*a, **k):\n    return {text}\n" for text in constants]
    texts = {
        ANOTHER: [] if another is None else [another.reference],
        CONSTANT: [f"{head}return {text}\n" for text in constants],
        NO_CALL: [*silent, "x = 1\n", f"# {entry}\n"],
        EXITS: [
            "import os\nos._exit(0)\n",
            "raise SystemExit(0)\n",
            f"import os\n{head}os._exit(0)\n",
            f"{head}raise SystemExit(0)\n",
        ],
        PRINTS: [f'print("""{_SUCCESS}""")\n'],
    }
    if _is_wrong(task, "None", base):
        shown = constants[-1] if constants else "1"
        texts[PRINTS].append(f'{head}print("""{_SUCCESS}""", {shown})\n')
    return texts


def _values(benchmark: EvalPlus, task: EvalPlusTask, sandbox: Sandbox) -> list[list[Any]]:
    """Returns the expected values of the base and the plus tests that can be decoded."""
    return [_decode_all(part.trees) for part in benchmark.expected(task.id, sandbox.run)]


def _decode_all(trees: Iterable[Any]) -> list[Any]:
    values = []
    for tree in trees:
        if not isinstance(tree, dict) and not has_opaque(tree):
            with contextlib.suppress(Malformed, TypeError):
                values.append(decode(tree))
    return values


def _constants(values: Sequence[Any]) -> list[str]:
    """Returns source of constants, the last of which is an expected value if it has a literal."""
    first = repr(values[0])[:1000] if values else ""
    return ["'a constant'", *([first] if is_literal(first) else [])]


def _is_wrong(task: EvalPlusTask, constant: str, values: Sequence[Any]) -> bool:
    """Whether some expected value differs from the constant by any rule of comparison.

    values: those of the base tests, of which some tasks have one alone: a constant passes them
    """
    given = parse_literal(constant)
    if task.entry in NOT_NONE:
        return any((value is None or value is False) != (given is None) for value in values)
    return any(_differs(given, value) for value in values)


def _differs(one: Any, other: Any) -> bool:
    """Whether two values are unequal, numbers by more than a tolerance."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) > 1e-3 * max(1, abs(one), abs(other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) != len(other) or any(map(_differs, one, other))
    return one != other


def _wrong_scripts(problem: LiveCodeBenchProblem) -> Texts:
    outputs = [test.output.strip() for test in problem.tests]
    exits = ["import os\nos._exit(0)\n"]
    prints = [f'print("""{_SUCCESS}""")\n']
    constants = ["print('a constant')\n"]
    if problem.method:
        head = f"class Solution:\n    def {problem.method}(self, *a, **k):\n        "
        constants.append(f"{head}return 'a constant'\n")
        if len(set(outputs)) > 1:
            constants.append(f"import json\n{head}return json.loads({outputs[0]!r})\n")
        exits.append(f"{head}raise SystemExit(0)\n")
    else:
        if len(set(outputs)) > 1:
            constants.append(f"print({outputs[0]!r})\n")
        exits.append("raise SystemExit(0)\n")
    return {CONSTANT: constants, EXITS: exits, PRINTS: prints}
