"""The real training step, built from shapes alone and compiled for a TPU that is not there.

No weights, no data, no tokenizer and no TPU are needed, only libtpu, whose compiler runs on any
x86-64 Linux machine.
"""

import collections
import dataclasses
import math
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from data_pipeline.tokens.packing import TokenTable, lay_out
from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import MODELS, ConfigError, DataConfig, DecoderConfig, RunConfig
from semcoder_jax.model import sharding
from semcoder_jax.planner import topologies
from semcoder_jax.planner.collectives import (
    Collective,
    Minimum,
    compile_with_collectives,
    fsdp_minimum,
)
from semcoder_jax.planner.executed_flops import executed_flops
from semcoder_jax.planner.roofline import Exchange
from semcoder_jax.training.state import TrainSetup
from semcoder_jax.training.step import make_train_step

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """What the compiler says of a step; all bytes are of one device.

    Attributes:
      fits: the compiler found room for it. Good evidence, no proof: a TPU's runtime keeps a little
        memory of its own.
      peak_bytes: most memory held at one time; None where it does not fit.
      needed_bytes: what the compiler says it would need, where it does not fit; None if unsaid.
      usable_bytes: a device's memory, as the compiler has it where it does not fit.
      argument_bytes: state, frozen parameters and batch.
      trained_parameters: of all devices together.
      executed_flops: products of one step, all devices together (see executed_flops).
      collectives: records of roofline.Exchange; empty where it does not fit.
      least_exchanged_bytes: what a device must send in a step of fully sharded data parallelism
        (see semcoder_jax.planner.collectives).
      seconds: of tracing, lowering and compiling.
      refusal: the compiler's words, where it fails at the program for another reason than its size.
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

    def to_record(self) -> dict:
        """As JSON gives it back."""
        collectives = [
            one | {"shape": list(one["shape"]), "loops": list(one["loops"])}
            for one in self.collectives
        ]
        return dataclasses.asdict(self) | {"collectives": collectives}

    @classmethod
    def from_record(cls, record: dict) -> "CompiledStep":
        """Raises TypeError or KeyError for a record that is none."""
        collectives = tuple(
            one | {"shape": tuple(one["shape"]), "loops": tuple(one["loops"])}
            for one in record["collectives"]
        )
        return cls(**record | {"collectives": collectives})


def architecture(run: RunConfig) -> DecoderConfig:
    """The architecture without a tokenizer: of the config, or of the HF directory or workdir it
    starts from. Raises ConfigError where neither says it whole."""
    fields = {name for name in run.model if name != "init_from"}
    if not fields and "init_from" in run.model:
        source = Path(run.model["init_from"])
        if not source.is_dir():
            raise ConfigError(
                f"config: model.init_from {source}: no such directory; a plan needs only the "
                f"architecture: model.architecture, one of {', '.join(MODELS)}"
            )
        return hf.read_config(source / MODEL if (source / MODEL).is_dir() else source)
    if not fields & {"architecture", "vocab_size"}:
        raise ConfigError(
            "config: model.vocab_size is missing: a plan reads no tokenizer; give it, or "
            "model.architecture"
        )
    return run.decoder_config(1)


def batch_shapes(data: DataConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """A global batch as shapes: the arrays that packing lays out."""
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
        # The schedule wants a number of steps; none of its values shapes the program.
        num_steps = run.train.num_steps or run.optimizer.warmup_steps + 1
        setup = TrainSetup.of(run, config, num_steps, mesh)
        step = make_train_step(setup, run.train)
        frozen, batch = setup.trainable.frozen_shapes(), batch_shapes(run.data)
        frozen_shardings = sharding.parameter_shardings(frozen, mesh)
        rows = dict.fromkeys(batch, sharding.batch_sharding(mesh))
        arguments = _with_shardings(
            (setup.shapes, frozen, batch), (setup.shardings, frozen_shardings, rows)
        )
        return cls(step, arguments, mesh, run.compute.dtype)

    @property
    def argument_bytes(self) -> int:
        """Of one device."""
        return shard_bytes(self.arguments)

    @property
    def gradient_bytes(self) -> int:
        """Of one device: each trained parameter's gradient is as large as its part."""
        return shard_bytes(self.arguments[0].params)

    @property
    def trained_parameters(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.arguments[0].params))

    def least_exchange(self, microbatches: int) -> Minimum:
        """See semcoder_jax.planner.collectives."""
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
    """Compile the step for a topology. Raises TopologyError, ConfigError or MeshError."""
    started = time.monotonic()
    shapes = StepShapes.of(run, topologies.describe(topology))
    traced = shapes.step.trace(*shapes.arguments)
    said = {"fits": True, "needed_bytes": None, "usable_bytes": int(topology.chip.usable_bytes)}
    try:
        compiled, exchanges = compile_with_collectives(traced.lower(), shapes.mesh)
    except jax.errors.JaxRuntimeError as error:
        said |= {"fits": False, "peak_bytes": None, "collectives": ()} | _parse_compiler_error(
            str(error)
        )
    else:
        said["peak_bytes"] = int(compiled.memory_analysis().peak_memory_in_bytes)
        said["collectives"] = _merge_alike(exchanges, topology.num_slices)
    return CompiledStep(
        argument_bytes=shapes.argument_bytes,
        trained_parameters=shapes.trained_parameters,
        executed_flops=executed_flops(traced.jaxpr),
        least_exchanged_bytes=shapes.least_exchange(run.train.accumulation_steps).total,
        seconds=time.monotonic() - started,
        **said,
    )


def shard_bytes(tree) -> int:
    """Bytes of one device's shards of a tree of ShapeDtypeStructs, padding left out."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _shardings(shapes):
    return jax.tree.map(lambda leaf: leaf.sharding, shapes)


def _merge_alike(exchanges: Iterable[Collective], num_slices: int) -> tuple[dict, ...]:
    """Records of roofline.Exchange, those alike as one."""
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


def _with_shardings(shapes, shardings):
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        shapes,
        shardings,
    )


def _parse_compiler_error(message: str) -> dict:
    """The fields of CompiledStep that the compiler's error decides."""
    if "RESOURCE_EXHAUSTED" not in message:
        return {"refusal": message.strip().splitlines()[0]}
    said = {
        "needed_bytes": _bytes_of(r"required[^(]*\(([\d.]+)(\w?)\)", message),
        "usable_bytes": _bytes_of(r"available HBM \(([\d.]+)(\w?)\)", message),
    }
    return {name: size for name, size in said.items() if size is not None}


def _bytes_of(pattern: str, message: str) -> int | None:
    match = re.search(pattern, message)
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None
