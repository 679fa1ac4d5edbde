"""Finds the fastest setting that fits, with few compilations.

Branch and bound: every setting has two bounds known without compiling, its least memory and its
shortest time (step_bounds). Settings that cannot fit are dropped; the others
are compiled until none that is left can beat the best that was found to fit. A setting that did
not fit takes with it all that surely need as much memory; one that the compiler fails at is passed
over. The order, which decides nothing but how many are compiled: the fastest come first, judged by
how much slower than at best others with their tensor parallelism were, but for those that will
hardly fit, judged by how far others of their policy were above their bound.
"""

import dataclasses
from collections.abc import Callable, Iterable

from semcoder_jax.planner.compiled_step import CompiledStep
from semcoder_jax.planner.roofline import Roofline
from semcoder_jax.planner.settings import Setting

# How much faster a setting must be able to be than the best one, to be worth a compilation.
TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A setting, the least memory it can take (bytes of a device) and its time at best."""

    setting: Setting
    memory_bytes: float
    at_best: Roofline


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The fastest setting that fits, or, if none does, the one with the least memory.

    `compiled` settings were tried, of `considered`.
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
) -> SearchResult:
    """`compile_setting(setting, number, most)` says what the compiler says; it is the
    `number`-th (from 1) of at most `most`. The setting found is as fast by `estimate` as any
    that fits, but for the share `tolerance`.

    Of settings equally fast at best, the one whose parts take least in sum comes first, then the
    one of least memory.
    """
    everything = list(candidates)
    waiting = sorted(
        (candidate for candidate in everything if candidate.memory_bytes <= usable_bytes),
        key=lambda one: (one.at_best.step_seconds, one.at_best.total_seconds, one.memory_bytes),
    )
    best: tuple[float, Setting, CompiledStep] | None = None
    smallest: tuple[float, Setting, CompiledStep] | None = None
    above_bound: dict[tuple, float] = {}  # needed memory / bound, where it did not fit
    slower: dict[int, float] = {}  # estimate / time at best, by the size of tensor
    compiled = 0

    def likely_seconds(one: Candidate) -> float:
        return one.at_best.step_seconds * slower.get(one.setting.mesh[2], 1.0)

    def likely_bytes(one: Candidate) -> float:
        policy = one.setting.remat
        ratio = above_bound.get((policy, one.setting.mesh), above_bound.get((policy,), 1.0))
        return one.memory_bytes * ratio

    while waiting:
        likely = [one for one in waiting if likely_bytes(one) <= usable_bytes]
        # min takes the first of several: waiting is sorted.
        candidate = min(likely, key=likely_seconds) if likely else min(waiting, key=likely_bytes)
        waiting.remove(candidate)
        compiled += 1
        step = compile_setting(candidate.setting, compiled, compiled + len(waiting))
        if step.fits:
            seconds = estimate(candidate.setting, step).step_seconds
            slower[candidate.setting.mesh[2]] = seconds / candidate.at_best.step_seconds
            if best is None or seconds < best[0]:
                best = (seconds, candidate.setting, step)
            waiting = [
                one for one in waiting if one.at_best.step_seconds < best[0] * (1 - tolerance)
            ]
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
