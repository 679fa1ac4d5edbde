"""Finds the cheapest slice that finishes a run in time, with few compilations.

Uses branch and bound with the least cost first. A slice passes three levels; each raises its lower
bound of a step's time, and with it of the cost:

1. `floor`: the model FLOPs at the chips' peak. Costs nothing.
2. `bound`: the roofline of the bounds (semcoder_jax.planner.step_bounds) of the fastest setting
   whose least memory the chips have. Costs seconds.
3. `compile`: the fastest setting that the TPU compiler finds room for. Costs minutes.

A slice that cannot finish in time falls at the level that shows it; the search ends when no slice
can be cheaper than the cheapest that was compiled.
"""

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Iterable

from semcoder_jax.planner.report import Plan
from semcoder_jax.planner.topologies import Topology

TOO_SLOW, TOO_SMALL, DEARER, FITS = "too slow", "too small", "cannot be cheaper", "finishes in time"
UNKNOWN = "unknown to the compiler"
NO_FASTER_SETTING = "no setting that fits is fast or cheap enough"


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a run may take and what it costs.

    Attributes:
      hours: of a run on a topology, from the seconds of a step; rises with them.
      cost: of so many hours on a topology; rises with them.
      limit_hours: the most that the run may take.
    """

    hours: Callable[[Topology, float], float]
    cost: Callable[[Topology, float], float]
    limit_hours: float

    def is_late(self, topology: Topology, seconds: float) -> bool:
        return self.hours(topology, seconds) > self.limit_hours

    def run_cost(self, topology: Topology, seconds: float) -> float:
        return self.cost(topology, self.hours(topology, seconds))


@dataclasses.dataclass(frozen=True)
class Considered:
    """One slice and how far it came; `seconds` is the last bound of its step (None: unknown)."""

    topology: Topology
    verdict: str
    seconds: float | None
    plan: Plan | None = None


@dataclasses.dataclass(frozen=True)
class CheapestResult:
    """The cheapest plan that finishes in time (None if there is none), and all slices considered.

    `considered` has the cheapest first.
    """

    best: Plan | None
    considered: tuple[Considered, ...]


def find_cheapest(
    slices: Iterable[Topology],
    goal: Goal,
    floor: Callable[[Topology], float],
    bound: Callable[[Topology], float | str],
    compile_fastest: Callable[[Topology, float], Plan | None],
    tolerance: float = 0.0,
) -> CheapestResult:
    """Returns the slice of least cost among those that finish in time, up to `tolerance`.

    `floor` and `bound` return seconds of a step, `bound` a verdict instead if the slice is out.
    `compile_fastest(topology, seconds)` returns the plan of the fastest setting whose step may take
    less than `seconds`, or None.
    """
    order = itertools.count()
    waiting: list[tuple] = []
    done: list[Considered] = []
    best: Plan | None = None
    best_cost = float("inf")

    def wait(topology: Topology, seconds: float, level: int) -> None:
        cost = goal.run_cost(topology, seconds)
        heapq.heappush(waiting, (cost, topology.num_chips, next(order), topology, seconds, level))

    for topology in slices:
        seconds = floor(topology)
        if goal.is_late(topology, seconds):
            done.append(Considered(topology, TOO_SLOW, seconds))
        else:
            wait(topology, seconds, 1)
    while waiting:
        cost, _, _, topology, seconds, level = heapq.heappop(waiting)
        if cost >= best_cost * (1 - tolerance):
            done.append(Considered(topology, DEARER, seconds))
        elif level == 1:
            found = bound(topology)
            if isinstance(found, str):
                done.append(Considered(topology, found, None))
            elif goal.is_late(topology, found):
                done.append(Considered(topology, TOO_SLOW, found))
            else:
                wait(topology, found, 2)
        else:
            most = _most_seconds(goal, topology, best_cost, seconds)
            plan = compile_fastest(topology, most)
            if plan is None or plan.roofline is None:
                done.append(Considered(topology, NO_FASTER_SETTING, seconds))
                continue
            step_seconds = plan.roofline.step_seconds
            if goal.is_late(topology, step_seconds):
                done.append(Considered(topology, TOO_SLOW, step_seconds, plan))
                continue
            done.append(Considered(topology, FITS, step_seconds, plan))
            cost = goal.run_cost(topology, step_seconds)
            if cost < best_cost:
                best, best_cost = plan, cost
    return CheapestResult(best, tuple(sorted(done, key=lambda one: _order(one, goal))))


def _most_seconds(goal: Goal, topology: Topology, best_cost: float, seconds: float) -> float:
    """Returns the seconds of a step at which the slice is late or no cheaper than the best.

    Hours and cost are proportional to `seconds`.
    """
    by_time = goal.limit_hours / goal.hours(topology, seconds)
    by_cost = best_cost / goal.run_cost(topology, seconds)
    return seconds * min(by_time, by_cost)


def _order(one: Considered, goal: Goal) -> tuple:
    cost = float("inf") if one.seconds is None else goal.run_cost(one.topology, one.seconds)
    return (one.verdict != FITS, cost, one.topology.num_chips)
