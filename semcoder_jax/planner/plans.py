"""Plans a config on TPU topologies: with its own setting, or with the fastest that fits."""

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
    settings = list(candidates(run.data.global_batch_size, architecture(run), place))
    any_run = settings[0].apply_to(run)  # the bounds depend on the settings only
    progress.begin(number, f"bounds of {len(settings)} settings on {place.name}")
    bounds = compiler.bounds(any_run, place, settings, progress.tick)
    progress.end("known")
    considered = [
        Candidate(
            setting, bound.memory_bytes, roofline_at_best(setting.apply_to(run), place, bound)
        )
        for setting, bound in zip(settings, bounds, strict=True)
    ]

    def compile_setting(setting: Setting, tried: int, most: int):
        chosen = setting.apply_to(run)
        known = compiler.read_cached(chosen, place)
        if known is None:
            mesh = "x".join(map(str, setting.mesh))
            what = f"mesh {mesh}, {setting.rows(run.data.global_batch_size)} rows, {setting.remat}"
            progress.begin(f"{number} {place.name}, {tried} of at most {most}", what)
            known = compiler.compile(chosen, place, progress.tick)
            progress.end(verdict(known))
        return known

    found = search(
        considered,
        place.chip.usable_bytes,
        compile_setting,
        lambda setting, step: step_roofline(setting.apply_to(run), place, step),
    )
    step = found.step or too_large(considered, found.setting, bounds, place)
    return make_plan(found.setting.apply_to(run), place, step, num_steps)


def too_large(considered, setting: Setting, bounds, place: topologies.Topology) -> CompiledStep:
    """Returns the result of a setting whose least memory is too large, without compiling."""
    number = [candidate.setting for candidate in considered].index(setting)
    return CompiledStep(
        fits=False,
        peak_bytes=None,
        needed_bytes=bounds[number].memory_bytes,
        usable_bytes=int(place.chip.usable_bytes),
        argument_bytes=bounds[number].memory_bytes,
        trained_parameters=bounds[number].trained_parameters,
        executed_flops=bounds[number].executed_flops,
        collectives=(),
        least_exchanged_bytes=bounds[number].exchanged_bytes,
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
