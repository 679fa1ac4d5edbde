"""Plans a training run: memory, step time and total time on a TPU, without a TPU.

    python -m launch.plan --config=FILE --topology=v5e:4x4 [--config.a.b=…] [--json]
    python -m launch.plan --config=FILE --topology=v5e:4x4,v5p:2x2x2,v6e:4x4 --search

Compiles the config's training step for the topology from shapes alone; reads no data, weights or
tokenizer. Reports whether the step fits, peak memory per device, model FLOPs, communication between
devices, and the time of a step and of the run, which the roofline model ESTIMATES
(semcoder_jax/planner/roofline.py). Several topologies give a table. --slices=N joins N slices of
each. --steps=N is the length of the run if the config counts epochs. --search finds the fastest
setting that fits each topology: mesh, microbatches, rematerialization, offload. With one topology,
--write=FILE.py writes it as a config file that imports the planned one, overrides included.

Needs libtpu: pip install "jax[tpu]", or a folder that contains it in SEMCODER_LIBTPU. Compiling
takes one or two minutes, or seconds for a program far too large. Results are cached in
$SEMCODER_CACHE (~/.cache/semcoder-jax), so an interrupted plan can be continued.
Exit status: 0 fits everywhere, 1 does not fit everywhere, 2 user error.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.terminal.command_line import CommandLineError, run_command
from semcoder_jax.commands import completion, config_flags
from semcoder_jax.config import RunConfig, parse_run
from semcoder_jax.planner import topologies

_REQUIRED = {"topology": "Names like v5e:4x4, separated by commas."}
_OPTIONAL = {
    "slices": "Slices of each topology.",
    "steps": "Steps of the recipe.",
    "write": "Config file to write with --search.",
}
_SWITCHES = ("json", "search")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 all fit, 1 not all, 2 user error, 130 interrupted."""
    stopped = "interrupted; what is compiled is kept: the same command goes on from there"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> int:
    completion.offer(_SWITCHES, {**_REQUIRED, **_OPTIONAL, **completion.run_fields()})
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # planning uses no accelerator
    run, places, options = parse_arguments(arguments)
    from semcoder_jax.planner import written_config
    from semcoder_jax.planner.plans import make_plans
    from semcoder_jax.planner.report import plan_lines, setting_lines, table_lines

    plans = make_plans(run, places, num_steps=options["steps"], find_fastest=options["search"])
    if options["json"]:
        print(json.dumps([plan.to_record() for plan in plans], indent=1))
    else:
        lines = table_lines(plans) if len(plans) > 1 or options["search"] else []
        if len(plans) == 1:
            lines += [*([""] if lines else []), *plan_lines(plans[0])]
        if options["search"]:
            lines += ["", *setting_lines(plans)]
        print("\n".join(lines))
    if options["write"]:
        written_config.write_config(*options["write"], plan=plans[0])
        print(f"written: {options['write'][0]}", file=sys.stderr)
    return 0 if all(plan.step.fits for plan in plans) else 1


def parse_arguments(
    argv: Sequence[str],
) -> tuple[RunConfig, list[topologies.Topology], dict]:
    """Returns (checked config, topologies, options). Raises a UserError."""
    switches = {name: f"--{name}" in argv for name in _SWITCHES}
    rest = [argument for argument in argv if argument not in {f"--{name}" for name in _SWITCHES}]
    config, values = config_flags.parse_arguments(rest, _REQUIRED, _OPTIONAL, new_fields=True)
    counts = {name: _count(name, values[name]) for name in ("slices", "steps")}
    names = [name for name in values["topology"].split(",") if name.strip()]
    places = [topologies.parse(name, counts["slices"]) for name in names]
    if not places:
        raise CommandLineError("command line: --topology is empty")
    from semcoder_jax.planner.compiled_step import architecture
    from semcoder_jax.planner.plans import without_data

    run = parse_run(without_data(config.to_dict()))
    architecture(run)  # raises if the config does not define it
    write = _written(argv, config, values["write"], switches["search"], len(places))
    options = switches | {"steps": counts["steps"], "write": write}
    return run, list(dict.fromkeys(places)), options


def _written(argv: Sequence[str], config, path: str | None, searches: bool, num_places: int):
    """Returns (file, the config's name, overrides by dotted name) of --write, or None."""
    if path is None:
        return None
    if not searches or num_places != 1:
        raise CommandLineError("command line: --write: expected with --search and one --topology")
    from semcoder_jax.planner.written_config import check_target

    check_target(Path(path))
    words = [word.lstrip("-").partition("=") for word in argv if word.startswith("-")]
    base = next(value for name, _, value in words if name == "config")
    overrides = {}
    for name, _, _ in words:
        if name.startswith("config."):
            value = config
            for part in name.split(".")[1:]:
                value = value[part]
            overrides[name.removeprefix("config.")] = value
    return Path(path), base, overrides


def _count(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise CommandLineError(
            f"command line: --{name} is {text!r}, expected a whole number of at least 1"
        )
    return int(text)
