"""A plan: what a step of a config needs and how long its recipe may take on a topology.

Plans are made from what the compiler says (compiled_step) and from the roofline, and shown as one
table for one plan, as a table of rows for several, or as JSON.
"""

import dataclasses
from collections.abc import Sequence

from launch.compiled_step import CompiledStep, architecture
from launch.roofline import Exchange, Roofline, memory_bytes, roofline
from launch.topologies import Topology
from semcoder_jax import flops
from semcoder_jax.config import RunConfig

GIBIBYTE = 2**30
ESTIMATE = "ESTIMATE"


@dataclasses.dataclass(frozen=True)
class Setting:
    """The part of a config that a search may choose; none of it changes what is learned.

    ``mesh`` is (data, fsdp, tensor).
    """

    mesh: tuple[int, int, int]
    accumulation_steps: int
    remat: str

    @classmethod
    def of(cls, run: RunConfig, num_devices: int) -> "Setting":
        sizes = [run.mesh.get(axis, 1) for axis in ("data", "fsdp", "tensor")]
        known = 1
        for size in sizes:
            known *= size if size != -1 else 1
        mesh = tuple(num_devices // known if size == -1 else size for size in sizes)
        return cls(mesh, run.train.accumulation_steps, run.compute.remat)

    def applied(self, run: RunConfig) -> RunConfig:
        return dataclasses.replace(
            run,
            mesh=dict(zip(("data", "fsdp", "tensor"), self.mesh, strict=True)),
            train=dataclasses.replace(run.train, accumulation_steps=self.accumulation_steps),
            compute=dataclasses.replace(run.compute, remat=self.remat),
        )

    def flags(self) -> str:
        """As overrides of the command line."""
        data, fsdp, tensor = self.mesh
        return (
            f"--config.mesh.data={data} --config.mesh.fsdp={fsdp} --config.mesh.tensor={tensor} "
            f"--config.train.accumulation_steps={self.accumulation_steps} "
            f"--config.compute.remat={self.remat}"
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """One config on one topology.

    Attributes:
      rows: of a microbatch on a device.
      model_flops: of a step, all devices.
      num_steps: of the recipe; None where the config counts epochs of data that are not read.
      roofline: None where the step does not fit.
    """

    topology: Topology
    setting: Setting
    step: CompiledStep
    rows: int
    tokens: int
    model_flops: float
    num_steps: int | None
    roofline: Roofline | None

    @property
    def mfu(self) -> float:
        """Model FLOP/s over peak, by the estimate."""
        peak = self.topology.num_chips * self.topology.chip.peak_flops
        return self.model_flops / (self.roofline.step_seconds * peak)

    @property
    def hours(self) -> float | None:
        if self.num_steps is None or self.roofline is None:
            return None
        return self.num_steps * self.roofline.step_seconds / 3600

    def to_record(self) -> dict:
        """As JSON; what is estimated stands under ``estimate``."""
        record = {
            "topology": self.topology.name,
            "chips": self.topology.num_chips,
            "setting": dataclasses.asdict(self.setting) | {"mesh": list(self.setting.mesh)},
            "fits": self.step.fits,
            "rows_per_device": self.rows,
            "tokens_per_step": self.tokens,
            "model_flops_per_step": self.model_flops,
            "num_steps": self.num_steps,
            "compiler": self.step.to_record() | {"collectives": list(self.step.collectives)},
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
                "hours": self.hours,
                "chip_hours": self.hours and self.hours * self.topology.num_chips,
            }
        return record


def make_plan(
    run: RunConfig, topology: Topology, step: CompiledStep, num_steps: int | None
) -> Plan:
    """``num_steps`` stands in for the config's where that has none."""
    config, setting = architecture(run), Setting.of(run, topology.num_devices)
    data, fsdp, tensor = setting.mesh
    shards = data * fsdp
    batch, length = run.data.global_batch_size, run.data.sequence_length
    lora = getattr(run, "lora", None)
    model_flops = flops.model_flops(
        config, batch, length, adapter_parameters=step.trained_parameters if lora else None
    )
    found = None
    if step.fits:
        found = roofline(
            topology,
            executed_flops=step.executed_flops,
            memory_bytes=memory_bytes(
                config,
                tokens=batch * length / shards,
                microbatches=setting.accumulation_steps,
                tensor=tensor,
                executed_flops=step.executed_flops / shards,
                trained_parameters=step.trained_parameters / (fsdp * tensor),
            ),
            exchanges=[Exchange(**record) for record in step.collectives],
        )
    return Plan(
        topology,
        setting,
        step,
        rows=batch // setting.accumulation_steps // shards,
        tokens=batch * length,
        model_flops=model_flops,
        num_steps=run.train.num_steps or num_steps,
        roofline=found,
    )


def plan_lines(plan: Plan) -> list[str]:
    """One plan as aligned lines."""
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
            f"semcoder_jax/flops.py",
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
        ]  # fmt: skip
    rows.append(("compiled in", f"{step.seconds:.0f} s"))
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows] + collective_lines(step)


def collective_lines(step: CompiledStep) -> list[str]:
    """The exchanges of a step, largest first."""
    if not step.collectives:
        return []
    exchanges = [Exchange(**record) for record in step.collectives]
    exchanges.sort(key=lambda exchange: -sum(exchange.received()))
    lines = [
        "collectives (received: bytes that a device gets from others in a step)",
        f"  {'kind':18} {'dtype':8} {'MB each':>10} {'devices':>8} {'times':>7} {'received':>12}",
    ]
    total = 0.0
    for exchange in exchanges:
        received = sum(exchange.received())
        total += received
        lines.append(
            f"  {exchange.kind:18} {exchange.dtype:8} {exchange.bytes / 1e6:>10,.2f} "
            f"{exchange.group:>8} {exchange.times:>7,} {received / 1e9:>9,.3f} GB"
        )
    return [*lines, f"  {'all':18} {'':8} {'':10} {'':8} {'':7} {total / 1e9:>9,.3f} GB"]


def table_lines(plans: Sequence[Plan]) -> list[str]:
    """Several plans, one a row: what a buyer of quota compares."""
    header = (
        "topology", "chips", "fits", "peak GiB", "of", "mesh", "micro", "rows", "remat",
        "step s", "limit", "tokens/s", "hours", "chip-hours",
    )  # fmt: skip
    rows = [header]
    for plan in plans:
        step, found, hours = plan.step, plan.roofline, plan.hours
        peak = step.peak_bytes or step.needed_bytes
        rows.append(
            (
                plan.topology.name,
                f"{plan.topology.num_chips}",
                "yes" if step.fits else "no",
                f"{peak / GIBIBYTE:.2f}" if peak else "?",
                f"{step.usable_bytes / GIBIBYTE:.2f}",
                "x".join(map(str, plan.setting.mesh)),
                f"{plan.setting.accumulation_steps}",
                f"{plan.rows}",
                plan.setting.remat,
                f"{found.step_seconds:.3g}" if found else "-",
                found.limit if found else "-",
                f"{plan.tokens / found.step_seconds:,.0f}" if found else "-",
                f"{hours:,.1f}" if hours else "-",
                f"{hours * plan.topology.num_chips:,.0f}" if hours else "-",
            )
        )
    numeric = {1, 3, 4, 6, 7, 9, 11, 12, 13}
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            text.rjust(width) if i in numeric else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    note = (
        f"step s, tokens/s, hours, chip-hours: {ESTIMATE} by the roofline (launch/roofline.py), "
        f"a lower bound of the time; mesh: data x fsdp x tensor; micro: accumulation_steps; rows: "
        f"of a microbatch on a device"
    )
    return [*lines, note]


def fit_text(step: CompiledStep) -> str:
    if step.fits:
        room = step.usable_bytes - step.peak_bytes
        return f"yes: peak {gib(step.peak_bytes)} of {gib(step.usable_bytes)}, {gib(room)} to spare"
    if step.needed_bytes is None:
        return f"no: the compiler finds no room in {gib(step.usable_bytes)}"
    over = step.needed_bytes - step.usable_bytes
    return f"no: needs {gib(step.needed_bytes)} of {gib(step.usable_bytes)}, {gib(over)} too much"


def recipe_text(plan: Plan) -> str:
    if plan.hours is None:
        return "unknown: the config counts epochs; give --steps=N"
    chips = plan.topology.num_chips
    return (
        f"{plan.hours:,.2f} hours = {plan.num_steps:,} steps, {plan.hours * chips:,.1f} chip-hours"
    )


def gib(size: float) -> str:
    return f"{size / GIBIBYTE:.2f} GiB"
