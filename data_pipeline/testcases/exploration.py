"""Searches for inputs: runs calls, reads their coverage and mutates the useful ones."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipeline.execution.guest.values import Malformed
from data_pipeline.execution.outcomes import Limit, Result, Value
from data_pipeline.execution.service import (
    Limits,
    Sandbox,
    TraceLimits,
    call_job,
    expression_job,
)
from data_pipeline.seeds import Seed
from data_pipeline.seeds.call_text import call_text
from data_pipeline.source.calls import Call, CallError, parse_call, parse_value
from data_pipeline.source.constructed import has_constructed
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.source.set_order import SET_TWINS, may_depend_on_set_order
from data_pipeline.testcases.case import Case, Coverage, Exploration
from data_pipeline.testcases.coverage import Reach, Universe, reach_of, universe_of
from data_pipeline.testcases.feedback import keeps_to_law, reweigh
from data_pipeline.testcases.generation import Arguments, Maker
from data_pipeline.testcases.kinds import Signature, infer_signature
from data_pipeline.testcases.value_kind import ANY
from data_pipeline.testcases.variety import has_stray_blanks, is_edge, likeness
from data_pipeline.tracing import Trace
from data_pipeline.tracing.events import Raised

# Limits per run: runs worth narrating step by step take milliseconds.
EXPLORATION_LIMITS = Limits(cpu_seconds=0.5, memory_bytes=256 << 20, output_bytes=1 << 16)
# Nobody reads longer traces, and stopping here makes infinite loops cheap.
TRACE_LIMITS = TraceLimits(max_lines=1000, max_bytes=1 << 20, ends_run=True)
MAX_OUTPUT = 400  # characters

_ROUND = 16  # runs per round
_ROUNDS = 10  # at most
_PROBE = 3  # runs in the first round
_MOST_STOPPED = 3  # runs stopped by CPU, time or memory before the search ends
_IDLE_ROUNDS = 3  # rounds without anything new before the search ends
_EDGES = 6  # runs with an edge case, at most
_EDGES_KEPT = 2  # of these, those chosen before others of the same worth
_MOST_EXAMPLES = 4  # examples chosen before generated runs of the same worth
_MOST_REPEATED = 2  # runs with one output
_MOST_REPEATED_TRUTH = 3  # runs with the output True, and with False
_ALIKE = 0.5  # likeness of arguments below which a repeated output adds something
_SPARE = 4  # extra runs to verify, to replace those that fail


@dataclass(frozen=True)
class _CandidateRun:
    """Holds a run that may be kept. rank: its number among these, in the order of runs."""

    rank: int
    arguments: Arguments
    case: Case
    reach: Reach


def cases(seed: Seed, sandbox: Sandbox, *, limit: int = 8, random_seed: int = 0) -> Exploration:
    """Returns at most `limit` runs of a seed: first those that add coverage, then diverse ones.

    Runs the seed's examples first. Then generates arguments by the kinds of its parameters and
    mutates those that reached something new, until all lines and branches are reached and there are
    enough runs to choose from, or some rounds bring nothing new. Runs the chosen calls again in
    `sandbox.twin()`, under another hash seed (ten others if sets are involved) and in another
    order, and keeps those with the same result and trace.

    The same `random_seed` gives the same cases with any number of workers: runs are limited by
    steps, not by time. Only a run that spends its CPU limit within one step of C code could differ
    on another machine. Expects a sandbox with EXPLORATION_LIMITS; the program's text is trusted as
    far as its screening goes (batches). Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit: expected at least 1; got {limit}")
    try:
        signature = infer_signature(seed.code, seed.name, seed.calls)
        never_given = frozenset(one.name for one in signature.parameters if one.takes_function)
        universe = universe_of(seed.code, seed.name, never_given)
    except (SyntaxError, KeyError, CallError, RecursionError):
        return Exploration((), Coverage(0, 0, 0, 0, 0, 0), Counter({"program unreadable": 1}))
    search = _Search(seed, sandbox, signature, universe, random_seed)
    search.run(limit)
    chosen = search.choose_runs(limit + _SPARE)
    kept = search.verify_runs(chosen)
    if len(kept) < min(limit, len(chosen)):
        kept += search.replace_runs(chosen, kept, limit)
    kept = kept[:limit]
    if kept and all(run.case.output == "None" for run in kept):
        search.refused["returns only None"] += len(kept)
        kept = []
    reached = Reach()
    for run in kept:
        reached |= run.reach
    annotated, lawful = search.count_lawful(kept)
    coverage = Coverage(
        lines=len(universe.lines),
        branches=len(universe.branches),
        lines_kept=len(reached.lines),
        branches_kept=len(reached.branches),
        lines_seen=len(search.seen.lines),
        branches_seen=len(search.seen.branches),
    )
    return Exploration(
        tuple(run.case for run in kept),
        coverage,
        search.refused,
        annotated,
        lawful,
        paths=len({run.reach.path for run in kept}),
    )


class _Search:
    def __init__(
        self,
        seed: Seed,
        sandbox: Sandbox,
        signature: Signature,
        universe: Universe,
        random_seed: int,
    ):
        self.seed = seed
        self.sandbox = sandbox
        self.signature = signature
        self.universe = universe
        self.rng = random.Random(f"{random_seed}/{seed.id}")
        self.maker = Maker(signature, self.rng)
        self.tried: set[str] = set()
        self.runs: list[_CandidateRun] = []
        self.seen = Reach()  # by any run
        self.reached = Reach()  # by runs that may be kept
        self.worth: list[Arguments] = []  # runs that reached something new
        self.refused: Counter[str] = Counter()
        self.examples = 0  # the first runs are of examples
        self.idle = 0  # rounds since anything new came

    # ---- the search

    def run(self, limit: int) -> None:
        """Runs rounds until coverage is complete, nothing new comes or too many are stopped."""
        examples = self.lawful_examples()
        self.examples = len(examples)
        # Detects a function that never ends at the cost of a few runs.
        self.try_round([*examples[:_PROBE], *self.make_candidates(_PROBE - len(examples[:_PROBE]))])
        if not self.runs and self.stopped_count() >= _PROBE:
            return
        examples = examples[_PROBE:]
        edges = list(self.maker.edges())[:_EDGES] if self.maker.is_able else []
        count = max(4, _ROUND - len(examples) - len(edges))
        self.try_round([*examples, *edges, *self.make_candidates(count)])
        for _ in range(_ROUNDS - 1):
            if self.stopped_count() > _MOST_STOPPED:
                break
            if self.is_covered() and len(self.distinct_outputs()) >= 2 * limit:
                break
            if self.idle >= _IDLE_ROUNDS:
                break
            self.idle = 0 if self.try_round(self.make_candidates(_ROUND)) else self.idle + 1

    def lawful_examples(self) -> list[Arguments]:
        """Returns the arguments of the examples that keep to the annotations."""
        if not self.maker.is_able:
            self.refused["no literal keeps to an annotation"] += 1
        found = [call for call in map(_arguments_of, self.seed.calls) if call is not None]
        lawful = [arguments for arguments in found if keeps_to_law(self.signature, arguments)]
        if len(lawful) < len(found):
            self.refused["example breaks an annotation"] += len(found) - len(lawful)
        return lawful

    def count_lawful(self, kept: Sequence[_CandidateRun]) -> tuple[int, int]:
        """Returns the number of runs of an annotated function, and of those that keep to it."""
        if all(one.law == ANY for one in self.signature.parameters):
            return 0, 0
        lawful = [run for run in kept if keeps_to_law(self.signature, run.arguments)]
        return len(kept), len(lawful)

    def stopped_count(self) -> int:
        """Returns the number of runs stopped by a CPU, wall clock or memory limit."""
        return sum(self.refused[f"limit: {kind}"] for kind in ("cpu", "wall", "memory"))

    def is_covered(self) -> bool:
        return (
            self.universe.lines <= self.reached.lines
            and self.universe.branches <= self.reached.branches
        )

    def distinct_outputs(self) -> set[str]:
        return {run.case.output for run in self.runs}

    def make_candidates(self, count: int) -> Iterator[Arguments]:
        """Yields new arguments: mutations of useful ones, and generated ones."""
        for _ in range(count if self.maker.is_able else 0):
            if self.worth and self.rng.random() < 0.6:
                newest = self.worth[-6:]
                base = self.rng.choice(newest if self.rng.random() < 0.5 else self.worth)
                yield self.maker.mutate(base, self.rng.choice(self.worth))
            else:
                yield self.maker.generate(wild=self.idle > 0 and self.rng.random() < 0.4)

    def try_round(self, candidates: Iterable[Arguments]) -> bool:
        """Runs the calls not run before; returns whether they reached anything new."""
        pending: list[tuple[Arguments, str]] = []
        for arguments in candidates:
            text = call_text(
                self.seed.name, Call((self.seed.name,), arguments.args, arguments.kwargs)
            )
            if text is not None and text not in self.tried:
                self.tried.add(text)
                pending.append((arguments, text))
        before = len(self.distinct_outputs())
        new = 0
        while pending and self.stopped_count() <= _MOST_STOPPED:
            # Use small rounds while runs are being stopped: each takes its full time limit.
            size = _ROUND if not self.stopped_count() else _PROBE
            now, pending = pending[:size], pending[size:]
            texts = [text for _, text in now]
            results = self.sandbox.run_calls(self.seed.code, texts, TRACE_LIMITS)
            for (arguments, text), result in zip(now, results, strict=True):
                new += self.record_run(arguments, text, result)
        # After coverage is complete, new outputs still count as progress.
        return new > 0 or (self.is_covered() and len(self.distinct_outputs()) > before)

    def record_run(self, arguments: Arguments, call: str, result: Result) -> int:
        """Records a run; returns a count of what it was the first to reach."""
        new = 0
        reach = None
        if result.trace is not None:
            reach = reach_of(result.trace, self.universe)
            new = reach.adds_to(self.seen)
            self.seen |= reach
        if isinstance(result.outcome, (Raised, Value)):
            raised = result.outcome if isinstance(result.outcome, Raised) else None
            reweigh(self.signature, arguments, raised)
        case, reason = _case_or_reason(call, result)
        if case is None or reach is None:
            self.refused[reason] += 1
            if new:
                self.worth.append(arguments)
            return new
        new += reach.adds_to(self.reached)
        self.reached |= reach
        self.runs.append(_CandidateRun(len(self.runs), arguments, case, reach))
        if new or len(self.worth) < 4:
            self.worth.append(arguments)
        return new

    # ---- choosing and verifying

    def replace_runs(
        self, chosen: Sequence[_CandidateRun], kept: Sequence[_CandidateRun], limit: int
    ) -> list[_CandidateRun]:
        """Returns further runs in place of those that differ under other hash seeds.

        A set of one item has one order: calls with such sets are run in place of those that lost.
        """
        known = {run.rank for run in kept}
        lost = [run.arguments for run in chosen if run.rank not in known]
        self.try_round(_with_single_sets(arguments) for arguments in lost)
        tried = {run.rank for run in chosen}
        waiting = [run for run in self.runs if run.rank not in tried]
        safe = [run for run in waiting if _has_one_order(run.arguments)]
        return self.verify_runs(self.choose_runs(limit - len(kept), safe))

    def choose_runs(
        self, count: int, among: Sequence[_CandidateRun] | None = None
    ) -> Sequence[_CandidateRun]:
        """Returns runs by added coverage; then new paths, edge cases first; then variety."""
        waiting = list(self.runs if among is None else among)
        chosen: list[_CandidateRun] = []
        reached = Reach()
        while waiting and len(chosen) < count:
            best = max(waiting, key=lambda run: (run.reach.adds_to(reached), -run.rank))
            if not best.reach.adds_to(reached):
                break
            chosen.append(best)
            waiting.remove(best)
            reached |= best.reach
        outputs = Counter(run.case.output for run in chosen)
        paths = Counter(run.reach.path for run in chosen)
        alike = {run.rank: _greatest_likeness(run, chosen) for run in waiting}
        while waiting and len(chosen) < count:
            among = waiting
            if len(chosen) >= 2 and len(outputs) > 1:
                among = [run for run in waiting if _is_worth_telling(run, outputs, paths, alike)]
            if not among:
                break
            best = min(among, key=lambda run: self._dullness(run, chosen, outputs, paths, alike))
            chosen.append(best)
            waiting.remove(best)
            outputs[best.case.output] += 1
            paths[best.reach.path] += 1
            for run in waiting:
                alike[run.rank] = max(alike[run.rank], likeness(run.arguments, best.arguments))
        return chosen

    def _dullness(
        self,
        run: _CandidateRun,
        chosen: Sequence[_CandidateRun],
        outputs: Counter[str],
        paths: Counter[int],
        alike: Mapping[int, float],
    ) -> tuple[float, ...]:
        """Returns a key that is least for the run that adds most to the chosen ones."""
        is_example = run.rank < self.examples
        examples = sum(one.rank < self.examples for one in chosen)
        edges = sum(is_edge(one.arguments) for one in chosen)
        return (
            outputs[run.case.output] > 0,
            paths[run.reach.path],
            1 if not is_example else 0 if examples < _MOST_EXAMPLES else 2,
            has_stray_blanks(run.arguments),
            not is_edge(run.arguments) if edges < _EDGES_KEPT else is_edge(run.arguments),
            alike[run.rank],
            run.rank,
        )

    def verify_runs(self, chosen: Sequence[_CandidateRun]) -> list[_CandidateRun]:
        """Returns the runs that give the same result in another process under another hash seed.

        Tries many hash seeds if the program uses sets.
        """
        kept = self.same_under(0, self.stated_right(chosen))
        if may_depend_on_set_order(self.seed.code):
            waiting = kept
        else:
            waiting = [run for run in kept if may_depend_on_set_order(run.case.call)]
        for number in range(1, SET_TWINS + 1):
            again = self.same_under(number, waiting)
            lost = {run.rank for run in waiting} - {run.rank for run in again}
            kept = [run for run in kept if run.rank not in lost]
            waiting = again
        self.refused["differs between processes"] += len(chosen) - len(kept)
        if not self.refused["differs between processes"]:
            del self.refused["differs between processes"]
        return kept

    def stated_right(self, runs: Sequence[_CandidateRun]) -> list[_CandidateRun]:
        """Returns the runs whose texts evaluate in the program to what they stand for.

        Only of objects it is to be seen whether `Point(x=1)` makes one, and one that is equal.
        """
        made = [run for run in runs if not _is_plain(run.case)]
        questions = (f"{run.case.call} == {run.case.output}" for run in made)
        results = self.sandbox.map(
            expression_job(self.seed.code, question) for question in questions
        )
        wrong = {
            run.rank
            for run, result in zip(made, results, strict=True)
            if not (isinstance(result.outcome, Value) and result.outcome.tree is True)
        }
        if wrong:
            self.refused["result's text makes no equal object"] += len(wrong)
        return [run for run in runs if run.rank not in wrong]

    def same_under(self, number: int, runs: Sequence[_CandidateRun]) -> list[_CandidateRun]:
        """Returns the runs that repeat in a twin of the sandbox, in another order."""
        backwards = list(reversed(runs))
        twin = self.sandbox.twin(number) if runs else self.sandbox
        calls = [run.case.call for run in backwards]
        results: Iterable[Result]
        if number:
            results = twin.run_calls(self.seed.code, calls, TRACE_LIMITS)
        else:  # what is kept has been alone in a process once
            results = twin.map(call_job(self.seed.code, call, trace=TRACE_LIMITS) for call in calls)
        same = [
            run
            for run, result in zip(backwards, results, strict=True)
            if result.trace is not None and _same_trace(result.trace, run.case.trace)
        ]
        return same[::-1]


def _with_single_sets(arguments: Arguments) -> Arguments:
    """Returns arguments in which every set has at most one item."""
    return Arguments(
        tuple(_single(value) for value in arguments.args),
        {name: _single(value) for name, value in arguments.kwargs.items()},
    )


def _single(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return type(value)(sorted(value, key=repr)[:1])
    if type(value) in (list, tuple):
        return type(value)(map(_single, value))
    if type(value) is dict:
        return {key: _single(item) for key, item in value.items()}
    return value


def _has_one_order(arguments: Arguments) -> bool:
    single = _with_single_sets(arguments)
    return (single.args, dict(single.kwargs)) == (arguments.args, dict(arguments.kwargs))


def _greatest_likeness(run: _CandidateRun, chosen: Sequence[_CandidateRun]) -> float:
    return max((likeness(run.arguments, one.arguments) for one in chosen), default=0.0)


def _is_worth_telling(
    run: _CandidateRun,
    outputs: Mapping[str, int],
    paths: Mapping[int, int],
    alike: Mapping[int, float],
) -> bool:
    """Returns whether a run adds to the chosen ones, although its output may be one of theirs.

    A function that says yes or no has two outputs, but more than two inputs worth telling.
    """
    times = outputs.get(run.case.output, 0)
    if not times:
        return True
    most = _MOST_REPEATED_TRUTH if run.case.output in ("True", "False") else _MOST_REPEATED
    is_new = not paths.get(run.reach.path, 0) or alike[run.rank] < _ALIKE
    return times < most and is_new and not has_stray_blanks(run.arguments)


def _same_trace(one: Trace, other: Trace) -> bool:
    return (one.result, one.raised, one.events) == (other.result, other.raised, other.events)


def _is_plain(case: Case) -> bool:
    """Returns whether call and output have no object of a class in them."""
    parsed = parse_call(case.call)
    return not has_constructed((parsed.args, dict(parsed.kwargs), parse_value(case.output)))


def _arguments_of(call: str) -> Arguments | None:
    try:
        parsed = parse_call(call)
    except CallError:
        return None
    return Arguments(parsed.args, parsed.kwargs)


def _case_or_reason(call: str, result: Result) -> tuple[Case | None, str]:
    """Returns the case of a run, or None and the reason to refuse it."""
    outcome, trace = result.outcome, result.trace
    if isinstance(outcome, Raised):
        return None, f"raised {outcome.type}"
    if isinstance(outcome, Limit):
        return None, f"limit: {outcome.kind}"
    if not isinstance(outcome, Value):
        return None, result.kind.replace("_", " ")
    if trace is None or trace.truncated or trace.result is None:
        return None, "trace not whole"
    if trace.clipped:
        return None, "values too long to be told"
    if not outcome.exact:
        return None, "result no literal"
    text = trace.result
    if len(text) > MAX_OUTPUT:
        return None, "result too long"
    try:
        if not same_value(parse_value(text), outcome.python()):
            return None, "result no literal"
    except (LiteralError, Malformed, TypeError):
        return None, "result no literal"
    return Case(call, text, trace), ""
