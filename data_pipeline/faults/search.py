"""Runs buggy variants of a seed on its visible tests and makes records of those that fail."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from random import Random

from data_pipeline.execution.job import CallJob
from data_pipeline.execution.oracles import is_equal
from data_pipeline.execution.outcomes import Limit, Outcome, Raised, Result, Value
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.faults.diagnosis import DiagnosisError, diagnose
from data_pipeline.faults.fault import Fault, Faults
from data_pipeline.faults.feedback import failed_test
from data_pipeline.faults.mutant import Mutant
from data_pipeline.faults.operators import shuffle_mutants
from data_pipeline.faults.plausible import is_obvious, mistakes_type, types_of
from data_pipeline.faults.repair import changed_lines
from data_pipeline.monologue.speech import RefutedClaim
from data_pipeline.seeds import Seed
from data_pipeline.source.calls import parse_value
from data_pipeline.source.literals import LiteralError
from data_pipeline.source.set_order import SET_TWINS, may_depend_on_set_order
from data_pipeline.testcases import Case
from data_pipeline.tracing import Trace

RUN_LIMITS = TraceLimits(max_lines=2_000, max_bytes=4 << 20, ends_run=True, tells_ended=True)
"""Limits of a variant's run: infinite loops cost milliseconds and fail by steps, not by time."""

MAX_TESTS = 6  # tests of a seed to run on each variant
VARIANTS_PER_FAULT = 8  # variants tried for each fault wanted
MAX_CHARACTERS = 5_000
"""Maximum characters of prompt and response; 99 % of such records also fit into 2,048 DeepSeekCoder
tokens (measured on variants of MBPP's solutions)."""

_CUE = 8  # characters from which a line of the repair counts as a leak


def faults(
    seed: Seed,
    cases: Sequence[Case],
    sandbox: Sandbox,
    *,
    random_seed: int = 0,
    limit: int = 4,
    max_characters: int = MAX_CHARACTERS,
) -> Faults:
    """Returns at most `limit` faults of a seed by mutation; the same `random_seed` gives the same.

    cases: the right program's runs; their calls and outputs are the visible tests. At most half of
    the faults end in an exception.
    """
    random = Random(f"{random_seed}:{seed.id}")
    try:
        made = shuffle_mutants(seed.code, random)
    except SyntaxError:
        return Faults((), Counter({"the program does not parse": 1}))
    types = types_of(cases)
    fitting = (one for one in made if not mistakes_type(seed.code, one, types))
    variants = islice(fitting, VARIANTS_PER_FAULT * limit)
    return faults_of(
        seed, cases, variants, sandbox, random=random, limit=limit, max_characters=max_characters
    )


def faults_of(
    seed: Seed,
    cases: Sequence[Case],
    variants: Iterable[Mutant],
    sandbox: Sandbox,
    *,
    random: Random,
    limit: int,
    max_characters: int = MAX_CHARACTERS,
) -> Faults:
    """Returns the variants that fail a visible test, with their diagnoses."""
    refused: Counter[str] = Counter()
    tests = _visible_tests(seed, cases, refused)
    kept: list[Fault] = []
    crashes = 0
    if not tests:
        refused["no test to fail"] += sum(1 for _ in variants)
        return Faults((), refused)
    for variant in variants:
        if len(kept) == limit:
            break
        results = sandbox.run_calls(variant.text, [case.call for case in tests], RUN_LIMITS)
        runs = list(zip(tests, results, strict=True))
        found = _try_variant(seed, tests, variant, runs, sandbox, random, max_characters)
        if isinstance(found, str):
            refused[found] += 1
        elif found[1] and crashes >= (limit + 1) // 2:
            refused["enough faults that end in an exception"] += 1
        else:
            kept.append(found[0])
            crashes += found[1]
    return Faults(tuple(kept), refused)


def _visible_tests(seed: Seed, cases: Sequence[Case], refused: Counter[str]) -> list[Case]:
    """Returns the tests, short runs first.

    The right program passes each by `==`, and its run is fully traced.
    """
    tests = []
    for case in cases:
        trace = case.trace
        try:
            value = parse_value(case.output)
            passes = bool(value == value)  # false for NaN
        except LiteralError:
            passes = False
        if trace.truncated or trace.clipped or trace.program != seed.code or not passes:
            refused["a test whose run is not told in full"] += 1
        else:
            tests.append(case)
    return sorted(tests, key=lambda case: len(case.trace.events))[:MAX_TESTS]


Run = tuple[Case, Result]


def _try_variant(
    seed: Seed,
    tests: Sequence[Case],
    variant: Mutant,
    runs: Sequence[Run],
    sandbox: Sandbox,
    random: Random,
    max_characters: int,
) -> tuple[Fault, bool] | str:
    """Returns (the fault, whether its run ends in an exception), or the reason for none."""
    failed = [run for run in runs if not _passes(*run)]
    if not failed:
        return "passes every visible test"
    told = [
        run
        for run in failed
        if run[1].trace is not None and _is_machine_independent(run[1].outcome)
    ]
    if not told:
        outcome = failed[0][1].outcome
        kind = outcome.kind if isinstance(outcome, Limit) else failed[0][1].kind
        return f"its run cannot be traced: {kind}"
    # Prefer short runs that end: they make the best lessons.
    told.sort(key=lambda run: (isinstance(run[1].outcome, Limit), len(run[1].trace.events)))  # type: ignore[union-attr]
    reason = ""
    outcomes = [result.outcome for _, result in runs]
    told = [run for run in told if not is_obvious(variant, run[1].outcome, outcomes)]
    if not told:
        return "an error that its first run shows"
    for case, result in told[:3]:
        assert result.trace is not None
        found = _build_fault(seed, tests, variant, case, result.trace, random, max_characters)
        if isinstance(found, str):
            reason = reason or found
            continue
        job = call_job(variant.text, case.call, trace=RUN_LIMITS)
        if not _is_reproducible(job, result.trace, sandbox):
            return "its runs differ"
        return found, isinstance(result.outcome, Raised)
    return reason


def _is_machine_independent(outcome: Outcome) -> bool:
    """Returns whether the run ended by itself or by steps; other limits depend on the machine."""
    return not isinstance(outcome, Limit) or outcome.kind == "steps"


def _is_reproducible(job: CallJob, trace: Trace, sandbox: Sandbox) -> bool:
    """Returns whether the run repeats in other processes, under other addresses and hash seeds.

    Tries many hash seeds if an order may depend on them.
    """
    again = sandbox.twin(0).run(replace(job, twice=True))
    if again.deterministic is False or again.trace != trace:
        return False
    ordered = any(map(may_depend_on_set_order, (job.program, job.call)))
    more = SET_TWINS if ordered else 0
    return all(sandbox.twin(number).run(job).trace == trace for number in range(1, more + 1))


def _passes(case: Case, result: Result) -> bool:
    return isinstance(result.outcome, Value) and is_equal(result, parse_value(case.output))


def _build_fault(
    seed: Seed,
    tests: Sequence[Case],
    variant: Mutant,
    case: Case,
    trace: Trace,
    random: Random,
    max_characters: int,
) -> Fault | str:
    """Returns the fault as a record, or the reason why it is refused."""
    if trace.clipped:
        return "values too long to tell"
    seed_of_words = f"{random.random()}"
    try:
        diagnosis = diagnose(case.trace, trace, case.output, seed_of_words).text
    except DiagnosisError as error:
        return str(error)
    except RefutedClaim:
        return "diagnosis not confirmed"
    fault = Fault(
        seed.id, variant.operator, problem_of(seed, tests), variant.text.rstrip("\n"),
        seed.code.rstrip("\n"), case.call, case.output,
        failed_test(f"assert {case.call} == {case.output}", trace), diagnosis,
    )  # fmt: skip
    text = fault.fault + fault.response
    if "```" in fault.refined + fault.buggy or "[/Refined]" in fault.refined + fault.buggy:
        return "fences in the program"
    if len(text) > max_characters:
        return "prompt and response too long"
    if any(leaked_lines(fault)):
        return "the prompt holds a line of the repair"
    return fault


def problem_of(seed: Seed, tests: Sequence[Case]) -> str:
    """Returns the task: in words if there are any, else by visible tests; names the function."""
    words = seed.nl.strip()
    if words and re.search(rf"\b{re.escape(seed.name)}\b", words):
        return words
    if words:
        return f"{words}\n\nWrite it as the function `{_signature(seed)}`."
    asserted = "\n".join(f"assert {case.call} == {case.output}" for case in tests[:3])
    return f"Write a Python function `{_signature(seed)}` that satisfies:\n{asserted}"


def _signature(seed: Seed) -> str:
    for node in ast.parse(seed.code).body:
        if isinstance(node, ast.FunctionDef) and node.name == seed.name:
            return f"{seed.name}({ast.unparse(node.args)})"
    return seed.name


def leaked_lines(fault: Fault) -> Iterator[str]:
    """Yields lines of the right program, absent from the buggy one, that the prompt contains."""
    for number in changed_lines(fault.buggy, fault.refined):
        line = fault.refined.split("\n")[number - 1].strip()
        if len(line) >= _CUE and line not in fault.buggy and line in fault.fault:
            yield line
