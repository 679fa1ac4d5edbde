"""Plans a training run: memory, step time and total time on a TPU, without a TPU.

    python -m launch.plan --config=FILE --topology=v5e:4x4 [--config.a.b=…] [--json]
    python -m launch.plan --config=FILE --topology=v5e:4x4,v5p:2x2x2,v6e:4x4 --search
    python -m launch.plan --config=FILE --within=HOURS [--topology=v5e,v6e] [--price=v5e:1.2,v6e:2]

Compiles the config's training step for the topology from shapes alone; reads no data, weights or
tokenizer. Reports whether the step fits, peak memory per device, model FLOPs, communication between
devices, and the time of a step and of the run, which the roofline model ESTIMATES
(semcoder_jax/planner/roofline.py). Several topologies give a table. --slices=N joins N slices of
each. --steps=N is the length of the run if the config counts epochs. --search finds the fastest
setting that fits each topology: mesh, microbatches, rematerialization, offload. With one topology,
--write=FILE.py writes it as a config file that imports the planned one, overrides included.

A config that learns from rewards (section rollouts) is planned program by program: the sampler's
prefill and decoding, the scoring by a reference, the update; each with the arrays that stay beside
it. --search then chooses mesh, answers at a time and microbatches.

--within=HOURS names the cheapest slice that finishes in that time, of v4, v5e, v5p, v6e and tpu7x
or of --topology (versions or slices): the one of least price where --price gives that of a
chip-hour by version, else the one of fewest chip-hours of each version. Times are calibrated with
published runs (semcoder_jax/planner/calibration.py). Slices that cannot win are not compiled.
--tokens=N gives the length of the run in place of --steps.

Needs libtpu: pip install "jax[tpu]", or a folder that contains it in SEMCODER_LIBTPU. Compiling
takes one or two minutes, or seconds for a program far too large. Results are cached in
$SEMCODER_CACHE (~/.cache/semcoder-jax), so an interrupted plan can be continued.
Exit status: 0 fits everywhere, 1 does not fit everywhere, 2 user error.
"""

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.files import check_has_folder, is_remote
from data_pipeline.terminal.command_line import CommandLineError, parse_count, run_command
from semcoder_jax.commands import completion, config_flags
from semcoder_jax.config import RunConfig, parse_run
from semcoder_jax.planner import topologies

_FLAGS = {
    "topology": "Names like v5e:4x4, separated by commas.",
    "slices": "Slices of each topology.",
    "steps": "Steps of the recipe.",
    "write": "Config file to write with --search.",
    "tokens": "Tokens of the recipe, in place of its steps.",
    "within": "Hours: names the cheapest slice that finishes in them.",
    "price": "Prices of a chip-hour by version, like v5e:1.2,v6e:2.7.",
}
_SWITCHES = ("json", "search")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 all fit, 1 not all, 2 user error, 130 interrupted."""
    stopped = "interrupted; what is compiled is kept: the same command goes on from there"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> int:
    completion.offer(_SWITCHES, {**_FLAGS, **completion.run_fields()})
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # planning uses no accelerator
    run, places, options = parse_arguments(arguments)
    if run.rollouts is not None:
        return _plan_rewards(run, places, options)
    if options["within"] is not None:
        return _plan_within(run, places, options)
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


def _plan_rewards(run: RunConfig, places: list[topologies.Topology], options: dict) -> int:
    from semcoder_jax.planner.reward_report import (
        reward_plan_lines,
        reward_setting_lines,
        reward_table_lines,
    )
    from semcoder_jax.planner.reward_search import make_reward_plans

    for flag in ("within", "write"):
        if options[flag]:
            raise CommandLineError(
                f"command line: --{flag}: not for learning from rewards (section rollouts)"
            )
    plans = make_reward_plans(
        run, places, num_steps=options["steps"], find_fastest=options["search"]
    )
    if options["json"]:
        print(json.dumps([plan.to_record() for plan in plans], indent=1))
    else:
        lines = reward_plan_lines(plans[0]) if len(plans) == 1 else reward_table_lines(plans)
        if options["search"]:
            lines += ["", *reward_setting_lines(plans)]
        print("\n".join(lines))
    return 0 if all(plan.fits for plan in plans) else 1


def _plan_within(run: RunConfig, places: list[topologies.Topology], options: dict) -> int:
    from semcoder_jax.planner.deadline import Deadline, plan_within
    from semcoder_jax.planner.deadline_report import deadline_lines, deadline_record

    num_steps = run.train.num_steps or options["steps"]
    deadline = Deadline(options["within"], num_steps, options["price"])
    found = plan_within(run, places, deadline)
    if options["json"]:
        print(json.dumps(deadline_record(found, deadline), indent=1))
    else:
        print("\n".join(deadline_lines(found, deadline, _tokens_per_step(run))))
    return 0 if any(result.best for result in found.values()) else 1


def parse_arguments(
    argv: Sequence[str],
) -> tuple[RunConfig, list[topologies.Topology], dict]:
    """Returns (checked config, topologies, options). Raises a UserError."""
    switches = {name: f"--{name}" in argv for name in _SWITCHES}
    rest = [argument for argument in argv if argument not in {f"--{name}" for name in _SWITCHES}]
    # The config's paths are not asked for: a plan reads none but that of an architecture, and runs
    # where a pod is launched, which need not reach them.
    config, values = config_flags.parse_arguments(rest, {}, _FLAGS, new_fields=True)
    if values["write"] is not None and is_remote(values["write"]):
        raise CommandLineError(
            f"--write={values['write']}: expected a local path: a config is a program that this "
            "machine runs"
        )
    options = switches | {name: _count(name, values[name]) for name in ("slices", "steps")}
    options |= {"within": _hours(values["within"]), "price": _prices(values["price"])}
    names = [name for name in (values["topology"] or "").split(",") if name.strip()]
    if values["topology"] is not None and not names:
        raise CommandLineError("command line: --topology is empty")
    if options["within"] is None:
        if not names:
            raise CommandLineError("command line: --topology=… is missing")
        if options["price"]:
            raise CommandLineError("command line: --price: expected with --within only")
    elif options["search"]:
        raise CommandLineError("command line: --search: expected without --within, which searches")
    places = [] if options["within"] else [topologies.parse(n, options["slices"]) for n in names]
    from semcoder_jax.planner.compiled_step import architecture
    from semcoder_jax.planner.plans import without_data

    run = parse_run(without_data(config.to_dict()))
    model = architecture(run)  # raises if the config does not define it
    options["steps"] = _steps(run, options["steps"], _count("tokens", values["tokens"]))
    if options["within"] is not None:
        places = _slices_within(names, options, run, model)
        if run.train.num_steps and options["steps"]:
            raise CommandLineError(
                f"command line: --steps: the config has train.num_steps {run.train.num_steps}"
            )
        if not (run.train.num_steps or options["steps"]):
            raise CommandLineError(
                "command line: --within: the config counts epochs; give --steps=N or --tokens=N"
            )
    options["write"] = _written(argv, config, values["write"], switches["search"], len(places))
    return run, list(dict.fromkeys(places)), options


def _slices_within(names: list[str], options: dict, run: RunConfig, model) -> list:
    """Returns the slices that compete: those named, and all of the versions named or priced."""
    from semcoder_jax.planner.deadline import VERSIONS, slices_of

    prices = options["price"]
    names = names or [version for version in VERSIONS if not prices or version in prices]
    versions = [name.strip() for name in names if name.strip() in topologies.CHIPS]
    if versions and options["slices"]:
        raise CommandLineError(
            "command line: --slices: expected with --topology naming slices, such as v5e:4x4"
        )
    given = [name for name in names if name.strip() not in topologies.CHIPS]
    places = [topologies.parse(name, options["slices"]) for name in given]
    places += slices_of(versions, run.data.global_batch_size, model)
    unpriced = sorted({place.chip.name for place in places} - set(prices)) if prices else []
    if unpriced:
        raise CommandLineError(f"command line: --price: none given for {', '.join(unpriced)}")
    return places


def _steps(run: RunConfig, steps: int | None, tokens: int | None) -> int | None:
    if tokens is None:
        return steps
    if steps is not None or run.train.num_steps is not None:
        other = "--steps" if steps is not None else "train.num_steps in the config"
        raise CommandLineError(f"command line: --tokens and {other} both give the run's length")
    return -(-tokens // _tokens_per_step(run))


def _tokens_per_step(run: RunConfig) -> int:
    return run.data.global_batch_size * run.data.sequence_length


def _hours(text: str | None) -> float | None:
    return None if text is None else _positive(text, "--within", "a number of hours above 0")


def _prices(text: str | None) -> dict[str, float]:
    """Parses v5e:1.2,v6e:2.7."""
    prices = {}
    for part in (text or "").split(",") if text is not None else []:
        version, _, price = part.strip().partition(":")
        if version not in topologies.CHIPS:
            raise CommandLineError(
                f"command line: --price: {version!r} is no TPU version, expected VERSION:PRICE "
                f"with one of {', '.join(topologies.CHIPS)}"
            )
        prices[version] = _positive(price, f"--price: {version}", "a price above 0")
    return prices


def _positive(text: str, flag: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise CommandLineError(f"command line: {flag} is {text!r}, expected {expected}")
    return value


def _written(argv: Sequence[str], config, path: str | None, searches: bool, num_places: int):
    """Returns (file, the config's name, overrides by dotted name) of --write, or None."""
    if path is None:
        return None
    if not searches or num_places != 1:
        raise CommandLineError("command line: --write: expected with --search and one --topology")
    from semcoder_jax.planner.written_config import check_target

    check_target(Path(path))
    check_has_folder("--write", path)
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
    return None if text is None else parse_count(f"command line: --{name}", text)
