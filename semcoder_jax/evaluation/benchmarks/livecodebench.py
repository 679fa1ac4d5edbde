"""LiveCodeBench, code generation: programs for contest problems, by date.

A row (livecodebench/code_generation_lite, JSONL): question_id, question_content,
starter_code, contest_date, metadata and two lists of tests {"input", "output", "testtype"}. The
private tests are JSON, or base64 of zlib of a pickled JSON text; their unpickler accepts only text.

Rules and prompts: LiveCodeBench, lcb_runner (MIT). In `compat`, programs run with the harness's
imports and recursion limit, those that read stdin inside a function (`official_script`); in
`fixed`, programs that read stdin run as they are. If a response is cut off before its closing
fence, `compat` finds no program, as the harness does; `fixed` reads it to the end.
Upstream (SemCoder) did not publish its prompt for this benchmark; this module puts the
instruction of LiveCodeBench into SemCoder's template.
"""

import ast
import base64
import contextlib
import dataclasses
import decimal
import io
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.execution.oracles import is_equal
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.service import Job, Limits, Sandbox, Setup, call_job, stdin_job
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record
from data_pipeline.tracing.events import Raised
from semcoder_jax.evaluation.benchmarks.contest_dates import HUB, rows_in_window
from semcoder_jax.evaluation.benchmarks.data import DataError, Home, check_new_id, field, read_rows
from semcoder_jax.evaluation.benchmarks.problem_set import ProblemSet, answer_to
from semcoder_jax.evaluation.harness import Response, list_ids
from semcoder_jax.evaluation.judging import Judging, JudgingMixin
from semcoder_jax.evaluation.results import RIGHT, WRONG, Answer, Reference

GENERATION_HOMES = tuple(
    Home(f"{HUB}/code_generation_lite/resolve/main/test{number}.jsonl")
    for number in ("", 2, 3, 4, 5, 6)
)
"""release_v1 is the first file, release_v2 the first two, and so on."""

LIMITS = Limits(cpu_seconds=6.0, wall_seconds=30.0, memory_bytes=2 << 30, output_bytes=16 << 20)
MAX_TESTS_BYTES = 1 << 30  # of one problem, decompressed
_SHOWN_CHARACTERS = 400  # characters of an input or output in a failing test
_FENCE = "```"
_WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose "
    "your code within delimiters."
)
_WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
    "test on the sample inputs). Enclose your code within delimiters as follows."
)
# Imports that the harness adds to every program.
_STARS = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins"),
    "typing",
)
IMPORTS = "".join(f"from {name} import *\n" for name in _STARS) + (
    "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics\n"
    "import itertools, functools, operator, io, sys, json\nsys.setrecursionlimit(50000)\n"
)


@dataclasses.dataclass(frozen=True)
class Test:
    """Holds stdin and stdout; if `functional`, a method's arguments and result as JSON lines."""

    __test__ = False  # pytest would collect it by its name

    input: str
    output: str
    functional: bool


@dataclasses.dataclass(frozen=True)
class LiveCodeBenchProblem:
    """Holds a problem; `method` is that of class Solution, None if programs read stdin."""

    id: str
    question: str
    starter: str
    method: str | None
    tests: tuple[Test, ...]


# ==== Programs


class LiveCodeBench(JudgingMixin, ProblemSet):
    """Asks for programs and runs their tests; see `harness.Benchmark`."""

    name = "livecodebench"
    title = "LiveCodeBench"
    variants = ("code",)
    modes = ("compat", "fixed")
    stop = (f"\n{_FENCE}",)
    references: Mapping[str, Sequence[Reference]] = {
        "LiveCodeBench": (Reference("SemCoder-S 6.7B", 0.275, "Ding et al. 2024 (Lite)"),)
    }

    def __init__(self, problems: Sequence[LiveCodeBenchProblem], *, limits: Limits = LIMITS):
        self.limits = limits
        super().__init__(problems)

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        problem = self.problems[task_id]
        instruction = _WITH_STARTER if problem.starter else _WITHOUT_STARTER
        starter = problem.starter or "# YOUR CODE HERE"
        question = (
            f"{problem.question}\n\n### Format: {instruction}\n{_FENCE}python\n{starter}\n{_FENCE}"
        )
        return training_prompt(make_record("-", "nl", question, "-")) + f"{_FENCE}python\n"

    @contextlib.contextmanager
    def judging(self, sandbox: Sandbox) -> Iterator[Judging]:
        """Judges in a sandbox of its own, which lets contest programs start threads."""
        setup = Setup(threads=True)
        with (
            Sandbox(
                tier=sandbox.tier, workers=sandbox.workers, limits=self.limits, setup=setup
            ) as own,
            Judging(self, own) as judging,
        ):
            yield judging

    def cost(self, response: Response) -> float:
        return float(len(self.problems[response.task].tests))

    def judge_one(self, response: Response, judging: Judging) -> tuple[Answer, ...]:
        problem, code = self.problems[response.task], _code(response)
        if response.text is None:
            outcome, detail = "missing", ""
        elif code is None:
            outcome, detail = "no answer", "no program in the answer"
        else:
            judging.count_imports(response, code)
            outcome, detail = judging.once(
                (response.task, response.mode, code),
                lambda: self._verdict(problem, response.mode, code, judging),
            )
        answer = answer_to(
            response,
            benchmark=self.title,
            outcome=outcome,
            answer=code,
            question=problem.question,
            expected=f"a program that passes {len(problem.tests)} tests",
            detail=detail,
            text=response.text or "",
        )
        return (answer,)

    def _verdict(
        self, problem: LiveCodeBenchProblem, mode: str, code: str, judging: Judging
    ) -> tuple[str, str]:
        """Returns (outcome, failing test); runs the tests in order until one fails."""
        for test in problem.tests:
            if not test.functional and mode == "compat" and "class Solution" in code:
                return WRONG, "the official harness takes a program with this class for a method"
            result = judging.run(_job(problem, mode, code, test))
            if failed := _failure(test, result):
                return failed
        return RIGHT, ""

    def read_generations(
        self, path: str | Path, *, variants: Sequence[str], modes: Sequence[str]
    ) -> tuple[Sequence[Response], Sequence[str]]:
        """Reads LiveCodeBench's output files: [{"question_id", "code_list" or "output_list"}]."""
        rows = read_rows(path).rows
        found: dict[str, list[str | None]] = {}
        repeated = 0
        for where, row in rows:
            texts = row.get("code_list", row.get("output_list"))
            if not isinstance(texts, list):
                raise DataError(f"{where}: field 'code_list': expected a list of programs")
            id = str(row.get("question_id"))
            repeated += id in found
            found.setdefault(id, [text if isinstance(text, str) else None for text in texts])
        if not found.keys() & self.problems.keys():
            raise DataError(
                f"{path}: none of its {len(found):,} ids is a problem of this data; expected "
                f"{list_ids(self.problems)}"
            )
        most = max([len(texts) for texts in found.values()] + [1])
        responses = []
        for mode in modes:
            for task in self.problems:
                for sample in range(most):
                    text = (found.get(task, []) + [None] * most)[sample]
                    responses.append(
                        Response(task, sample, variants[0], mode, text, is_answer=True)
                    )
        notes = []
        if repeated:
            notes.append(f"{repeated:,} ids are in the file more than once: the first counts")
        if missing := len(self.problems.keys() - found.keys()):
            notes.append(f"{missing:,} of {len(self.problems):,} problems have no generation")
        if unknown := len(found.keys() - self.problems.keys()):
            notes.append(
                f"{unknown:,} ids of the file are not among the "
                f"{len(self.problems):,} tasks scored: not used"
            )
        return responses, notes


def _code(one: Response) -> str | None:
    """Extracts the program from its fence, which the prompt or the response opened, or None."""
    if one.text is None:
        return None
    lines = one.text.split("\n")
    fences = [number for number, line in enumerate(lines) if _FENCE in line]
    cut_off = one.finish_reason == "length" and one.mode == "compat"
    before = one.text.partition(_FENCE)[0]
    if not fences:
        code = "" if cut_off else one.text
    elif before.strip() and (len(fences) == 1 or _is_python(before)):
        code = before  # the fence closes the one that the prompt opened
    elif len(fences) == 1:
        code = "" if cut_off else "\n".join(lines[fences[0] + 1 :])
    else:
        code = "\n".join(lines[fences[0] + 1 : fences[1]])
    return code if code.strip() else None


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _job(problem: LiveCodeBenchProblem, mode: str, code: str, test: Test) -> Job:
    if not test.functional:
        return stdin_job(official_script(code) if mode == "compat" else code, test.input)
    values = [repr(json.loads(line)) for line in test.input.split("\n")]
    path = f"Solution().{problem.method}" if "class Solution" in code else problem.method
    return call_job(f"{IMPORTS}\n{code}", f"{path}({', '.join(values)})")


def official_script(code: str) -> str:
    """Rewrites a program that reads stdin as the official harness does before it runs it.

    IMPORTS and the program's own top-level imports come first; the rest becomes the body of a
    function, after the body of a final `if __name__ == "__main__"` has taken its place. The module
    has another name than "__main__". The harness's replacements of `open` and `sys.stdin` are left
    out: the program reads a real stdin.
    """
    try:
        body = ast.parse(code).body
        if (
            body
            and isinstance(body[-1], ast.If)
            and ast.unparse(body[-1].test).strip() == "__name__ == '__main__'"
        ):
            body = [*body[:-1], *body[-1].body]
        imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
        function = ast.parse("def wrapped_function(): pass").body[0]
        function.body = [node for node in body if node not in imports]
        parts = (IMPORTS, ast.unparse(imports), "__name__ = 'tmp_sol'", ast.unparse(function))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    return "\n".join((*parts, "wrapped_function()", ""))


def _failure(test: Test, result: Result) -> tuple[str, str] | None:
    """Returns (outcome, text of the test and its result) if the test failed, else None."""
    outcome = result.outcome
    exited = isinstance(outcome, Raised) and outcome.type == "SystemExit" and not test.functional
    if not isinstance(outcome, Value) and not exited:
        kind = {"limit": "time limit", "bad_input": "malformed"}.get(result.kind, result.kind)
        if result.kind == "limit" and outcome.kind not in ("cpu", "wall"):
            kind = f"{outcome.kind} limit"
        told = getattr(outcome, "message", "") or getattr(outcome, "detail", "")
        return kind, f"{_format_test(test)}\ncame to: {result.kind} {told}"[: 3 * _SHOWN_CHARACTERS]
    if test.functional:
        right = _same_answer(result, json.loads(test.output))
        came = json.dumps(result.to_json().get("text", ""))
    else:
        right, came = same_lines(result.stdout, test.output), result.stdout
    return None if right else (WRONG, f"{_format_test(test)}\ngot:\n{came[:_SHOWN_CHARACTERS]}")


def _same_answer(result: Result, expected: Any) -> bool:
    if is_equal(result, expected):
        return True
    tree = result.outcome.tree
    if isinstance(tree, list) and tree[:1] == ["t"]:  # a tuple counts as a list
        return is_equal(dataclasses.replace(result, outcome=Value(["l", *tree[1:]])), expected)
    return False


def _format_test(test: Test) -> str:
    return f"input:\n{test.input[:_SHOWN_CHARACTERS]}\nexpected:\n{test.output[:_SHOWN_CHARACTERS]}"


def same_lines(output: str, expected: str) -> bool:
    """Whether all lines agree as text or as decimal numbers, ignoring outer white space."""
    one, other = output.strip().split("\n"), expected.strip().split("\n")
    return len(one) == len(other) and all(map(_same_line, one, other))


def _same_line(one: str, other: str) -> bool:
    one, other = one.strip(), other.strip()
    if one == other:
        return True
    try:
        return [decimal.Decimal(word) for word in one.split()] == [
            decimal.Decimal(word) for word in other.split()
        ]
    except (ArithmeticError, ValueError):
        return False


# ==== Files


def read_generation_problems(
    sources: Sequence[str | Path | Home],
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    limit: int | None = None,
) -> tuple[LiveCodeBenchProblem, ...]:
    """Reads the problems with contest dates from start to end, inclusive. Raises DataError."""
    problems: dict[str, LiveCodeBenchProblem] = {}
    for where, row in rows_in_window(sources, start_date, end_date):
        if len(problems) == limit:
            break
        id = field(where, row, "question_id")
        check_new_id(problems, where, id)
        problems[id] = _problem(where, row, id)
    return tuple(problems.values())


def _problem(where: str, row: Mapping[str, Any], id: str) -> LiveCodeBenchProblem:
    metadata = _json(where, "metadata", field(where, row, "metadata"), dict)
    public = _json(where, "public_test_cases", field(where, row, "public_test_cases"), list)
    packed = field(where, row, "private_test_cases")
    name = "private_test_cases"
    try:
        private = json.loads(packed)
    except ValueError:
        private = _json(where, name, _unpack_tests(where, name, packed), list)
    tests = []
    for test in [*public, *private]:
        try:
            functional = {"functional": True, "stdin": False}[test["testtype"]]
            found = Test(test["input"], test["output"], functional)
            if functional:
                for line in [*found.input.split("\n"), found.output]:
                    json.loads(line)
            elif not isinstance(found.input, str) or not isinstance(found.output, str):
                raise TypeError("input and output: expected text")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: a test is malformed ({error!r})") from error
        tests.append(found)
    method = metadata.get("func_name")
    if not tests:
        raise DataError(f"{where}: field 'public_test_cases': no tests")
    if any(test.functional for test in tests) and not str(method or "").isidentifier():
        raise DataError(f"{where}: field 'metadata': func_name: expected a name")
    question, starter = field(where, row, "question_content"), field(where, row, "starter_code")
    return LiveCodeBenchProblem(id, question, starter, method, tuple(tests))


class _TextUnpickler(pickle.Unpickler):
    """Loads no class or function, so a pickle cannot run code."""

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"it names {module}.{name}, expected text alone")

    def persistent_load(self, pid: Any):
        raise pickle.UnpicklingError("it refers to something outside, expected text alone")


def _unpack_tests(where: str, name: str, packed: str) -> str:
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(packed, validate=True), MAX_TESTS_BYTES)
        if not reader.eof:
            raise DataError(f"{where}: field {name!r}: cut off, or over {MAX_TESTS_BYTES} bytes")
        text = _TextUnpickler(io.BytesIO(content)).load()
    except DataError:
        raise
    except Exception as error:  # a broken pickle raises exceptions of many types
        raise DataError(f"{where}: field {name!r}: cannot be unpacked ({error})") from error
    if not isinstance(text, str):
        raise DataError(f"{where}: field {name!r}: expected a pickled text")
    return text


def _json(where: str, name: str, text: str, kind: type) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: field {name!r}: not JSON ({error})") from error
    if not isinstance(found, kind):
        raise DataError(f"{where}: field {name!r}: expected a JSON {kind.__name__}")
    return found


def load(config: Mapping) -> LiveCodeBench:
    """Loads the benchmark of a config with data, release, start_date, end_date and max_tasks."""
    releases = len(GENERATION_HOMES)
    if config["data"] is None and config["release"] not in range(1, releases + 1):
        raise DataError(f"config.release={config['release']}: expected 1 to {releases}")
    sources = GENERATION_HOMES[: config["release"]] if config["data"] is None else [config["data"]]
    return LiveCodeBench(
        read_generation_problems(
            sources,
            start_date=config["start_date"],
            end_date=config["end_date"],
            limit=config["max_tasks"],
        )
    )
