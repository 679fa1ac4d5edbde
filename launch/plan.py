"""What a training run needs of a TPU and how long it may take, told by the TPU compiler; no TPU
needed:

    python -m launch.plan --config=FILE --topology=v5e:4x4 [--config.a.b=…] [--json]
    python -m launch.plan --config=FILE --topology=v5e:4x4,v5p:2x2x2,v6e:4x4 --search

The real step of the config is compiled for the real topology, from shapes alone: no data, weights
or tokenizer are read. Shown are whether it fits and the peak memory of a device, model FLOPs,
what the devices exchange, and by the roofline (an ESTIMATE, semcoder_jax/planner/roofline.py) the
time of a step and of the recipe. Several topologies give a table. --slices=N joins N of each.
--steps=N is the recipe's length where the config counts epochs. --search finds, for each topology,
the fastest setting that fits: mesh, microbatches, what is kept for the backward pass, offload.

It needs libtpu: pip install "jax[tpu]", or a folder with it in SEMCODER_LIBTPU. A compilation takes
a minute or two, a program that is much too large seconds. What the compiler says is kept in
$SEMCODER_CACHE (~/.cache/semcoder-jax), so a plan that was interrupted goes on where it was.
Exit code 0: fits everywhere; 1: not everywhere; 2: a mistake in the arguments.
"""

import json
import os
import sys
import time
from collections.abc import Sequence

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a plan touches no accelerator

from data_pipeline.terminal.command_line import CommandLineError, run_command
from semcoder_jax.commands import config_flags
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiled_step import CompiledStep, architecture
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.report import (
    Plan,
    make_plan,
    plan_lines,
    roofline_at_best,
    setting_lines,
    step_roofline,
    table_lines,
    verdict,
)
from semcoder_jax.planner.search import Candidate, search
from semcoder_jax.planner.settings import Setting, candidates

_SWITCHES = ("json", "search")
_SIGN_OF_LIFE = 30.0  # seconds between two lines where nothing can be overwritten


class Progress:
    """What is being compiled, for how long, and how many remain; on a terminal one line that
    changes, elsewhere a line at the start, every half minute, and at the end of each."""

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


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all fit, 1 not all, 2 the user's mistake, 130 interrupted."""
    stopped = "interrupted; what is compiled is kept: the same command goes on from there"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> int:
    run, places, options = parse_arguments(arguments)
    plans = make_plans(run, places, options)
    if options["json"]:
        print(json.dumps([plan.to_record() for plan in plans], indent=1))
    else:
        lines = table_lines(plans) if len(plans) > 1 or options["search"] else []
        if len(plans) == 1:
            lines += [*([""] if lines else []), *plan_lines(plans[0])]
        if options["search"]:
            lines += ["", *setting_lines(plans)]
        print("\n".join(lines))
    return 0 if all(plan.step.fits for plan in plans) else 1


def make_plans(run: RunConfig, places: Sequence[topologies.Topology], options: dict) -> list[Plan]:
    """One plan a topology, the config's own setting or the one that a search finds."""
    progress = Progress()
    for place in places:  # all are checked before the first is compiled
        if not options["search"]:
            Setting.of(run, place.num_devices).check(run, place)
        elif not any(candidates(run, architecture(run), place)):
            raise ConfigError(
                f"config: data.global_batch_size {run.data.global_batch_size}: no mesh of "
                f"{place.name} ({place.num_devices} devices) divides it"
            )
    with Compiler() as compiler:
        find = _searched if options["search"] else _given
        return [
            find(run, place, compiler, progress, f"{number}/{len(places)}", options["steps"])
            for number, place in enumerate(places, start=1)
        ]


def _given(run, place, compiler: Compiler, progress: Progress, number: str, num_steps) -> Plan:
    chosen = Setting.of(run, place.num_devices).applied(run)
    step = compiler.known(chosen, place)
    if step is None:
        progress.begin(number, f"compiling {place.name}")
        step = compiler.compile(chosen, place, progress.tick)
        progress.end(verdict(step))
    return make_plan(chosen, place, step, num_steps)


def _searched(run, place, compiler: Compiler, progress: Progress, number: str, num_steps) -> Plan:
    settings = list(candidates(run, architecture(run), place))
    any_run = settings[0].applied(run)  # the bounds are those of the settings, not of the config
    progress.begin(number, f"bounds of {len(settings)} settings on {place.name}")
    bounds = compiler.bounds(any_run, place, settings, progress.tick)
    progress.end("known")
    considered = [
        Candidate(setting, bound.memory_bytes, roofline_at_best(setting.applied(run), place, bound))
        for setting, bound in zip(settings, bounds, strict=True)
    ]

    def compile_setting(setting: Setting, tried: int, most: int):
        chosen = setting.applied(run)
        known = compiler.known(chosen, place)
        if known is None:
            mesh = "x".join(map(str, setting.mesh))
            what = f"mesh {mesh}, {setting.rows(run)} rows, {setting.remat}"
            progress.begin(f"{number} {place.name}, {tried} of at most {most}", what)
            known = compiler.compile(chosen, place, progress.tick)
            progress.end(verdict(known))
        return known

    found = search(
        considered,
        place.chip.usable_bytes,
        compile_setting,
        lambda setting, step: step_roofline(setting.applied(run), place, step),
    )
    step = found.step or too_large(considered, found.setting, bounds, place)
    return make_plan(found.setting.applied(run), place, step, num_steps)


def too_large(considered, setting: Setting, bounds, place: topologies.Topology) -> CompiledStep:
    """What is known where even the least memory is more than there is: nothing was compiled."""
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


def parse_arguments(
    argv: Sequence[str],
) -> tuple[RunConfig, list[topologies.Topology], dict]:
    """(checked config, topologies, options). Raises a UserError."""
    switches = {name: f"--{name}" in argv for name in _SWITCHES}
    rest = [argument for argument in argv if argument not in {f"--{name}" for name in _SWITCHES}]
    config, values = config_flags.parse_arguments(
        rest,
        {"topology": "Names like v5e:4x4, separated by commas."},
        {"slices": "Slices of each topology.", "steps": "Steps of the recipe."},
        new_fields=True,
    )
    counts = {name: _count(name, values[name]) for name in ("slices", "steps")}
    names = [name for name in values["topology"].split(",") if name.strip()]
    places = [topologies.parse(name, counts["slices"]) for name in names]
    if not places:
        raise CommandLineError("command line: --topology is empty")
    run = parse_run(without_data(config.to_dict()))
    architecture(run)  # raises where the config leaves it open
    return run, list(dict.fromkeys(places)), switches | {"steps": counts["steps"]}


def without_data(record: dict) -> dict:
    """The config with a stand-in for paths that a run needs and a plan does not read."""
    data = record.get("data")
    if isinstance(data, dict) or hasattr(data, "items"):
        needed = {"jsonl": ("train", "tokenizer"), "pyx": ("directory",)}
        missing = [name for name in needed.get(data.get("source"), ()) if not data.get(name)]
        record = record | {"data": dict(data) | dict.fromkeys(missing, "-")}
    return record


def _count(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise CommandLineError(
            f"command line: --{name} is {text!r}, expected a whole number of at least 1"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
