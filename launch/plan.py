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
from collections.abc import Sequence

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a plan touches no accelerator

from data_pipeline.terminal.command_line import CommandLineError, run_command
from semcoder_jax.commands import config_flags
from semcoder_jax.config import RunConfig, parse_run
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiled_step import architecture
from semcoder_jax.planner.plans import make_plans, without_data
from semcoder_jax.planner.report import (
    plan_lines,
    setting_lines,
    table_lines,
)

_SWITCHES = ("json", "search")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all fit, 1 not all, 2 the user's mistake, 130 interrupted."""
    stopped = "interrupted; what is compiled is kept: the same command goes on from there"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> int:
    run, places, options = parse_arguments(arguments)
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
    return 0 if all(plan.step.fits for plan in plans) else 1


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
