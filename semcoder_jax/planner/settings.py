"""Settings that adapt a run to the machine: mesh, microbatches, rematerialization.

They do not change the trained model, up to rounding. `candidates` lists every setting that a batch
and a topology allow, for the planner's search.
"""

import dataclasses
import math
from collections.abc import Iterator

from semcoder_jax.config import MESH_AXES, REMAT_POLICIES, ConfigError, DecoderConfig, RunConfig
from semcoder_jax.model.sharding import MeshError
from semcoder_jax.planner.topologies import Topology

_MOST_TENSOR = 8
# Policies by the memory they keep on a device, least first; one group is not ordered within.
_KEPT = (
    {"offload"},
    {"nothing_saveable", "offload_save_attention"},
    {"save_attention"},
    {"dots_with_no_batch_dims_saveable"},
    {"dots_saveable"},
    {"none"},
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """The part of a config that a search may choose.

    `mesh` is (data, fsdp, tensor).
    """

    mesh: tuple[int, int, int]
    accumulation_steps: int
    remat: str

    @classmethod
    def from_record(cls, record: dict) -> "Setting":
        """Builds a setting from its fields as parsed from JSON."""
        return cls(**record | {"mesh": tuple(record["mesh"])})

    @classmethod
    def of(cls, run: RunConfig, num_devices: int) -> "Setting":
        sizes = [run.mesh.get(axis, 1) for axis in MESH_AXES]
        known = math.prod(size for size in sizes if size != -1)
        mesh = tuple(num_devices // max(known, 1) if size == -1 else size for size in sizes)
        return cls(mesh, run.train.accumulation_steps, run.compute.remat)

    def apply_to(self, run: RunConfig) -> RunConfig:
        return dataclasses.replace(
            run,
            mesh=dict(zip(MESH_AXES, self.mesh, strict=True)),
            train=dataclasses.replace(run.train, accumulation_steps=self.accumulation_steps),
            compute=dataclasses.replace(run.compute, remat=self.remat),
        )

    def flags(self) -> str:
        """Returns the setting as command-line overrides."""
        data, fsdp, tensor = self.mesh
        return (
            f"--config.mesh.data={data} --config.mesh.fsdp={fsdp} --config.mesh.tensor={tensor} "
            f"--config.train.accumulation_steps={self.accumulation_steps} "
            f"--config.compute.remat={self.remat}"
        )

    def check(self, batch_size: int, topology: Topology) -> None:
        """Checks that the mesh has the topology's devices and splits a microbatch evenly.

        Raises MeshError or ConfigError.
        """
        data, fsdp, tensor = self.mesh
        needed = data * fsdp * tensor
        if needed != topology.num_devices or min(self.mesh) < 1:
            raise MeshError(
                f"config: mesh data {data} x fsdp {fsdp} x tensor {tensor} needs {needed} devices, "
                f"{topology.name} has {topology.num_devices}"
            )
        if data % topology.num_slices:
            raise MeshError(
                f"config: mesh.data is {data}, expected a multiple of the {topology.num_slices} "
                f"slices of {topology.name}: only it may cross the network between them"
            )
        if batch_size % (self.accumulation_steps * data * fsdp):
            raise ConfigError(
                f"config: data.global_batch_size {batch_size} in {self.accumulation_steps} "
                f"microbatch(es) gives {batch_size / self.accumulation_steps:g} rows, which the "
                f"{data * fsdp} batch shards (data x fsdp) of {topology.name} do not divide"
            )

    def rows(self, batch_size: int) -> int:
        """Returns the rows of a microbatch on one device."""
        data, fsdp, _ = self.mesh
        return batch_size // self.accumulation_steps // (data * fsdp)

    def needs_at_least(self, other: "Setting") -> bool:
        """Returns whether it certainly needs at least as much memory as `other`.

        It does with the same mesh, as many rows per microbatch, as much kept of each row, and
        gradient accumulation if `other` has it.
        """
        ours, theirs = _memory_rank(self.remat), _memory_rank(other.remat)
        return (
            self.mesh == other.mesh
            and self.accumulation_steps <= other.accumulation_steps
            and (self.accumulation_steps > 1 or other.accumulation_steps == 1)
            and (ours > theirs or self.remat == other.remat)
        )


def candidates(batch_size: int, config: DecoderConfig, topology: Topology) -> Iterator[Setting]:
    """Yields every setting that splits the model's heads and the batch evenly."""
    for mesh in _meshes(config, topology):
        shards = mesh[0] * mesh[1]
        if batch_size % shards:
            continue
        for steps in range(1, batch_size // shards + 1):
            if batch_size % (shards * steps) == 0:
                for remat in REMAT_POLICIES:
                    yield Setting(mesh, steps, remat)


def _meshes(config: DecoderConfig, topology: Topology) -> Iterator[tuple[int, int, int]]:
    for tensor in _powers_of_two(min(_MOST_TENSOR, topology.devices_per_slice)):
        whole = config.num_heads % tensor == 0 and config.intermediate_size % tensor == 0
        if not whole or topology.devices_per_slice % tensor:
            continue
        left = topology.devices_per_slice // tensor
        for data in _powers_of_two(left):
            if left % data == 0:
                yield topology.num_slices * data, left // data, tensor


def _powers_of_two(most: int) -> Iterator[int]:
    power = 1
    while power <= most:
        yield power
        power *= 2


def _memory_rank(policy: str) -> int:
    return next(place for place, group in enumerate(_KEPT) if policy in group)
