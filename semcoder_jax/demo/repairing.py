"""Writes code, repairs it, and runs its tests in the sandbox.

Yields events for the page, beside those of `telling`:
  tests   outcome of each test: {when, results: [{test, passed, outcome}]}
  code    the program that was written or repaired, and how it differs from the one before
"""

import asyncio
import contextlib
import difflib
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from data_pipeline.execution.service import Sandbox
from data_pipeline.verify import verify_trace
from semcoder_jax.demo.authors import FENCE, Author
from semcoder_jax.demo.requests import (
    CodeRequest,
    DemoError,
    RepairRequest,
    TestRequest,
    read_tests,
    tested_function,
)
from semcoder_jax.demo.runs import Run, run_event
from semcoder_jax.demo.telling import Marker
from semcoder_jax.evaluation.benchmarks.solutions import extract_program
from semcoder_jax.evaluation.refine import (
    Failure,
    RefineTask,
    extract_refined_code,
    first_failures,
)

Events = AsyncIterator[dict[str, Any]]


async def run_tests(request: TestRequest, sandbox: Sandbox) -> Events:
    """Yields the outcome of the tests of the user's own program."""
    _, event = await _try_tests(request.program, read_tests(request.tests), sandbox, "after")
    yield event


async def write_code(request: CodeRequest, author: Author, sandbox: Sandbox) -> Events:
    """Yields the text of an answer, the program in it and the outcome of its tests."""
    tests = read_tests(request.tests)
    function = tested_function(tests)
    text, opening = "", FENCE
    async with contextlib.aclosing(author.code(request)) as portions:
        async for portion in portions:
            if opening or portion.text:
                yield {"event": "text", "text": opening + portion.text}
            text, opening = text + portion.text, ""
    program = extract_program(text, function)
    if program is None:
        raise DemoError("the answer holds no program")
    program = program.strip("\n") + "\n"
    yield {"event": "code", "code": program, "lines": []}
    _, event = await _try_tests(program, tests, sandbox, "after")
    yield event


async def repair(request: RepairRequest, author: Author, sandbox: Sandbox) -> Events:
    """Yields the failing test and its run, the diagnosis with its marks, the patch, its tests."""
    tests = read_tests(request.tests)
    failure, event = await _try_tests(request.program, tests, sandbox, "before")
    yield event
    if failure is None:
        raise DemoError("all tests pass: there is nothing to repair")
    if failure.trace is not None:
        yield run_event(Run(failure.trace, "", None))
    trace = failure.trace
    # Cause and repair compare this run with the one that is needed, which no run confirms.
    marker = Marker(
        lambda text: () if trace is None else verify_trace(trace, _simulation(text)),
        request.program,
    )
    async with contextlib.aclosing(marker.follow(author.repair(request, failure))) as events:
        async for event in events:
            yield event
    program = extract_refined_code(marker.text, finished=not marker.cut)
    if program is None:
        raise DemoError("the answer holds no repaired program between [Refined] and [/Refined]")
    yield {"event": "code", "code": program, "lines": diff_lines(request.program, program)}
    _, event = await _try_tests(program, tests, sandbox, "after")
    yield event


def _simulation(text: str) -> str:
    """Returns the part of an answer that tells the failing run."""
    return re.split(r"^(?:### (?:Root Cause|Repair)|\[Refined\])", text, maxsplit=1, flags=re.M)[0]


def diff_lines(before: str, after: str) -> list[list[str]]:
    """Returns the lines of both programs with " ", "-" or "+" before each."""
    lines = difflib.ndiff(before.rstrip("\n").split("\n"), after.rstrip("\n").split("\n"))
    return [[line[0], line[2:]] for line in lines if line[0] in " -+"]


async def _try_tests(
    program: str, tests: Sequence[str], sandbox: Sandbox, when: str
) -> tuple[Failure | None, dict[str, Any]]:
    """Returns the first failed test, and the event with the outcome of all."""
    alone = [(RefineTask("", "", "", "", (test,)), program) for test in tests]
    failures = await asyncio.to_thread(first_failures, alone, sandbox)
    results = [
        {"test": test, "passed": failure is None, "outcome": failure.outcome if failure else ""}
        for test, failure in zip(tests, failures, strict=True)
    ]
    first = next((failure for failure in failures if failure is not None), None)
    return first, {"event": "tests", "when": when, "results": results}
