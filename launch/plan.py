"""What a training run needs of a TPU and how long it may take, told by the TPU compiler; no TPU
needed:

    python -m launch.plan --config=FILE --topology=v5e:4x4 [--config.a.b=…] [--json]
    python -m launch.plan --config=FILE --topology=v5e:4x4,v5p:2x2x2,v6e:4x4

The real step of the config is compiled for the real topology, from shapes alone: no data, weights
or tokenizer are read. Shown are whether it fits and the peak memory of a device, model FLOPs,
what the devices exchange, and by the roofline (an ESTIMATE, launch/roofline.py) the time of a
step and of the recipe. Several topologies give a table. --slices=N joins N slices of each.
--steps=N is the recipe's length where the config counts epochs.

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

from launch import topologies
from launch.compiled_step import CompilerError, architecture
from launch.compiler import CompileError, Compiler
from launch.plan_report import Plan, Setting, make_plan, plan_lines, table_lines
from semcoder_jax import command_line, hf, sharding
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.optimizer import OptimizerError

USER_ERRORS = (
    command_line.CommandLineError,
    topologies.TopologyError,
    CompileError,
    CompilerError,
    ConfigError,
    hf.HFError,
    OptimizerError,
    sharding.MeshError,
)
_SWITCHES = ("json",)


class Progress:
    """What is being compiled, for how long, and how many remain; on a terminal one line that
    changes, elsewhere a line at the start and at the end of each."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._started = time.monotonic()

    def begin(self, what: str, place: str) -> None:
        self._what, self._place, self._began = what, place, time.monotonic()
        self._write(f"{place}: compiling {what} …")

    def tick(self, seconds: float) -> None:
        if self._live:
            self._write(f"{self._place}: compiling {self._what} … {seconds:.0f} s")

    def end(self, result: str) -> None:
        seconds = time.monotonic() - self._began
        self._write(f"{self._place}: {self._what}: {result}, {seconds:.0f} s", last=True)

    def _write(self, text: str, last: bool = False) -> None:
        if self._live:
            self._stream.write(f"\r\033[K{text}" + ("\n" if last else ""))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    try:
        run, places, options = parse_arguments(argv)
        plans = make_plans(run, places, options)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "interrupted; what is compiled is kept: the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    if options["json"]:
        print(json.dumps([plan.to_record() for plan in plans], indent=1))
    else:
        print("\n".join(plan_lines(plans[0]) if len(plans) == 1 else table_lines(plans)))
    return 0 if all(plan.step.fits for plan in plans) else 1


def make_plans(run: RunConfig, places: Sequence[topologies.Topology], options: dict) -> list[Plan]:
    """One plan a topology. All are checked before the first is compiled."""
    runs = {}
    for place in places:
        setting = Setting.of(run, place.num_devices)
        check_setting(run, setting, place)
        runs[place] = setting.applied(run)
    progress, plans = Progress(), []
    with Compiler() as compiler:
        for number, (place, its_run) in enumerate(runs.items(), start=1):
            step = compiler.known(its_run, place)
            if step is None:
                progress.begin(place.name, f"{number} of {len(runs)}")
                step = compiler.compile(its_run, place, progress.tick)
                progress.end("fits" if step.fits else "does not fit")
            plans.append(make_plan(its_run, place, step, options["steps"]))
    return plans


def check_setting(run: RunConfig, setting: Setting, place: topologies.Topology) -> None:
    """Raise ConfigError or MeshError unless the mesh has the devices, and a microbatch splits."""
    data, fsdp, tensor = setting.mesh
    needed = data * fsdp * tensor
    if needed != place.num_devices or min(setting.mesh) < 1:
        raise sharding.MeshError(
            f"config: mesh data {data} x fsdp {fsdp} x tensor {tensor} needs {needed} devices, "
            f"{place.name} has {place.num_devices}"
        )
    batch, steps = run.data.global_batch_size, setting.accumulation_steps
    if batch % (steps * data * fsdp):
        raise ConfigError(
            f"config: data.global_batch_size {batch} in {steps} microbatch(es) gives "
            f"{batch / steps:g} rows, which the {data * fsdp} batch shards (data x fsdp) of "
            f"{place.name} do not divide"
        )


def parse_arguments(
    argv: Sequence[str],
) -> tuple[RunConfig, list[topologies.Topology], dict]:
    """(checked config, topologies, options). Raises one of USER_ERRORS."""
    switches = {name: f"--{name}" in argv for name in _SWITCHES}
    rest = [argument for argument in argv if argument[2:] not in _SWITCHES]
    config, values = command_line.parse_arguments(
        rest,
        {"topology": "Names like v5e:4x4, separated by commas."},
        {"slices": "Slices of each topology.", "steps": "Steps of the recipe."},
        new_fields=True,
    )
    counts = {name: _count(name, values[name]) for name in ("slices", "steps")}
    names = [name for name in values["topology"].split(",") if name.strip()]
    places = [topologies.parse(name, counts["slices"]) for name in names]
    if not places:
        raise command_line.CommandLineError("command line: --topology is empty")
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
        raise command_line.CommandLineError(
            f"command line: --{name} is {text!r}, expected a whole number of at least 1"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
