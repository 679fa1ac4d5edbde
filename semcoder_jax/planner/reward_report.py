"""Formats plans of learning from rewards: memory and time of each program, and of a step."""

from collections.abc import Sequence

from semcoder_jax.planner.calibration import calibration
from semcoder_jax.planner.report import ESTIMATE, GIBIBYTE, aligned, gib, share_text, span
from semcoder_jax.planner.reward_memory import Room
from semcoder_jax.planner.reward_plans import RewardPlan
from semcoder_jax.planner.reward_programs import UPDATE


def reward_plan_lines(plan: RewardPlan) -> list[str]:
    """Formats one plan."""
    lines = [*_facts(plan), "", *_program_table(plan), "", *_verdict(plan)]
    return [*lines, *_times(plan)] if plan.phases else lines


def reward_table_lines(plans: Sequence[RewardPlan]) -> list[str]:
    """Formats several plans as a table, one per row."""
    header = (
        "topology", "chips", "fits", "peak GiB", "of", "at", "mesh", "micro", "slots", "cache GiB",
        "step s", "hours", "chip-hours",
    )  # fmt: skip
    rows = [header]
    for plan in plans:
        name, room = _tightest(plan)
        hours, seconds = plan.hours, plan.step_seconds
        rows.append(
            (
                plan.topology.name,
                f"{plan.topology.num_chips}",
                _fit_word(plan),
                _number(room.total_bytes),
                _number(room.usable_bytes),
                name,
                "x".join(map(str, plan.setting.mesh)),
                f"{plan.setting.accumulation_steps}",
                f"{plan.sizes.slots}",
                _number(plan.stay["cache"]),
                f"{seconds:.3g}" if seconds else "-",
                f"{hours:,.1f}" if hours else "-",
                f"{hours * plan.topology.num_chips:,.0f}" if hours else "-",
            )
        )
    return [
        *aligned(rows, numeric={1, 3, 4, 7, 8, 9, 10, 11, 12}),
        f"step s, hours, chip-hours: {ESTIMATE} by the roofline, a lower bound for answers of full "
        "length (semcoder_jax/planner/reward_times.py);",
        "peak: of the program named under `at`, with what lies beside it; mesh: data x fsdp x "
        "tensor; micro: accumulation_steps",
    ]


def reward_setting_lines(plans: Sequence[RewardPlan]) -> list[str]:
    """Formats each plan's setting as command-line flags."""
    return [
        f"{plan.topology.name}: {plan.setting.flags()} --config.rollouts.slots={plan.sizes.slots}"
        for plan in plans
    ]


def _facts(plan: RewardPlan) -> list[str]:
    topology, sizes, setting = plan.topology, plan.sizes, plan.setting
    stay = [f"{name} {gib(size)}" for name, size in plan.stay.items() if size >= GIBIBYTE / 100]
    rows = [
        (
            "topology",
            f"{topology.name}: {topology.num_chips} chips, {topology.num_devices} devices",
        ),
        ("mesh", "data {} x fsdp {} x tensor {}".format(*setting.mesh)),
        (
            "a step",
            f"{sizes.prompts} prompts of up to {sizes.prompt_tokens:,} tokens, {sizes.answers} "
            f"answers of up to {sizes.answer_tokens:,}, {sizes.slots} at a time; "
            f"{plan.passes} update(s) in {setting.accumulation_steps} microbatches, remat "
            f"{setting.remat}",
        ),
        ("stays on a device", ", ".join(stay) or "less than 0.01 GiB"),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows]


def _program_table(plan: RewardPlan) -> list[str]:
    rows = [
        ("program", "arguments", "temporary", "peak", "beside it", "in all", "of", "s each",
         "runs", "s a step", "limit"),
    ]  # fmt: skip
    for name, program in plan.programs.items():
        room, phase = plan.rooms[name], plan.phases.get(name)
        rows.append(
            (
                name,
                _number(program.argument_bytes),
                _number(program.temp_bytes),
                _number(room.own_bytes),
                _number(room.beside_bytes),
                _number(room.total_bytes),
                _number(room.usable_bytes),
                f"{phase.roofline.step_seconds:.3g}" if phase else "-",
                f"{phase.runs:,.0f}" if phase else "-",
                f"{phase.seconds:.3g}" if phase else "-",
                phase.roofline.limit if phase else "-",
            )
        )
    return [
        *aligned(rows, numeric=set(range(1, 10))),
        f"GiB a device, by the compiler; beside it: what stays and is no argument. s: {ESTIMATE}.",
    ]


def _verdict(plan: RewardPlan) -> list[str]:
    name, room = _tightest(plan)
    of = gib(room.usable_bytes)
    if plan.fits:
        spare = gib(-room.excess_bytes)
        return [f"fits: yes; {name} needs most, {gib(room.total_bytes)} of {of}, {spare} to spare"]
    refusals = [program.refusal for program in plan.programs.values() if program.refusal]
    if refusals:
        return [f"fits: unknown: the compiler fails at it: {refusals[0]}"]
    if room.total_bytes is None:
        return [f"fits: no: the compiler finds no room for {name} in {of}"]
    change = plan.change
    cure = f"--config.{change.flag}" if change and "=" in change.flag else change and change.flag
    ending = f"; {cure} would do: {change.reason}" if change else "; a larger slice is needed"
    return [
        f"fits: no: {name} needs {gib(room.total_bytes)} of {of}, {gib(room.excess_bytes)} too "
        f"much{ending}"
    ]


def _times(plan: RewardPlan) -> list[str]:
    version, seconds = plan.topology.chip.name, plan.step_seconds
    parts = " + ".join(f"{name} {phase.seconds:.3g}" for name, phase in plan.phases.items())
    lines = [
        f"a step, {ESTIMATE}: {seconds:.3g} s = {parts}",
        f"  a lower bound for prompts and answers of full length, {plan.sizes.waves} wave(s) of "
        f"{plan.sizes.slots} answers, without judging (semcoder_jax/planner/reward_times.py)",
    ]
    if plan.hours is not None:
        chips = plan.hours * plan.topology.num_chips
        lines.append(
            f"the run, {ESTIMATE}: {plan.hours:,.2f} hours = {plan.num_steps:,} steps, "
            f"{chips:,.1f} chip-hours"
        )
    update = calibration(version).seconds(plan.phases[UPDATE].seconds)
    lines.append(
        f"calibrated, {ESTIMATE}: update {span(update, '.3g')} s ({share_text(version)} in "
        "training; none is known for sampling)"
    )
    return lines


def _tightest(plan: RewardPlan) -> tuple[str, Room]:
    """Returns the program that lacks most memory; one of unknown need comes first."""

    def excess(item: tuple[str, Room]) -> float:
        found = item[1].excess_bytes
        return float("inf") if found is None else found

    return max(plan.rooms.items(), key=excess)


def _fit_word(plan: RewardPlan) -> str:
    if any(program.refusal for program in plan.programs.values()):
        return "?"
    return "yes" if plan.fits else "no"


def _number(size: int | None) -> str:
    return "?" if size is None else f"{size / GIBIBYTE:.2f}"
