"""Plans learning from rewards on a TPU topology: each program's memory and time, and a step's."""

import dataclasses
import math
from collections.abc import Mapping

from semcoder_jax import hf
from semcoder_jax.config import Compute, ObjectiveConfig, RunConfig
from semcoder_jax.planner.compiled_step import architecture
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.plans import CompileProgress
from semcoder_jax.planner.reward_memory import Adjustable, Change, Room, fitting_change, room_of
from semcoder_jax.planner.reward_programs import (
    SCORE,
    UPDATE,
    CompiledProgram,
    programs_of,
)
from semcoder_jax.planner.reward_times import Phase, Rollouts, phase_of
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import activation_bytes
from semcoder_jax.planner.topologies import Topology
from semcoder_jax.reinforcement.rollouts import engine_size


@dataclasses.dataclass(frozen=True)
class RewardPlan:
    """One config on one topology.

    Attributes:
      programs: the compiler's results by name, in the order of a step.
      stay: bytes on a device of the arrays that stay, by name.
      phases: the time of each program; empty if one of them does not compile.
      num_steps: None if the config counts epochs.
    """

    topology: Topology
    setting: Setting
    sizes: Rollouts
    given: Adjustable
    passes: int
    programs: Mapping[str, CompiledProgram]
    stay: Mapping[str, int]
    phases: Mapping[str, Phase]
    num_steps: int | None

    @property
    def rooms(self) -> dict[str, Room]:
        return {name: room_of(name, one, self.stay) for name, one in self.programs.items()}

    @property
    def fits(self) -> bool:
        """Returns whether every program fits beside the arrays that stay."""
        compiled = all(program.fits for program in self.programs.values())
        return compiled and all(room.excess_bytes <= 0 for room in self.rooms.values())

    @property
    def change(self) -> Change | None:
        """Returns a change that makes the run fit, if one is known."""
        return fitting_change(self.rooms, self.stay, self.given)

    @property
    def step_seconds(self) -> float | None:
        if not self.phases:
            return None
        return math.fsum(phase.seconds for phase in self.phases.values())

    @property
    def hours(self) -> float | None:
        if self.num_steps is None or self.step_seconds is None:
            return None
        return self.num_steps * self.step_seconds / 3600

    def to_record(self) -> dict:
        """Returns JSON-like fields; all estimates are under `estimate`."""
        change = self.change
        record = {
            "topology": self.topology.name,
            "chips": self.topology.num_chips,
            "setting": dataclasses.asdict(self.setting) | {"mesh": list(self.setting.mesh)},
            "rollouts": dataclasses.asdict(self.sizes),
            "fits": self.fits,
            "stay_bytes": dict(self.stay),
            "programs": {
                name: dataclasses.asdict(program) | _room_record(self.rooms[name])
                for name, program in self.programs.items()
            },
            "change": change and dataclasses.asdict(change),
            "num_steps": self.num_steps,
            "estimate": None,
        }
        if self.phases:
            record["estimate"] = {
                "phases": {name: _phase_record(phase) for name, phase in self.phases.items()},
                "step_seconds": self.step_seconds,
                "hours": self.hours,
                "chip_hours": self.hours and self.hours * self.topology.num_chips,
            }
        return record


def _room_record(room: Room) -> dict:
    return {"beside_bytes": room.beside_bytes, "total_bytes": room.total_bytes}


def _phase_record(phase: Phase) -> dict:
    return {
        "seconds": phase.seconds,
        "runs": phase.runs,
        "roofline": dataclasses.asdict(phase.roofline),
    }


@dataclasses.dataclass(frozen=True)
class PlanMaker:
    """Compiles the plans of a run on one topology; `label` names it in the progress."""

    run: RunConfig
    place: Topology
    compiler: Compiler
    progress: CompileProgress
    label: str
    num_steps: int | None

    def plan(self, chosen: RunConfig) -> RewardPlan:
        """Returns the plan of `chosen`: the run in some setting. Raises CompileError."""
        programs = {name: self._compile(chosen, name) for name in programs_of(chosen)}
        return reward_plan(chosen, self.place, programs, self.stay_bytes(chosen), self.num_steps)

    def stay_bytes(self, chosen: RunConfig) -> dict[str, int]:
        """Returns the bytes on a device of the arrays that stay, without compiling."""
        known = self.compiler.read(chosen, self.place, {})
        return known or self.compiler.ask(chosen, self.place, {}, self.progress.tick)

    def _compile(self, chosen: RunConfig, name: str) -> CompiledProgram:
        shaped, question = sections_of(name, chosen), {"program": name}
        record = self.compiler.read(shaped, self.place, question)
        if record is None:
            mesh = "x".join(map(str, Setting.of(chosen, self.place.num_devices).mesh))
            self.progress.begin(self.label, f"compiling {name} for {self.place.name}, mesh {mesh}")
            record = self.compiler.ask(shaped, self.place, question, self.progress.tick)
            self.progress.end("fits alone" if record["fits"] else "does not fit")
        return CompiledProgram.from_record(record)


def sections_of(name: str, run: RunConfig) -> RunConfig:
    """Returns the run with usual values where they do not reach the program.

    So a program is not compiled again when only another one changes.
    """
    if name in (SCORE, UPDATE):
        objective = run.objective if name == UPDATE else ObjectiveConfig()
        rollouts = dataclasses.replace(run.rollouts, slots=1)
        return dataclasses.replace(run, rollouts=rollouts, objective=objective)
    return dataclasses.replace(
        run,
        train=dataclasses.replace(run.train, accumulation_steps=1),
        objective=ObjectiveConfig(),
        compute=Compute(dtype=run.compute.dtype),
    )


def reward_plan(
    run: RunConfig,
    place: Topology,
    programs: Mapping[str, CompiledProgram],
    stay: Mapping[str, int],
    num_steps: int | None = None,
) -> RewardPlan:
    """Makes the plan of compiled programs; `run` has the setting that they were compiled with."""
    config = architecture(run)
    slots, _ = engine_size(run, config, run.data.global_batch_size, backend="tpu")
    sizes = Rollouts.of(run, slots)
    phases = {}
    if all(program.fits for program in programs.values()):
        phases = {
            name: phase_of(name, run, place, program, sizes) for name, program in programs.items()
        }
    return RewardPlan(
        place,
        Setting.of(run, place.num_devices),
        sizes,
        adjustable(run, place, slots),
        run.objective.passes,
        programs,
        stay,
        phases,
        run.train.num_steps or num_steps,
    )


def adjustable(run: RunConfig, place: Topology, slots: int) -> Adjustable:
    """Returns what of the run may change to make it fit."""
    config, setting = architecture(run), Setting.of(run, place.num_devices)
    data, fsdp, tensor = setting.mesh
    most = run.data.global_batch_size // (data * fsdp)
    smallest = dataclasses.replace(setting, accumulation_steps=most)
    now, least = (
        activation_bytes(config, run.data, run.compute, one) for one in (setting, smallest)
    )
    parameters = hf.parameter_count(config) // (fsdp * tensor)
    summed = 0 if setting.accumulation_steps > 1 or run.lora else 4 * parameters
    return Adjustable(
        slots,
        tensor,
        math.gcd(config.num_kv_heads, config.intermediate_size, fsdp * tensor),
        setting.accumulation_steps,
        most,
        now - least - summed,  # several microbatches also keep a sum of gradients
        None if run.lora else 2 * parameters,
    )
