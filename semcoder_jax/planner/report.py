"""Reports a plan: the memory and time that a config's step and recipe need on a topology.

Combines the compiler's result (compiled_step) with the roofline estimate. Formats one plan as
aligned lines, several as a table with one row each, and any plan as JSON.
"""

import dataclasses
from collections.abc import Collection, Sequence

from semcoder_jax.config import RunConfig
from semcoder_jax.model import flops
from semcoder_jax.planner.calibration import PublishedRun, calibration
from semcoder_jax.planner.compiled_step import CompiledStep, architecture
from semcoder_jax.planner.roofline import Exchange, Roofline, memory_bytes, roofline
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import StepBounds
from semcoder_jax.planner.topologies import Topology

GIBIBYTE = 2**30
ESTIMATE = "ESTIMATE"


@dataclasses.dataclass(frozen=True)
class Plan:
    """One config on one topology.

    Attributes:
      rows: rows of a microbatch on a device.
      model_flops: model FLOPs of a step, over all devices.
      num_steps: steps of the recipe; None if the config counts epochs (a plan reads no data).
      roofline: the time estimate; None if the step does not fit.
    """

    topology: Topology
    setting: Setting
    step: CompiledStep
    num_layers: int
    rows: int
    tokens: int
    model_flops: float
    num_steps: int | None
    roofline: Roofline | None

    @property
    def mfu(self) -> float:
        """Returns the estimated model FLOP/s divided by peak FLOP/s."""
        peak = self.topology.num_chips * self.topology.chip.peak_flops
        return self.model_flops / (self.roofline.step_seconds * peak)

    @property
    def hours(self) -> float | None:
        if self.num_steps is None or self.roofline is None:
            return None
        return self.num_steps * self.roofline.step_seconds / 3600

    def to_record(self) -> dict:
        """Returns JSON-like fields; all estimates are under `estimate`."""
        record = {
            "topology": self.topology.name,
            "chips": self.topology.num_chips,
            "setting": dataclasses.asdict(self.setting) | {"mesh": list(self.setting.mesh)},
            "fits": self.step.fits,
            "rows_per_device": self.rows,
            "tokens_per_step": self.tokens,
            "model_flops_per_step": self.model_flops,
            "num_steps": self.num_steps,
            "compiler": self.step.to_record(),
            "estimate": None,
        }
        if self.roofline:
            seconds = self.roofline.step_seconds
            record["estimate"] = {
                "seconds": dataclasses.asdict(self.roofline),
                "step_seconds": seconds,
                "limit": self.roofline.limit,
                "tokens_per_second": self.tokens / seconds,
                "mfu": self.mfu,
                "calibrated_step_seconds": list(
                    calibration(self.topology.chip.name).seconds(seconds)
                ),
                "hours": self.hours,
                "chip_hours": self.hours and self.hours * self.topology.num_chips,
            }
        return record


def make_plan(
    run: RunConfig, topology: Topology, step: CompiledStep, num_steps: int | None = None
) -> Plan:
    """Makes a plan; `num_steps` is used if the config gives none."""
    config, setting = architecture(run), Setting.of(run, topology.num_devices)
    batch, length = run.data.global_batch_size, run.data.sequence_length
    return Plan(
        topology,
        setting,
        step,
        num_layers=config.num_layers,
        rows=setting.rows(batch),
        tokens=batch * length,
        model_flops=flops.model_flops(
            config, batch, length, adapter_parameters=step.trained_parameters if run.lora else None
        ),
        num_steps=run.train.num_steps or num_steps,
        roofline=step_roofline(run, topology, step) if step.fits else None,
    )


def step_roofline(run: RunConfig, topology: Topology, step: CompiledStep) -> Roofline:
    """Estimates the time of a compiled step; `run` has the setting that it was compiled with."""
    return roofline(
        topology,
        executed_flops=step.executed_flops,
        memory_bytes=traffic(run, topology, step.executed_flops, step.trained_parameters),
        exchanges=[Exchange(**record) for record in step.collectives],
    )


def roofline_at_best(run: RunConfig, topology: Topology, bounds: StepBounds) -> Roofline:
    """Returns the estimate from the bounds; no compiled step of the setting gets a faster one."""
    sent = bounds.slice_bytes if topology.num_slices > 1 else bounds.exchanged_bytes
    return roofline(
        topology,
        executed_flops=bounds.executed_flops,
        memory_bytes=traffic(run, topology, bounds.executed_flops, bounds.trained_parameters),
        exchanges=[Exchange("collective-permute", "any", (), sent, topology.devices_per_slice)],
    )


def traffic(run: RunConfig, topology: Topology, executed: float, trained: int) -> float:
    """Returns the HBM bytes that one device moves in a step (see roofline)."""
    setting = Setting.of(run, topology.num_devices)
    data, fsdp, tensor = setting.mesh
    return memory_bytes(
        architecture(run),
        tokens=run.data.global_batch_size * run.data.sequence_length / (data * fsdp),
        microbatches=setting.accumulation_steps,
        tensor=tensor,
        executed_flops=executed / (data * fsdp),
        trained_parameters=trained / (fsdp * tensor),
    )


def plan_lines(plan: Plan) -> list[str]:
    """Formats one plan as aligned lines."""
    step, topology, setting = plan.step, plan.topology, plan.setting
    chip = topology.chip
    rows = [
        (
            "topology",
            f"{topology.name}: {topology.num_chips} chips, {topology.num_devices} devices",
        ),
        ("mesh", "data {} x fsdp {} x tensor {}".format(*setting.mesh)),
        (
            "batch",
            f"{plan.tokens:,} tokens a step in {setting.accumulation_steps} microbatches, "
            f"{plan.rows} rows a device at a time, remat {setting.remat}",
        ),
        ("fits", fit_text(step)),
        ("usable memory", f"{gib(step.usable_bytes)} a device (HBM that the compiler may use)"),
        ("state and batch", f"{gib(step.argument_bytes)} a device"),
        ("trained", f"{step.trained_parameters:,} parameters"),
        (
            "model FLOPs",
            f"{plan.model_flops:.4g} a step = 3 (2 N tokens + 4 L H K pairs), see "
            f"semcoder_jax/model/flops.py",
        ),
        (
            "executed FLOPs",
            f"{step.executed_flops:.4g} a step, {step.executed_flops / plan.model_flops:.2f} x "
            f"model FLOPs (recomputation, hidden keys)",
        ),
    ]
    if plan.roofline:
        found = plan.roofline
        network = "" if found.network in (None, 0) else f", DCN {found.network:.3g}"
        if found.network is None:
            network = ", DCN unknown (no figure published)"
        rows += [
            (
                f"step, {ESTIMATE}",
                f"{found.step_seconds:.3g} s = max of compute {found.compute:.3g}, memory "
                f"{found.memory:.3g}, ICI {found.ici:.3g}{network} s; {found.total_seconds:.3g} s "
                f"if nothing overlapped",
            ),
            ("", f"peak {chip.peak_flops / 1e12:g} TFLOP/s a chip, HBM "
             f"{chip.memory_bandwidth / 1e9:g} GB/s, {topology.links} ICI links of "
             f"{chip.link_bandwidth / 1e9:g} GB/s"),
            (
                f"speed, {ESTIMATE}",
                f"{plan.tokens / found.step_seconds:,.0f} tokens/s, at most {plan.mfu:.0%} MFU",
            ),
            (f"recipe, {ESTIMATE}", recipe_text(plan)),
            (f"calibrated, {ESTIMATE}", calibrated_text(plan)),
            ("", share_text(chip.name)),
            *(("", line) for line in published_lines(calibration(chip.name).runs)),
        ]  # fmt: skip
    rows.append(("compiled in", f"{step.seconds:.0f} s"))
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows] + collective_lines(plan)


def collective_lines(plan: Plan) -> list[str]:
    """Lists the collectives of a step, most bytes first."""
    exchanges = [Exchange(**record) for record in plan.step.collectives]
    if not exchanges:
        return []
    exchanges.sort(key=lambda exchange: -sum(exchange.received_bytes()))
    shapes = [",".join(map(str, exchange.shape)) or "scalar" for exchange in exchanges]
    width = max(map(len, shapes))
    lines = [
        "collectives (received: bytes that a device gets from others in a step)",
        f"  {'kind':18} {'dtype':8} {'shape':{width}} {'MB each':>9} {'devices':>7} {'times':>7}  "
        f"{'each':10} {'received GB':>11}",
    ]
    for exchange, shape in zip(exchanges, shapes, strict=True):
        across = ", between slices" if exchange.slices > 1 else ""
        lines.append(
            f"  {exchange.kind:18} {exchange.dtype:8} {shape:{width}} "
            f"{exchange.bytes / 1e6:>9,.2f} {exchange.group:>7} {exchange.times:>7,}  "
            f"{_place(plan, exchange):10} {sum(exchange.received_bytes()) / 1e9:>11,.3f}{across}"
        )
    total = sum(sum(exchange.received_bytes()) for exchange in exchanges)
    least = plan.step.least_exchanged_bytes
    share = f", {total / least:.3f} x" if least else ";"
    lines.append(
        f"  in all {total / 1e9:,.3f} GB a step{share} the least that fully sharded data "
        f"parallelism can do with ({least / 1e9:,.3f} GB)"
    )
    return lines + sent_lines(plan)


def sent_lines(plan: Plan) -> list[str]:
    """Formats the bytes that a device sends in the compiled program.

    They may differ from those of the program's text: the compiler may run a reduce-scatter as an
    all-reduce, or gather a weight twice if it is short of memory.
    """
    sent, topology = plan.step.sent_bytes, plan.topology
    if not sent:
        return []
    total = sum(sent.values())
    kinds = ", ".join(f"{kind} {size / 1e9:,.3f}" for kind, size in sent.items())
    lines = [f"  sent as compiled: {total / 1e9:,.3f} GB a step ({kinds})"]
    if topology.num_slices == 1 and topology.links:
        seconds = topology.chip.devices * total / (topology.links * topology.chip.link_bandwidth)
        serial = plan.roofline.total_seconds - plan.roofline.ici + seconds
        lines.append(
            f"  {ESTIMATE}: ICI {seconds:.3g} s with these bytes; {serial:.3g} s a step if nothing "
            f"overlapped"
        )
    return lines


def _place(plan: Plan, exchange: Exchange) -> str:
    """Returns how often it runs: once per "step", "microbatch", "layer" or "chunk"."""
    loops, steps = exchange.loops, plan.setting.accumulation_steps
    if steps > 1 and loops[:1] == (steps,):
        loops = loops[1:]
        if not loops:
            return "microbatch"
    if not loops:
        return "step"
    return "layer" if loops == (plan.num_layers,) else "chunk"


def table_lines(plans: Sequence[Plan]) -> list[str]:
    """Formats several plans as a table, one per row, to compare before requesting quota."""
    header = (
        "topology", "chips", "fits", "peak GiB", "of", "mesh", "micro", "rows", "remat",
        "step s", "serial s", "limit", "tokens/s", "hours", "chip-hours",
    )  # fmt: skip
    rows = [header]
    for plan in plans:
        step, found, hours = plan.step, plan.roofline, plan.hours
        peak = step.peak_bytes or step.needed_bytes
        rows.append(
            (
                plan.topology.name,
                f"{plan.topology.num_chips}",
                "yes" if step.fits else "?" if step.refusal else "no",
                f"{peak / GIBIBYTE:.2f}" if peak else "?",
                f"{step.usable_bytes / GIBIBYTE:.2f}",
                "x".join(map(str, plan.setting.mesh)),
                f"{plan.setting.accumulation_steps}",
                f"{plan.rows}",
                plan.setting.remat,
                f"{found.step_seconds:.3g}" if found else "-",
                f"{found.total_seconds:.3g}" if found else "-",
                found.limit if found else "-",
                f"{plan.tokens / found.step_seconds:,.0f}" if found else "-",
                f"{hours:,.1f}" if hours else "-",
                f"{hours * plan.topology.num_chips:,.0f}" if hours else "-",
            )
        )
    lines = aligned(rows, numeric={1, 3, 4, 6, 7, 9, 10, 12, 13, 14})
    notes = [
        f"step s, tokens/s, hours, chip-hours: {ESTIMATE} by the roofline "
        f"(semcoder_jax/planner/roofline.py), a lower bound of the time;",
        "serial s: the step if compute, memory and network never overlapped;",
        "mesh: data x fsdp x tensor; micro: accumulation_steps; rows: of a microbatch on a device",
    ]
    return [*lines, *notes]


def aligned(rows: Sequence[Sequence[str]], numeric: Collection[int]) -> list[str]:
    """Formats rows of cells as lines of aligned columns; those in `numeric` to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if i in numeric else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def setting_lines(plans: Sequence[Plan]) -> list[str]:
    """Formats each plan's setting as command-line flags."""
    return [f"{plan.topology.name}: {plan.setting.flags()}" for plan in plans]


def fit_text(step: CompiledStep) -> str:
    if step.fits:
        room = step.usable_bytes - step.peak_bytes
        return f"yes: peak {gib(step.peak_bytes)} of {gib(step.usable_bytes)}, {gib(room)} to spare"
    if step.refusal:
        return f"unknown: the compiler fails at it: {step.refusal}"
    if step.needed_bytes is None:
        return f"no: the compiler finds no room in {gib(step.usable_bytes)}"
    over = step.needed_bytes - step.usable_bytes
    known = "" if step.seconds else "at least "  # 0 s: known from the bounds, not compiled
    return (
        f"no: needs {known}{gib(step.needed_bytes)} of {gib(step.usable_bytes)}, {gib(over)} too "
        f"much"
    )


def recipe_text(plan: Plan) -> str:
    if plan.hours is None:
        return "unknown: the config counts epochs; give --steps=N"
    chips = plan.topology.num_chips
    return (
        f"{plan.hours:,.2f} hours = {plan.num_steps:,} steps, {plan.hours * chips:,.1f} chip-hours"
    )


def calibrated_text(plan: Plan) -> str:
    """Formats the time of a step and of the run at the shares that published runs reach."""
    found = calibration(plan.topology.chip.name)
    text = f"{span(found.seconds(plan.roofline.step_seconds), '.3g')} s a step"
    if plan.hours is not None:
        text += f", {span(found.seconds(plan.hours), ',.2f')} hours"
    return text


def share_text(version: str) -> str:
    """Formats the share of the roofline that published runs on a TPU version reach."""
    found = calibration(version)
    none = "" if found.own else f"; none of them is on {version}"
    return f"published runs reach {span((found.low, found.high), '.0%')} of this roofline{none}"


def published_lines(runs: Sequence[PublishedRun]) -> list[str]:
    """Lists published runs with their sources."""
    lines = []
    for run in runs:
        speed = f"{run.tokens_per_second:,.0f} tokens/s a chip, {run.share:.0%}"
        lines += [f"{run.name}: {speed}", f"  {run.source}"]
    return lines


def span(values: tuple[float, float], form: str) -> str:
    """Formats a range, or one value if both look alike."""
    low, high = (format(value, form) for value in values)
    return low if low == high else f"{low} to {high}"


def verdict(step: CompiledStep) -> str:
    """Returns the result in a few words, for the progress line."""
    if step.refusal:
        return "the compiler fails"
    return "fits" if step.fits else "does not fit"


def gib(size: float) -> str:
    return f"{size / GIBIBYTE:.2f} GiB"
