"""Writers of the page's texts: a model, or the narrator where no model is loaded.

A writer yields portions of a text. The narrator writes what is proven on the run, so it shows the
page without a model; its repairs are found by trying small changes.
"""

import ast
import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from data_pipeline.execution.oracles import is_equal
from data_pipeline.execution.service import Sandbox, call_job, expression_job
from data_pipeline.faults.diagnosis import DiagnosisError, diagnose
from data_pipeline.faults.operators import shuffle_mutants
from data_pipeline.monologue.backward import backward_monologue
from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.monologue.inline import NarrationError
from data_pipeline.monologue.speech import RefutedClaim
from data_pipeline.pyx.prompts import (
    backward_prompt,
    code_field,
    forward_prompt,
    refine_prompt,
    training_prompt,
)
from data_pipeline.pyx.records import make_record
from data_pipeline.source.calls import parse_call
from data_pipeline.tracing import Trace
from semcoder_jax.demo.requests import CodeRequest, DemoError, RepairRequest, read_tests
from semcoder_jax.demo.runs import TRACE, trace_call
from semcoder_jax.evaluation.refine import (
    STOP,
    Failure,
    RefineTask,
    first_failures,
    split_assertion,
)

if TYPE_CHECKING:
    from semcoder_jax.server.engine_thread import EngineThread

FENCE = "```python"
MAX_CHANGES = 300  # small changes that the narrator tries as a repair
MAX_NEW_TOKENS = 1500
_PORTION = 24  # characters that the narrator shows at once
_PAUSE = 0.012  # seconds between them: people see words come


@dataclasses.dataclass(frozen=True)
class Portion:
    """New text; `cut` in the last portion of a text that reached its greatest length."""

    text: str
    cut: bool = False


class Author(Protocol):
    """Writes texts.

    Attributes:
      name: who writes, for the page's heading.
      note: what readers must know of its texts.
      writes_code: whether `code` works.
      witness_is_known: whether a backward monologue ends in the very call that was asked about.
    """

    name: str
    note: str
    writes_code: bool
    witness_is_known: bool

    def monologue(self, trace: Trace, direction: str) -> AsyncIterator[Portion]:
        """Tells the run in `trace`, or deduces an input from its result."""

    def code(self, request: CodeRequest) -> AsyncIterator[Portion]:
        """Continues an opened Python fence."""

    def repair(self, request: RepairRequest, failure: Failure) -> AsyncIterator[Portion]:
        """Explains the failed test and repairs the program, between [Refined] and [/Refined]."""


# ==== The narrator


class Narrator:
    """Writes true texts from real runs; needs no model."""

    name = "the narrator, no model"
    note = (
        "No model is loaded: the words are the narrator's own, written from the real run and "
        "therefore true. Change a word and check it to see the verifier disagree."
    )
    writes_code = False
    witness_is_known = True

    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox

    async def monologue(self, trace: Trace, direction: str) -> AsyncIterator[Portion]:
        try:
            text = await asyncio.to_thread(_narrate, trace, direction)
        except (NarrationError, RefutedClaim) as error:
            raise DemoError(f"the narrator cannot tell this run: {error}") from None
        async for portion in _slowly(text):
            yield portion

    async def code(self, request: CodeRequest) -> AsyncIterator[Portion]:
        raise DemoError("only a model writes code: semcoder demo --checkpoint=DIR")
        yield  # makes this a generator

    async def repair(self, request: RepairRequest, failure: Failure) -> AsyncIterator[Portion]:
        text = await asyncio.to_thread(find_repair, request, failure, self._sandbox)
        async for portion in _slowly(text):
            yield portion


def _narrate(trace: Trace, direction: str) -> str:
    if direction == "backward":
        return backward_monologue(trace, trace.call)
    return forward_monologue(trace)


async def _slowly(text: str) -> AsyncIterator[Portion]:
    for start in range(0, len(text), _PORTION):
        yield Portion(text[start : start + _PORTION])
        await asyncio.sleep(_PAUSE)


def find_repair(request: RepairRequest, failure: Failure, sandbox: Sandbox) -> str:
    """Returns a diagnosis and a repair: the first small change that passes all tests.

    Raises DemoError if none does.
    """
    task = RefineTask("", "", "", "", read_tests(request.tests))
    changes = list(_changes(request.program))
    for patch in _passing(changes, failure.test, sandbox):
        if first_failures([(task, patch)], sandbox) == [None]:
            return f"{_explain(patch, failure, sandbox)}\n\n[Refined]\n{FENCE}\n{patch}```\n{STOP}"
    raise DemoError(
        f"no model is loaded, and none of {len(changes)} small changes passes all tests"
    )


def _passing(programs: Sequence[str], test: str, sandbox: Sandbox) -> Iterator[str]:
    """Yields the programs that pass a test, those that do not end found by their steps."""
    call, expected = split_assertion(test)
    value = True if expected is None else ast.literal_eval(expected)
    jobs = (
        expression_job(program, f"bool({call})", trace=TRACE)
        if expected is None
        else call_job(program, call, trace=TRACE)
        for program in programs
    )
    for program, result in zip(programs, sandbox.map(jobs), strict=True):
        if result.kind == "value" and is_equal(result, value):
            yield program


def _changes(program: str) -> Iterator[str]:
    """Yields the program with one small change each."""
    try:
        mutants = shuffle_mutants(program, random.Random(0))
        for mutant, _ in zip(mutants, range(MAX_CHANGES), strict=False):
            yield mutant.text
    except (SyntaxError, ValueError, RecursionError) as error:
        raise DemoError(f"the program is not Python: {error}") from None


def _explain(patch: str, failure: Failure, sandbox: Sandbox) -> str:
    """Returns the proven diagnosis, or one sentence if the runs cannot be compared in words."""
    if failure.trace is not None:
        with contextlib.suppress(DiagnosisError, RefutedClaim, DemoError):
            buggy = failure.trace
            right = trace_call(sandbox, patch, buggy.call)
            if right.stopped is None and right.trace.result is not None:
                return diagnose(right.trace, buggy, right.trace.result, "0").text
    return "One small change passes all tests; these two runs could not be compared in words."


# ==== A model


class ModelAuthor:
    """Asks a model with the release's prompts, greedily."""

    writes_code = True
    witness_is_known = False

    def __init__(self, thread: "EngineThread", name: str, note: str = ""):
        self.thread = thread
        self.name = name
        self.note = note

    def monologue(self, trace: Trace, direction: str) -> AsyncIterator[Portion]:
        if direction == "backward":
            function = parse_call(trace.call).name
            prompt = backward_prompt(trace.program, trace.result or "", function=function)
        else:
            prompt = forward_prompt(trace.program, trace.call)
        return self._sample(prompt, "[/ANSWER]")

    def code(self, request: CodeRequest) -> AsyncIterator[Portion]:
        question = code_field(request.task, "\n".join(read_tests(request.tests)))
        record = make_record("demo", "nl", question, "-")
        return self._sample(training_prompt(record) + FENCE, "\n```")

    def repair(self, request: RepairRequest, failure: Failure) -> AsyncIterator[Portion]:
        problem = request.task.strip() or f"Write a function that satisfies:\n{request.tests}"
        described = failure.describe(request.program)
        return self._sample(refine_prompt(problem, request.program.rstrip(), described), STOP)

    async def _sample(self, prompt: str, stop: str) -> AsyncIterator[Portion]:
        from semcoder_jax.inference.params import SamplingError, SamplingParams
        from semcoder_jax.inference.request import Request
        from semcoder_jax.server.engine_thread import EngineStoppedError, QueueFullError

        params = SamplingParams(max_new_tokens=MAX_NEW_TOKENS, stop=(stop,))
        updates = self.thread.updates([Request(prompt, params, streaming=True)])
        try:
            async with contextlib.aclosing(updates) as news:
                async for _, update in news:
                    ended = update.generation
                    yield Portion(update.text, ended is not None and ended.finish_reason != "stop")
        except (SamplingError, QueueFullError, EngineStoppedError) as error:
            raise DemoError(f"the model: {error}") from None
