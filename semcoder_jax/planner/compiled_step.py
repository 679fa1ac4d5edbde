"""Builds the real training step from shapes alone and compiles it for an absent TPU.

Needs only libtpu, whose compiler runs on any x86-64 Linux machine: no weights, data, tokenizer or
TPU.
"""

import collections
import dataclasses
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from data_pipeline.files import as_path
from data_pipeline.tokens.packing import TokenTable, lay_out
from semcoder_jax.checkpoints import with_shardings
from semcoder_jax.config import MODELS, ConfigError, DataConfig, DecoderConfig, RunConfig
from semcoder_jax.model import sharding
from semcoder_jax.planner import topologies
from semcoder_jax.planner.collectives import (
    Collective,
    Minimum,
    compile_with_collectives,
    fsdp_minimum,
    sent_bytes_by_kind,
)
from semcoder_jax.planner.executed_flops import executed_flops
from semcoder_jax.planner.roofline import Exchange
from semcoder_jax.training.architecture import SCALING, resolve_architecture
from semcoder_jax.training.state import TrainSetup
from semcoder_jax.training.step import make_train_step

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """The compiler's result for a step; all bytes are per device.

    Attributes:
      fits: whether the compiler finds room for it. The TPU runtime also needs a little memory.
      peak_bytes: peak memory; None if the step does not fit.
      needed_bytes: required memory if the step does not fit; None if the compiler omits it.
      usable_bytes: memory of a device that a program may use.
      argument_bytes: state, frozen parameters and batch.
      trained_parameters: their number, over all devices.
      executed_flops: FLOPs of the matrix products of a step, over all devices.
      collectives: records of roofline.Exchange; empty if it does not fit.
      least_exchanged_bytes: bytes that a device must send in a step of fully sharded data
        parallelism (see semcoder_jax.planner.collectives).
      seconds: time to trace, lower and compile.
      refusal: the compiler's error, if it fails for another reason than memory.
      sent_bytes: bytes that a device sends in a step by kind of collective, as the compiler chose
        to run them; None if unknown.
    """

    fits: bool
    peak_bytes: int | None
    needed_bytes: int | None
    usable_bytes: int
    argument_bytes: int
    trained_parameters: int
    executed_flops: float
    collectives: tuple[dict, ...]
    least_exchanged_bytes: float
    seconds: float
    refusal: str | None = None
    sent_bytes: Mapping[str, float] | None = None

    def to_record(self) -> dict:
        """Returns JSON-like fields."""
        collectives = [
            one | {"shape": list(one["shape"]), "loops": list(one["loops"])}
            for one in self.collectives
        ]
        return dataclasses.asdict(self) | {"collectives": collectives}

    @classmethod
    def from_record(cls, record: dict) -> "CompiledStep":
        """Builds a step from `to_record`. Raises TypeError or KeyError if it is malformed."""
        collectives = tuple(
            one | {"shape": tuple(one["shape"]), "loops": tuple(one["loops"])}
            for one in record["collectives"]
        )
        return cls(**record | {"collectives": collectives})


def architecture(run: RunConfig) -> DecoderConfig:
    """Returns the architecture in the config, or in the HF directory or workdir it starts from.

    Reads no tokenizer. Raises ConfigError if neither defines the whole architecture.
    """
    fields = {name for name in run.model if name != "init_from"}
    if fields <= SCALING and "init_from" in run.model:
        source = as_path(run.model["init_from"])
        if not source.is_dir():
            raise ConfigError(
                f"config: model.init_from {source}: no such directory; a plan needs only the "
                f"architecture: model.architecture, one of {', '.join(MODELS)}"
            )
        return resolve_architecture(run.model, run.data.sequence_length, tokenizer=None)
    if not fields & {"architecture", "vocab_size"}:
        raise ConfigError(
            "config: model.vocab_size is missing: a plan reads no tokenizer; give it, or "
            "model.architecture"
        )
    return run.decoder_config(1)


def batch_shapes(data: DataConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of the arrays of a packed global batch."""
    nothing = np.zeros(0, np.int32)
    table = TokenTable(
        tokens_N=nothing,
        offsets=np.zeros(1, np.int64),
        prompt_lengths_R=nothing,
        kinds_R=nothing,
        cut_R=np.zeros(0, bool),
    )
    rows = lay_out(table, [nothing], data.sequence_length)
    shape = (data.global_batch_size, data.sequence_length)
    return {name: jax.ShapeDtypeStruct(shape, array.dtype) for name, array in rows.items()}


@dataclasses.dataclass(frozen=True)
class StepShapes:
    """The jitted step and its `arguments` (state, frozen, batch): shapes with their shardings."""

    step: Any
    arguments: tuple
    mesh: Mesh
    compute_dtype: str

    @classmethod
    def of(cls, run: RunConfig, devices: list[jax.Device]) -> "StepShapes":
        mesh = sharding.make_mesh(run.mesh, devices)
        config = architecture(run)
        # The schedule needs a number of steps, but its value does not affect the program.
        num_steps = run.train.num_steps or run.optimizer.warmup_steps + 1
        setup = TrainSetup.of(run, config, num_steps, mesh)
        step = make_train_step(setup, run.train)
        frozen, batch = setup.trainable.frozen_shapes(), batch_shapes(run.data)
        frozen_shardings = sharding.parameter_shardings(frozen, mesh)
        rows = dict.fromkeys(batch, sharding.batch_sharding(mesh))
        arguments = with_shardings(
            (setup.shapes, frozen, batch), (setup.shardings, frozen_shardings, rows)
        )
        return cls(step, arguments, mesh, run.compute.dtype)

    @property
    def argument_bytes(self) -> int:
        """Returns the bytes of the arguments on one device."""
        return shard_bytes(self.arguments)

    @property
    def gradient_bytes(self) -> int:
        """Returns the bytes of the gradients on one device, each as large as its parameter."""
        return shard_bytes(self.arguments[0].params)

    @property
    def trained_parameters(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.arguments[0].params))

    def least_exchange(self, microbatches: int) -> Minimum:
        """Returns the least exchange of a step (see semcoder_jax.planner.collectives)."""
        params, frozen = self.arguments[0].params, self.arguments[1]
        return fsdp_minimum(
            params,
            _shardings(params),
            self.mesh,
            dtype=self.compute_dtype,
            microbatches=microbatches,
            frozen=(frozen, _shardings(frozen)) if frozen else None,
        )


def compile_step(run: RunConfig, topology: topologies.Topology) -> CompiledStep:
    """Compiles the step for a topology. Raises TopologyError, ConfigError or MeshError."""
    started = time.monotonic()
    shapes = StepShapes.of(run, topologies.describe(topology))
    traced = shapes.step.trace(*shapes.arguments)
    fields = {"fits": True, "needed_bytes": None, "usable_bytes": int(topology.chip.usable_bytes)}
    try:
        compiled, exchanges = compile_with_collectives(traced.lower(), shapes.mesh)
    except jax.errors.JaxRuntimeError as error:
        fields |= {"fits": False, "peak_bytes": None, "collectives": ()} | parse_compiler_error(
            str(error)
        )
    else:
        fields["peak_bytes"] = int(compiled.memory_analysis().peak_memory_in_bytes)
        fields["collectives"] = merge_alike(exchanges, topology.num_slices)
        fields["sent_bytes"] = sent_bytes_by_kind(compiled.as_text())
    return CompiledStep(
        argument_bytes=shapes.argument_bytes,
        trained_parameters=shapes.trained_parameters,
        executed_flops=executed_flops(traced.jaxpr),
        least_exchanged_bytes=shapes.least_exchange(run.train.accumulation_steps).total,
        seconds=time.monotonic() - started,
        **fields,
    )


def shard_bytes(tree) -> int:
    """Sums the bytes of one device's shards of a tree of ShapeDtypeStructs, without padding."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _shardings(shapes):
    return jax.tree.map(lambda leaf: leaf.sharding, shapes)


def merge_alike(exchanges: Iterable[Collective], num_slices: int) -> tuple[dict, ...]:
    """Returns records of roofline.Exchange; equal ones are merged and counted."""
    counts = collections.Counter(
        Exchange(
            kind=one.kind,
            dtype=one.dtype,
            shape=one.shape,
            bytes=one.array_bytes,
            group=one.group_size,
            slices=min(num_slices, one.group_size) if one.between_slices else 1,
            loops=one.loops,
        )
        for one in exchanges
    )
    return tuple(
        dataclasses.asdict(dataclasses.replace(one, count=count)) for one, count in counts.items()
    )


def parse_compiler_error(message: str) -> dict:
    """Parses the compiler's error into fields of CompiledStep."""
    if "RESOURCE_EXHAUSTED" not in message:
        return {"refusal": message.strip().splitlines()[0]}
    sizes = {
        "needed_bytes": _bytes_of(r"required[^(]*\(([\d.]+)(\w?)\)", message),
        "usable_bytes": _bytes_of(r"available HBM \(([\d.]+)(\w?)\)", message),
    }
    return {name: size for name, size in sizes.items() if size is not None}


def _bytes_of(pattern: str, message: str) -> int | None:
    match = re.search(pattern, message)
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None
