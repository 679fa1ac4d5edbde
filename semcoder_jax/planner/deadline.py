"""Plans a run that has a deadline: names the cheapest slice that finishes in time.

Time is the calibrated estimate at its slow end: the roofline divided by the smallest share of it
that published runs reach (semcoder_jax.planner.calibration). Cost is chip-hours times the user's
price of a chip-hour. Without prices, chip-hours of different versions cannot be compared, so each
version has its own cheapest slice.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from semcoder_jax.config import ConfigError, RunConfig
from semcoder_jax.model.flops import model_flops
from semcoder_jax.planner import topologies
from semcoder_jax.planner.calibration import calibration
from semcoder_jax.planner.cheapest import (
    NO_FASTER_SETTING,
    TOO_SMALL,
    UNKNOWN,
    CheapestResult,
    Goal,
    find_cheapest,
)
from semcoder_jax.planner.compiled_step import architecture
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.plans import (
    BoundedCandidates,
    CompileProgress,
    bounded_candidates,
    fastest_plan,
)
from semcoder_jax.planner.report import Plan
from semcoder_jax.planner.search import TOLERANCE
from semcoder_jax.planner.settings import candidates
from semcoder_jax.planner.topologies import Topology, TopologyError

VERSIONS = ("v4", "v5e", "v5p", "v6e", "tpu7x")


@dataclasses.dataclass(frozen=True)
class Deadline:
    """What the user asks for: hours, steps, and prices of a chip-hour by TPU version (or none)."""

    hours: float
    num_steps: int
    prices: Mapping[str, float]

    def chip_hours(self, topology: Topology, hours: float) -> float:
        return hours * topology.num_chips

    def cost(self, topology: Topology, hours: float) -> float:
        """Returns the price of the run; chip-hours if there are no prices."""
        price = self.prices[topology.chip.name] if self.prices else 1.0
        return self.chip_hours(topology, hours) * price

    def estimated_hours(self, topology: Topology, step_seconds: float) -> tuple[float, float]:
        """Returns the calibrated estimate (least, most) from the roofline's seconds of a step."""
        seconds = calibration(topology.chip.name).seconds(step_seconds)
        return tuple(one * self.num_steps / 3600 for one in seconds)

    @property
    def goal(self) -> Goal:
        def slow_hours(topology: Topology, seconds: float) -> float:
            return self.estimated_hours(topology, seconds)[1]

        return Goal(slow_hours, self.cost, self.hours)


def slices_of(versions: Sequence[str], batch_size: int, config) -> list[Topology]:
    """Returns every slice of the versions whose devices the batch can be split over."""
    found = [
        topologies.parse(name)
        for version in versions
        for name in topologies.names(topologies.CHIPS[version])
    ]
    return [place for place in found if any(candidates(batch_size, config, place))]


def plan_within(
    run: RunConfig, slices: Sequence[Topology], deadline: Deadline
) -> dict[str, CheapestResult]:
    """Returns the cheapest slice of each version that has no price, or of all that have one.

    The keys are versions, or "all". Compiles few settings (semcoder_jax.planner.cheapest) and
    caches them, so an interrupted search goes on. Raises ConfigError or CompileError.
    """
    groups: dict[str, list[Topology]] = {}
    for place in slices:
        groups.setdefault("all" if deadline.prices else place.chip.name, []).append(place)
    if not groups:
        raise ConfigError(
            f"config: data.global_batch_size {run.data.global_batch_size}: no slice divides it"
        )
    progress = CompileProgress()
    with Compiler() as compiler:
        contest = _Contest(run, deadline, compiler, progress)
        return {
            name: contest.cheapest(name, places, f"{number}/{len(groups)}")
            for number, (name, places) in enumerate(groups.items(), start=1)
        }


class _Contest:
    """Answers the questions of find_cheapest with the compiler; remembers each slice's bounds."""

    def __init__(self, run, deadline: Deadline, compiler: Compiler, progress: CompileProgress):
        self._run, self._deadline = run, deadline
        self._compiler, self._progress = compiler, progress
        self._bounded: dict[Topology, BoundedCandidates] = {}
        batch, length = run.data.global_batch_size, run.data.sequence_length
        # With adapters, the frozen matrices need no gradient of their own.
        adapters = 0 if run.lora else None
        self._model_flops = model_flops(
            architecture(run), batch, length, adapter_parameters=adapters
        )

    def cheapest(self, name: str, places: Sequence[Topology], label: str) -> CheapestResult:
        return find_cheapest(
            places,
            self._deadline.goal,
            self._floor,
            lambda place: self._bound(place, label),
            lambda place, seconds: self._compile(place, seconds, label),
            tolerance=TOLERANCE,
        )

    def _floor(self, place: Topology) -> float:
        return self._model_flops / (place.num_chips * place.chip.peak_flops)

    def _bound(self, place: Topology, label: str) -> float | str:
        try:
            bounded = bounded_candidates(self._run, place, self._compiler, self._progress, label)
        except TopologyError:
            return UNKNOWN
        except ConfigError:
            return NO_FASTER_SETTING
        self._bounded[place] = bounded
        fitting = [
            candidate.at_best.step_seconds
            for candidate in bounded.candidates
            if candidate.memory_bytes <= place.chip.usable_bytes
        ]
        return min(fitting, default=math.inf) if fitting else TOO_SMALL

    def _compile(self, place: Topology, most_seconds: float, label: str) -> Plan | None:
        plan = fastest_plan(
            self._run,
            place,
            self._bounded[place],
            self._compiler,
            self._progress,
            label,
            self._deadline.num_steps,
            most_seconds,
        )
        return plan if plan.step.fits else None
