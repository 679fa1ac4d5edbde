"""How long a step takes at best: the slowest of what a chip does at its highest rates.

    step seconds = max of
      compute   executed FLOPs / (chips x peak bfloat16 FLOP/s)
      memory    HBM bytes of a device / its HBM bandwidth
      ICI       bytes that a chip receives from its slice / (its links x a link's bandwidth)
      DCN       bytes that a chip receives from other slices / its share of the network

An ESTIMATE, and a lower bound of sorts: all four are taken to overlap wholly, every matrix unit to
be busy, all links of a chip to be used by every exchange. HBM bytes are those of the matrix
products, each operand read and each result written once (2 bytes an element), and of the optimizer
(28 bytes a trained parameter: four arrays of float32 read, three written; 12 more for each
microbatch, when gradients are added up); what lies between products is taken to be fused.

An exchange of S bytes (the whole array of a gather, before or after) among n devices brings each
of them S (n-1)/n bytes, an all-reduce twice that, a permutation S. Of an exchange across slices
only a device's own part travels between them.
"""

import dataclasses
import math
from collections.abc import Sequence

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model import flops
from semcoder_jax.model.parameters import product_shapes
from semcoder_jax.planner.topologies import Topology

_PRODUCT_BYTES = 2  # an element of an operand or result
_OPTIMIZER_BYTES = 28
_ACCUMULATION_BYTES = 12


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A collective of a step.

    Attributes:
      kind: "all-gather", "reduce-scatter", "all-reduce", "all-to-all" or "collective-permute".
      dtype: of what travels.
      shape: of the whole array, on one device.
      bytes: of the whole array (S above).
      group: devices that take part together.
      slices: among how many slices that group is spread.
      loops: turns of the loops around it, outermost first; () once a step.
      count: how many like it there are.
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
        """In a step."""
        return self.count * math.prod(self.loops)

    def received_bytes(self) -> tuple[float, float]:
        """Bytes that a device receives in a step (from its slice, from others)."""
        within = self.group // self.slices
        inside = _share(self.kind, self.bytes, within)
        across = _share(self.kind, self.bytes / within, self.slices)
        return inside * self.times, across * self.times


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Estimated seconds of a step by what limits it; `network` None where no figure is known."""

    compute: float
    memory: float
    ici: float
    network: float | None

    @property
    def step_seconds(self) -> float:
        return max(self._parts().values())

    @property
    def limit(self) -> str:
        """The name of the slowest part."""
        parts = self._parts()
        return max(parts, key=parts.get)

    @property
    def total_seconds(self) -> float:
        """If nothing overlapped."""
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
    """`executed_flops` of all devices, `memory_bytes` of one, exchanges as one takes part."""
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
    """HBM bytes that one device moves in a step (see above).

    `tokens` and `executed_flops` are those of one device's rows in the whole step (all devices
    along `tensor` together), `trained_parameters` those whose optimizer state it holds.
    """
    tokens_at_once = tokens / microbatches
    # Columns or rows of a weight, and with them its input or output, are split over tensor.
    elements = sum(
        tokens_at_once * (rows + columns) + rows * columns / tensor
        for rows, columns in product_shapes(config)
    )
    # The gradient has two products of each one's arrays; recomputation repeats the forward's.
    passes = executed_flops / flops.forward_flops(config, tokens, 0)
    moved = passes * microbatches * elements * _PRODUCT_BYTES
    optimizer = _OPTIMIZER_BYTES + (_ACCUMULATION_BYTES * microbatches if microbatches > 1 else 0)
    return moved + optimizer * trained_parameters


def _share(kind: str, size: float, count: int) -> float:
    if count <= 1:
        return 0.0
    part = size * (count - 1) / count
    return {"all-reduce": 2 * part, "collective-permute": size}.get(kind, part)
