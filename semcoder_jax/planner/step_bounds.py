"""Computes lower bounds of a step before compiling: memory, FLOPs, bytes exchanged.

The planner's search uses them. Memory counts the arguments (state, frozen parameters, batch), a
gradient of each trained parameter, and the activations that the rematerialization policy keeps for
every layer of a microbatch: the layer's input; from "dots" on also the results of the products that
the gradient needs; with "none" also the values between them. FLOPs are counted in the step's jaxpr.
The exchange is the minimum of fully sharded data parallelism (semcoder_jax.planner.collectives)
plus, for tensor parallelism, four sums of a layer's activations, two forward and two backward
(Shoeybi et al., Megatron-LM, 2019).
"""

import dataclasses
import json
from collections.abc import Sequence

import jax.numpy as jnp

from semcoder_jax.config import Compute, DataConfig, DecoderConfig, RunConfig
from semcoder_jax.model.remat import OFFLOADING
from semcoder_jax.planner import topologies
from semcoder_jax.planner.collectives import ring_bytes
from semcoder_jax.planner.compiled_step import StepShapes, architecture
from semcoder_jax.planner.executed_flops import executed_flops
from semcoder_jax.planner.settings import Setting


@dataclasses.dataclass(frozen=True)
class StepBounds:
    """Lower bounds of one setting.

    Bytes of memory per device; FLOPs of a step over all devices; bytes that a device must send in
    a step, and the part of them that certainly stays in its slice.
    """

    memory_bytes: int
    executed_flops: float
    exchanged_bytes: float
    slice_bytes: float
    trained_parameters: int


def step_bounds(
    run: RunConfig,
    topology: topologies.Topology,
    settings: Sequence[Setting],
    known_flops: dict[str, float] | None = None,
) -> list[StepBounds | None]:
    """Returns the bounds of each setting; None if its mesh cannot be laid over the chips.

    Needs libtpu for the devices. Traces the step once per policy: mesh, microbatches and topology
    change where products are computed, not how many. `known_flops` keeps the results between calls.
    """
    devices = topologies.describe(topology)
    config = architecture(run)
    by_mesh: dict[tuple, StepShapes | None] = {}
    flops = {} if known_flops is None else known_flops
    found: list[StepBounds | None] = []
    for setting in settings:
        chosen = setting.apply_to(run)
        if setting.mesh not in by_mesh:
            by_mesh[setting.mesh] = _shapes(chosen, devices)
        shapes = by_mesh[setting.mesh]
        if shapes is None:
            found.append(None)
            continue
        program = _program_key(chosen)
        if program not in flops:
            traced = StepShapes.of(chosen, devices)
            flops[program] = executed_flops(traced.step.trace(*traced.arguments).jaxpr)
        minimum = shapes.least_exchange(setting.accumulation_steps)
        tensor = tensor_bytes(config, run.data, run.compute, setting)
        found.append(
            StepBounds(
                memory_bytes=shapes.argument_bytes
                + shapes.gradient_bytes
                + activation_bytes(config, run.data, run.compute, setting),
                executed_flops=flops[program],
                exchanged_bytes=minimum.total + tensor,
                slice_bytes=minimum.gather + tensor,
                trained_parameters=shapes.trained_parameters,
            )
        )
    return found


def _shapes(run: RunConfig, devices: list) -> StepShapes | None:
    try:
        return StepShapes.of(run, devices)
    except NotImplementedError:  # jax.make_mesh: an axis would need a part of a physical one
        return None


def _program_key(run: RunConfig) -> str:
    """Returns a text that is equal for runs of as many FLOPs."""
    record = run.to_record()
    record["train"] = None
    del record["mesh"]
    return json.dumps(record, sort_keys=True)


def activation_bytes(
    config: DecoderConfig, data: DataConfig, compute: Compute, setting: Setting
) -> int:
    """Returns the least bytes of activations that a device keeps of a microbatch for backward."""
    D, F = config.hidden_size, config.intermediate_size
    HK, GK = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    elements = 0 if setting.remat in OFFLOADING else D
    if setting.remat in ("save_attention", "offload_save_attention"):
        elements += HK // setting.mesh[2]
    if setting.remat in ("none", "dots_saveable", "dots_with_no_batch_dims_saveable"):
        elements += (HK + 2 * GK + 2 * F) // setting.mesh[2]
    if setting.remat == "none":
        # Both norms' results and the input between them; attention's result, the gate's silu and
        # the input of the last product.
        elements += 3 * D + (HK + 2 * F) // setting.mesh[2]
    tokens = setting.rows(data.global_batch_size) * data.sequence_length
    return config.num_layers * tokens * elements * jnp.dtype(compute.dtype).itemsize


def tensor_bytes(
    config: DecoderConfig, data: DataConfig, compute: Compute, setting: Setting
) -> float:
    """Returns the bytes that a device must send in a step for tensor parallelism."""
    shards, tensor = setting.mesh[0] * setting.mesh[1], setting.mesh[2]
    tokens = data.global_batch_size * data.sequence_length // shards
    activations = tokens * config.hidden_size * jnp.dtype(compute.dtype).itemsize
    return 4 * config.num_layers * ring_bytes("all-reduce", activations, tensor)
