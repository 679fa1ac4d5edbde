"""Measures speed and memory of training over an interval of steps."""

import dataclasses
import resource
import sys
from collections.abc import Callable, Sequence

import jax

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model.flops import matmul_parameters, peak_flops, training_flops
from semcoder_jax.training.goodput import CHECKPOINT, COMPILE, EVALUATION, INPUT, PROFILE, START

_NOT_TRAINING = (START, COMPILE, EVALUATION, CHECKPOINT, PROFILE)


@dataclasses.dataclass(frozen=True)
class Machine:
    """The devices that train: `peak` is the bfloat16 FLOP/s of all of them, None if unknown."""

    kind: str
    devices: int
    peak: float | None

    @classmethod
    def of(cls, devices: Sequence[jax.Device]) -> "Machine":
        peak = peak_flops(devices[0].device_kind)
        return cls(devices[0].device_kind, len(devices), peak and peak * len(devices))


@dataclasses.dataclass(frozen=True)
class Speed:
    """Holds the speed of `steps` that took `seconds` (without evaluation, saves and compilation).

    `tokens` excludes padding, `targets` are tokens with a loss, `flops` are model FLOPs;
    `input_wait` is the share of the seconds spent waiting for a batch.
    """

    steps: int
    seconds: float
    tokens: float
    targets: float
    flops: float
    input_wait: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    def scalars(self, machine: Machine) -> dict[str, float]:
        """Returns the values by their names in metrics.jsonl; `mfu` is a share of 1."""
        values = {
            "tokens_per_second": self.tokens_per_second,
            "targets_per_second": self.targets / self.seconds,
            "seconds_per_step": self.seconds / self.steps,
            "model_flops_per_second": self.flops / self.seconds,
            "input_wait": self.input_wait,
        }
        if machine.peak:
            values["mfu"] = self.flops / self.seconds / machine.peak
        return values

    def __str__(self) -> str:
        return (
            f"{self.tokens_per_second:,.0f} tokens/s  {self.targets / self.seconds:,.0f} targets/s"
        )


def measure_speed(
    totals: dict[str, float], steps: int, seconds: dict[str, float], flops: float
) -> Speed | None:
    """Computes the speed of an interval from its sums of `tokens` and `target_tokens`.

    `seconds` are by phase. Returns None if speed is not measurable, for example because the
    interval includes compilation.
    """
    training = sum(value for name, value in seconds.items() if name not in _NOT_TRAINING)
    if COMPILE in seconds or training <= 0 or not steps:
        return None
    return Speed(
        steps=steps,
        seconds=training,
        tokens=totals["tokens"],
        targets=totals["target_tokens"],
        flops=flops,
        input_wait=seconds.get(INPUT, 0.0) / training,
    )


def step_flops(
    config: DecoderConfig, adapter_parameters: int | None = None
) -> Callable[[float, float], float]:
    """Returns the function (tokens, attention pairs) -> model FLOPs of training on them."""
    return lambda tokens, pairs: training_flops(
        config, tokens, pairs, adapter_parameters=adapter_parameters
    )


def describe_rates(config: DecoderConfig, machine: Machine, adapters: bool = False) -> str:
    """Returns the line that explains what the rates count."""
    factor = "3 x" if not adapters else "2 x, adapters and attention 3 x,"
    model = (
        f"model FLOPs = {factor} (2 x {matmul_parameters(config):,} matrix parameters x "
        f"tokens + 4 x {config.num_layers} layers x {config.num_heads} heads x {config.head_dim} x "
        f"pairs of a query and a key it sees), without padding and recomputation"
    )
    if machine.peak is None:
        return f"{model}; no peak is known of {machine.kind!r}, so no MFU"
    return (
        f"MFU = model FLOP/s / {format_flops(machine.peak)} (bfloat16 peak of "
        f"{machine.devices} x {machine.kind}); {model}"
    )


def format_flops(rate: float) -> str:
    """Formats a rate as "1.5 GFLOP/s" or "197 TFLOP/s"."""
    unit, size = ("T", 1e12) if rate >= 1e12 else ("G", 1e9)
    number = f"{rate / size:,.0f}" if rate >= 100 * size else f"{rate / size:.3g}"
    return f"{number} {unit}FLOP/s"


def peak_memory() -> tuple[str, int]:
    """Returns ("device", peak bytes of a device of this process).

    Returns ("host", peak resident bytes of this process) if the backend does not count them.
    """
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [entry["peak_bytes_in_use"] for entry in stats if "peak_bytes_in_use" in entry]
    if peaks:
        return "device", max(peaks)
    unit = 1 if sys.platform == "darwin" else 1024
    return "host", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
