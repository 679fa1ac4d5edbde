"""Finds the fastest setting that fits, with few compilations.

Uses branch and bound. Two bounds of every setting are known without compiling: its least memory and
its least time (step_bounds). Settings that cannot fit are dropped. The others are compiled until no
remaining one can beat the fastest that fits. A setting that does not fit also rules out all that
certainly need as much memory; one that the compiler rejects for another reason is skipped.

The order affects only the number of compilations. Settings predicted to fit come first, by
predicted time; then the others, by predicted memory. A prediction is a bound times a ratio found so
far: for time that of the same tensor parallelism, for memory that of the same policy.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable

from semcoder_jax.planner.compiled_step import CompiledStep
from semcoder_jax.planner.roofline import Roofline
from semcoder_jax.planner.settings import Setting

# Share by which a setting must be able to beat the best one to be worth a compilation.
TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A setting with the bounds of its memory (bytes per device) and its time."""

    setting: Setting
    memory_bytes: float
    at_best: Roofline


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The fastest setting that fits, or, if none does, the one with the least memory.

    `compiled` counts the settings compiled, `considered` all candidates.
    """

    setting: Setting
    step: CompiledStep | None
    compiled: int
    considered: int


def search(
    candidates: Iterable[Candidate],
    usable_bytes: float,
    compile_setting: Callable[[Setting, int, int], CompiledStep],
    estimate: Callable[[Setting, CompiledStep], Roofline],
    tolerance: float = TOLERANCE,
    most_seconds: float = math.inf,
) -> SearchResult:
    """Finds the setting that `estimate` rates fastest among those that fit, up to `tolerance`.

    Settings that cannot take less than `most_seconds` a step are not compiled.

    `compile_setting(setting, number, most)` returns the compiler's result; this is the `number`-th
    compilation (from 1) of at most `most`. Ties in the least time are broken by the least sum of
    the parts' times, then by the least memory.
    """
    everything = list(candidates)
    waiting = sorted(
        (
            candidate
            for candidate in everything
            if candidate.memory_bytes <= usable_bytes
            and candidate.at_best.step_seconds < most_seconds
        ),
        key=lambda one: (one.at_best.step_seconds, one.at_best.total_seconds, one.memory_bytes),
    )
    best: tuple[float, Setting, CompiledStep] | None = None
    smallest: tuple[float, Setting, CompiledStep] | None = None
    above_bound: dict[tuple, float] = {}  # needed memory / bound, of settings that did not fit
    slower: dict[int, float] = {}  # estimate / least time, by the size of tensor
    compiled = 0

    def likely_seconds(one: Candidate) -> float:
        return one.at_best.step_seconds * slower.get(one.setting.mesh[2], 1.0)

    def likely_bytes(one: Candidate) -> float:
        policy = one.setting.remat
        ratio = above_bound.get((policy, one.setting.mesh), above_bound.get((policy,), 1.0))
        return one.memory_bytes * ratio

    while waiting:
        likely = [one for one in waiting if likely_bytes(one) <= usable_bytes]
        # Among equals min returns the first, and `waiting` is sorted.
        candidate = min(likely, key=likely_seconds) if likely else min(waiting, key=likely_bytes)
        waiting.remove(candidate)
        compiled += 1
        step = compile_setting(candidate.setting, compiled, compiled + len(waiting))
        if step.fits:
            seconds = estimate(candidate.setting, step).step_seconds
            slower[candidate.setting.mesh[2]] = seconds / candidate.at_best.step_seconds
            if best is None or seconds < best[0]:
                best = (seconds, candidate.setting, step)
            limit = min(best[0] * (1 - tolerance), most_seconds)
            waiting = [one for one in waiting if one.at_best.step_seconds < limit]
        elif step.refusal is None:
            needed = step.needed_bytes or float("inf")
            if smallest is None or needed < smallest[0]:
                smallest = (needed, candidate.setting, step)
            if step.needed_bytes and candidate.memory_bytes:
                policy, ratio = candidate.setting.remat, needed / candidate.memory_bytes
                above_bound[policy, candidate.setting.mesh] = above_bound[policy,] = ratio
            waiting = [one for one in waiting if not one.setting.needs_at_least(candidate.setting)]
    if found := best or smallest:
        return SearchResult(found[1], found[2], compiled, len(everything))
    least = min(everything, key=lambda one: one.memory_bytes)
    return SearchResult(least.setting, None, compiled, len(everything))
