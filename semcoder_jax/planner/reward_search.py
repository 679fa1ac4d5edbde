"""Plans learning from rewards on TPU topologies: with the config's setting, or the fastest found.

The search chooses how far `tensor` splits the model and the cache (the rest is fsdp), how many
answers are decoded together, and the microbatches. For each size of tensor it starts with the
fewest waves of answers, then the fewest microbatches, whose least memory fits; after compiling, it
takes fewer answers or more microbatches until that fits, too. Sizes of tensor are tried by their
least time until no other one can be faster.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from semcoder_jax.config import ConfigError, RunConfig
from semcoder_jax.model import flops
from semcoder_jax.planner.compiled_step import architecture
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.plans import CompileProgress
from semcoder_jax.planner.reward_plans import PlanMaker, RewardPlan
from semcoder_jax.planner.reward_programs import SCORE, UPDATE
from semcoder_jax.planner.reward_times import Rollouts, least_sampling_seconds
from semcoder_jax.planner.search import TOLERANCE
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import activation_bytes, tensor_bytes
from semcoder_jax.planner.topologies import Topology
from semcoder_jax.reinforcement.rollouts import engine_size

PROCESS = "semcoder_jax.planner.reward_process"
_REPAIRS = 4  # compiled settings of one size of tensor


def make_reward_plans(
    run: RunConfig,
    places: Sequence[Topology],
    *,
    num_steps: int | None = None,
    find_fastest: bool = False,
) -> list[RewardPlan]:
    """Returns one plan per topology, with the config's own setting or the fastest one found.

    `num_steps` is the number of steps if the config counts epochs. Raises ConfigError, MeshError or
    CompileError.
    """
    if num_steps is not None and run.train.num_steps is not None:
        raise ConfigError(
            f"steps={num_steps}: the config has train.num_steps {run.train.num_steps}; change that"
        )
    for place in places:  # all are checked before the first is compiled
        if not find_fastest:
            Setting.of(run, place.num_devices).check(run.data.global_batch_size, place)
        elif not _meshes(run, place):
            raise ConfigError(
                f"config: data.global_batch_size {run.data.global_batch_size}: no mesh of "
                f"{place.name} ({place.num_devices} devices) divides it"
            )
    progress = CompileProgress()
    with Compiler(process=PROCESS) as compiler:
        makers = [
            PlanMaker(run, place, compiler, progress, f"{number}/{len(places)}", num_steps)
            for number, place in enumerate(places, start=1)
        ]
        if find_fastest:
            return [fastest_reward_plan(maker) for maker in makers]
        return [
            maker.plan(Setting.of(run, maker.place.num_devices).apply_to(run)) for maker in makers
        ]


@dataclasses.dataclass(frozen=True)
class Guess:
    """A setting whose least memory fits, and its least seconds a step."""

    run: RunConfig
    seconds: float


def fastest_reward_plan(maker: PlanMaker) -> RewardPlan:
    """Returns the fastest plan found that fits; if none does, one that does not."""
    guesses = [first_guess(maker, mesh) for mesh in _meshes(maker.run, maker.place)]
    waiting = sorted(filter(None, guesses), key=lambda guess: guess.seconds)
    best = other = None
    for guess in waiting:
        if best and guess.seconds >= best.step_seconds * (1 - TOLERANCE):
            break
        plan = _repaired(maker, guess.run)
        if not plan.fits:
            other = other or plan
        elif best is None or plan.step_seconds < best.step_seconds:
            best = plan
    if found := best or other:
        return found
    smallest = _meshes(maker.run, maker.place)[-1]
    return maker.plan(_with(maker.run, smallest, 1, _microbatches(maker.run, smallest)[-1]))


def _meshes(run: RunConfig, place: Topology) -> list[tuple[int, int, int]]:
    """Returns the meshes that split heads and batch evenly; `data` only joins slices."""
    config, most = architecture(run), place.devices_per_slice
    whole = math.gcd(config.num_kv_heads, config.intermediate_size, most)
    sizes = [size for size in range(1, whole + 1) if whole % size == 0]
    meshes = [(place.num_slices, most // tensor, tensor) for tensor in sizes]
    return [mesh for mesh in meshes if run.data.global_batch_size % (mesh[0] * mesh[1]) == 0]


def _microbatches(run: RunConfig, mesh: tuple[int, int, int]) -> list[int]:
    rows = run.data.global_batch_size // (mesh[0] * mesh[1])
    return [number for number in range(1, rows + 1) if rows % number == 0]


def _slots(answers: int) -> Iterator[int]:
    """Yields numbers of answers at a time, most first, each the least of its number of waves."""
    return iter(dict.fromkeys(-(-answers // waves) for waves in range(1, answers + 1)))


def _with(run: RunConfig, mesh: tuple[int, int, int], slots: int, microbatches: int) -> RunConfig:
    run = dataclasses.replace(run, rollouts=dataclasses.replace(run.rollouts, slots=slots))
    return Setting(mesh, microbatches, run.compute.remat).apply_to(run)


def first_guess(maker: PlanMaker, mesh: tuple[int, int, int]) -> Guess | None:
    """Returns the setting of a mesh to compile first; None if its least memory never fits."""
    run, place = maker.run, maker.place
    alone = _with(run, mesh, 1, 1)
    stay = maker.stay_bytes(alone)
    config = architecture(run)
    others = sum(stay.values()) - stay["cache"] + stay["weights"]  # and a gradient of each
    for slots in _slots(run.data.global_batch_size):
        cache = cache_bytes(alone, stay["cache"], slots)
        for microbatches in _microbatches(run, mesh):
            chosen = _with(run, mesh, slots, microbatches)
            setting = Setting.of(chosen, place.num_devices)
            kept = activation_bytes(config, run.data, run.compute, setting)
            if others + cache + kept <= place.chip.usable_bytes:
                return Guess(chosen, least_seconds(chosen, place, slots))
    return None


def cache_bytes(run: RunConfig, present: int, slots: int) -> int:
    """Returns the bytes of the cache with other slots; `present`: with those of `run`."""
    config = architecture(run)

    def positions(of: RunConfig) -> int:
        return engine_size(of, config, run.data.global_batch_size, backend="tpu")[1] + 64

    other = dataclasses.replace(run, rollouts=dataclasses.replace(run.rollouts, slots=slots))
    return present * positions(other) // positions(run)


def least_seconds(run: RunConfig, place: Topology, slots: int) -> float:
    """Returns the least seconds of a step: sampling without exchanges, and the update's FLOPs."""
    config, batch = architecture(run), run.data.global_batch_size
    setting = Setting.of(run, place.num_devices)
    model = flops.model_flops(
        config, batch, run.data.sequence_length, adapter_parameters=0 if run.lora else None
    )
    compute = model / (place.num_chips * place.chip.peak_flops)
    sent = tensor_bytes(config, run.data, run.compute, setting) * place.chip.devices
    exchange = sent / (place.links * place.chip.link_bandwidth) if place.links else 0.0
    update = run.objective.passes * max(compute, exchange)
    return update + least_sampling_seconds(run, place, Rollouts.of(run, slots))


def _repaired(maker: PlanMaker, run: RunConfig) -> RewardPlan:
    """Returns the plan of `run`, with fewer slots or more microbatches as far as it must."""
    for _ in range(_REPAIRS):
        plan = maker.plan(run)
        smaller = None if plan.fits else smaller_setting(plan, run)
        if smaller is None:
            break
        run = smaller
    return plan


def smaller_setting(plan: RewardPlan, run: RunConfig) -> RunConfig | None:
    """Returns a setting that needs less where `plan` lacks memory; None if there is none."""
    lacking = {name: room.excess_bytes for name, room in plan.rooms.items()}
    if None in lacking.values():
        return None
    mesh, slots, excess = plan.setting.mesh, plan.sizes.slots, max(lacking.values())
    more = _more_microbatches(run, plan.setting, excess)
    if more and {name for name, size in lacking.items() if size > 0} <= {SCORE, UPDATE}:
        return _with(run, mesh, slots, more)
    fewer = slots - -(-excess * slots // plan.stay["cache"])
    if fewer < 1:
        return None
    even = next(each for each in _slots(plan.sizes.answers) if each <= fewer)
    return _with(run, mesh, even, plan.setting.accumulation_steps)


def _more_microbatches(run: RunConfig, setting: Setting, excess: int) -> int | None:
    """Returns the fewest that save `excess` bytes of activations, else the most; None if these."""
    config = architecture(run)

    def kept(number: int) -> int:
        other = dataclasses.replace(setting, accumulation_steps=number)
        return activation_bytes(config, run.data, run.compute, other)

    present = setting.accumulation_steps
    more = [number for number in _microbatches(run, setting.mesh) if number > present]
    enough = [number for number in more if kept(present) - kept(number) >= excess]
    return min(enough, default=max(more, default=None))
