"""Plans a config on TPU topologies: with its own setting, or with the fastest that fits."""

import dataclasses
import math
import sys
import time
from collections.abc import Sequence

from semcoder_jax.config import ConfigError, RunConfig
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiled_step import CompiledStep, architecture
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.report import (
    Plan,
    make_plan,
    roofline_at_best,
    step_roofline,
    verdict,
)
from semcoder_jax.planner.search import Candidate, search
from semcoder_jax.planner.settings import Setting, candidates
from semcoder_jax.planner.step_bounds import StepBounds

_SIGN_OF_LIFE = 30.0  # seconds between two lines if the stream is not a terminal


class CompileProgress:
    """Shows the program being compiled and its time.

    A terminal gets one changing line; other streams get a line at the start, every half minute,
    and at the end.
    """

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._text, self._began, self._told = "", time.monotonic(), 0.0

    def begin(self, place: str, what: str) -> None:
        self._text, self._began, self._told = f"{place}: {what}", time.monotonic(), 0.0
        self._write(f"{self._text} …")

    def tick(self, seconds: float) -> None:
        if self._live or seconds - self._told >= _SIGN_OF_LIFE:
            self._told = seconds
            self._write(f"{self._text} … {seconds:.0f} s")

    def end(self, result: str) -> None:
        seconds = time.monotonic() - self._began
        self._write(f"{self._text}: {result}, {seconds:.0f} s", last=True)

    def _write(self, text: str, last: bool = False) -> None:
        if self._live:
            self._stream.write(f"\r\033[K{text}" + ("\n" if last else ""))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def make_plans(
    run: RunConfig,
    places: Sequence[topologies.Topology],
    *,
    num_steps: int | None = None,
    find_fastest: bool = False,
) -> list[Plan]:
    """Returns one plan per topology, with the config's own setting or the fastest one found.

    `num_steps` is the number of training steps if the config counts epochs. Raises ConfigError,
    MeshError or CompileError.
    """
    if num_steps is not None and run.train.num_steps is not None:
        raise ConfigError(
            f"steps={num_steps}: the config has train.num_steps {run.train.num_steps}; change that "
            f"(steps are for configs that count epochs)"
        )
    progress = CompileProgress()
    for place in places:  # all are checked before the first is compiled
        if not find_fastest:
            Setting.of(run, place.num_devices).check(run.data.global_batch_size, place)
        elif not any(candidates(run.data.global_batch_size, architecture(run), place)):
            raise ConfigError(
                f"config: data.global_batch_size {run.data.global_batch_size}: no mesh of "
                f"{place.name} ({place.num_devices} devices) divides it"
            )
    with Compiler() as compiler:
        find = _plan_fastest if find_fastest else _plan_as_given
        return [
            find(run, place, compiler, progress, f"{number}/{len(places)}", num_steps)
            for number, place in enumerate(places, start=1)
        ]


def _plan_as_given(
    run, place, compiler: Compiler, progress: CompileProgress, number: str, num_steps
) -> Plan:
    chosen = Setting.of(run, place.num_devices).apply_to(run)
    step = compiler.read_cached(chosen, place)
    if step is None:
        progress.begin(number, f"compiling {place.name}")
        step = compiler.compile(chosen, place, progress.tick)
        progress.end(verdict(step))
    return make_plan(chosen, place, step, num_steps)


def _plan_fastest(
    run, place, compiler: Compiler, progress: CompileProgress, number: str, num_steps
) -> Plan:
    considered = bounded_candidates(run, place, compiler, progress, number)
    return fastest_plan(run, place, considered, compiler, progress, number, num_steps)


@dataclasses.dataclass(frozen=True)
class BoundedCandidates:
    """Every setting whose mesh the chips allow; `bounds` are in the order of `candidates`."""

    candidates: tuple[Candidate, ...]
    bounds: tuple[StepBounds, ...]


def bounded_candidates(
    run: RunConfig,
    place: topologies.Topology,
    compiler: Compiler,
    progress: CompileProgress,
    label: str,
) -> BoundedCandidates:
    """Returns every setting of a topology with its bounds. Raises CompileError or ConfigError."""
    settings = list(candidates(run.data.global_batch_size, architecture(run), place))
    any_run = settings[0].apply_to(run)  # the bounds depend on the settings only
    progress.begin(label, f"bounds of {len(settings)} settings on {place.name}")
    found = compiler.bounds(any_run, place, settings, progress.tick)
    progress.end("known")
    pairs = [pair for pair in zip(settings, found, strict=True) if pair[1] is not None]
    if not pairs:
        raise ConfigError(
            f"config: no mesh of its batch can be laid over the chips of {place.name}"
        )
    considered = [
        Candidate(
            setting, bound.memory_bytes, roofline_at_best(setting.apply_to(run), place, bound)
        )
        for setting, bound in pairs
    ]
    return BoundedCandidates(tuple(considered), tuple(bound for _, bound in pairs))


def fastest_plan(
    run: RunConfig,
    place: topologies.Topology,
    considered: BoundedCandidates,
    compiler: Compiler,
    progress: CompileProgress,
    label: str,
    num_steps: int | None,
    most_seconds: float = math.inf,
) -> Plan:
    """Returns the plan of the fastest setting that fits, compiling as few as that takes.

    Settings that cannot take less than `most_seconds` a step are left out.
    """

    def compile_setting(setting: Setting, tried: int, most: int):
        chosen = setting.apply_to(run)
        known = compiler.read_cached(chosen, place)
        if known is None:
            mesh = "x".join(map(str, setting.mesh))
            what = f"mesh {mesh}, {setting.rows(run.data.global_batch_size)} rows, {setting.remat}"
            progress.begin(f"{label} {place.name}, {tried} of at most {most}", what)
            known = compiler.compile(chosen, place, progress.tick)
            progress.end(verdict(known))
        return known

    found = search(
        considered.candidates,
        place.chip.usable_bytes,
        compile_setting,
        lambda setting, step: step_roofline(setting.apply_to(run), place, step),
        most_seconds=most_seconds,
    )
    step = found.step or too_large(considered, found.setting, place)
    return make_plan(found.setting.apply_to(run), place, step, num_steps)


def too_large(
    considered: BoundedCandidates, setting: Setting, place: topologies.Topology
) -> CompiledStep:
    """Returns the result of a setting whose least memory is too large, without compiling."""
    number = [candidate.setting for candidate in considered.candidates].index(setting)
    bounds = considered.bounds[number]
    return CompiledStep(
        fits=False,
        peak_bytes=None,
        needed_bytes=bounds.memory_bytes,
        usable_bytes=int(place.chip.usable_bytes),
        argument_bytes=bounds.memory_bytes,
        trained_parameters=bounds.trained_parameters,
        executed_flops=bounds.executed_flops,
        collectives=(),
        least_exchanged_bytes=bounds.exchanged_bytes,
        seconds=0.0,
    )


def without_data(record: dict) -> dict:
    """Fills in required data paths, which a plan does not read, with a placeholder."""
    data = record.get("data")
    if isinstance(data, dict) or hasattr(data, "items"):
        needed = {"jsonl": ("train", "tokenizer"), "pyx": ("directory",)}
        missing = [name for name in needed.get(data.get("source"), ()) if not data.get(name)]
        record = record | {"data": dict(data) | dict.fromkeys(missing, "-")}
    return record
