"""Estimates the least time of a step: that of the slowest resource at its peak rate.

    step seconds = max of
      compute   executed FLOPs / (chips x peak bfloat16 FLOP/s)
      memory    HBM bytes of a device / its HBM bandwidth
      ICI       bytes that a chip receives from its slice / (its links x a link's bandwidth)
      DCN       bytes that a chip receives from other slices / its share of the network

This is an ESTIMATE, and close to a lower bound. It assumes that all four overlap completely, that
every matrix unit is busy, and that every exchange uses all links of a chip. HBM bytes count the
matrix products, which read each operand and write each result once (2 bytes an element), and the
optimizer (28 bytes a trained parameter: four float32 arrays read, three written; 12 more for each
microbatch if gradients are accumulated). Operations between products are assumed to be fused.

In an exchange of S bytes (the whole array) among n devices, each device receives S (n-1)/n bytes,
twice that in an all-reduce, and S in a permutation. In an exchange across slices, only a device's
own part travels between slices.
"""

import dataclasses
import math
from collections.abc import Sequence

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model import flops
from semcoder_jax.model.parameters import product_shapes
from semcoder_jax.planner.topologies import Topology

_PRODUCT_BYTES = 2  # per element of an operand or result
_OPTIMIZER_BYTES = 28
_ACCUMULATION_BYTES = 12


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A collective of a step.

    Attributes:
      kind: "all-gather", "reduce-scatter", "all-reduce", "all-to-all" or "collective-permute".
      dtype: dtype of the array sent.
      shape: shape of the whole array, on one device.
      bytes: bytes of the whole array (S above).
      group: number of devices that take part together.
      slices: number of slices over which that group is spread.
      loops: turns of the enclosing loops, outermost first; () if it runs once a step.
      count: number of equal collectives.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    group: int
    slices: int = 1
    loops: tuple[int, ...] = ()
    count: int = 1

    @property
    def times(self) -> int:
        """Returns the number of runs in a step."""
        return self.count * math.prod(self.loops)

    def received_bytes(self) -> tuple[float, float]:
        """Returns the bytes that a device receives in a step (from its slice, from others)."""
        within = self.group // self.slices
        inside = _share(self.kind, self.bytes, within)
        across = _share(self.kind, self.bytes / within, self.slices)
        return inside * self.times, across * self.times


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Estimated seconds of a step by resource; `network` is None if its bandwidth is unknown."""

    compute: float
    memory: float
    ici: float
    network: float | None

    @property
    def step_seconds(self) -> float:
        return max(self._parts().values())

    @property
    def limit(self) -> str:
        """Returns the name of the slowest resource."""
        parts = self._parts()
        return max(parts, key=parts.get)

    @property
    def total_seconds(self) -> float:
        """Returns the seconds of a step if nothing overlaps."""
        return sum(self._parts().values())

    def _parts(self) -> dict[str, float]:
        parts = {"compute": self.compute, "memory": self.memory, "ICI": self.ici}
        return parts if self.network is None else parts | {"DCN": self.network}


def roofline(
    topology: Topology,
    *,
    executed_flops: float,
    memory_bytes: float,
    exchanges: Sequence[Exchange],
) -> Roofline:
    """Estimates a step from the FLOPs of all devices, and one device's HBM bytes and exchanges."""
    chip = topology.chip
    received = [exchange.received_bytes() for exchange in exchanges]
    # Devices of one chip share its memory's bandwidth, its links and its host's network.
    ici_bytes = chip.devices * sum(inside for inside, _ in received)
    network_bytes = chip.devices * sum(across for _, across in received)
    network = network_bytes and (
        network_bytes / chip.network_bandwidth if chip.network_bandwidth else None
    )
    return Roofline(
        compute=executed_flops / (topology.num_chips * chip.peak_flops),
        memory=chip.devices * memory_bytes / chip.memory_bandwidth,
        ici=ici_bytes / (topology.links * chip.link_bandwidth) if topology.links else 0.0,
        network=network,
    )


def memory_bytes(
    config: DecoderConfig,
    *,
    tokens: float,
    microbatches: int,
    tensor: int,
    executed_flops: float,
    trained_parameters: float,
) -> float:
    """Returns the HBM bytes that one device moves in a step (see above).

    `tokens` and `executed_flops` count one device's rows in the whole step (over all devices along
    `tensor`); `trained_parameters` counts those whose optimizer state the device holds.
    """
    tokens_at_once = tokens / microbatches
    # `tensor` splits a weight by columns or rows, and its output or input with it.
    elements = sum(
        tokens_at_once * (rows + columns) + rows * columns / tensor
        for rows, columns in product_shapes(config)
    )
    # The gradient takes two products of the same sizes; recomputation repeats the forward pass.
    passes = executed_flops / flops.forward_flops(config, tokens, 0)
    moved = passes * microbatches * elements * _PRODUCT_BYTES
    optimizer = _OPTIMIZER_BYTES + (_ACCUMULATION_BYTES * microbatches if microbatches > 1 else 0)
    return moved + optimizer * trained_parameters


def _share(kind: str, size: float, count: int) -> float:
    if count <= 1:
        return 0.0
    part = size * (count - 1) / count
    return {"all-reduce": 2 * part, "collective-permute": size}.get(kind, part)
