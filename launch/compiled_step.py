"""The real training step, built from shapes alone and compiled for a TPU that is not there.

No weights, no data, no tokenizer and no TPU are needed, only libtpu, whose compiler runs on any
x86-64 Linux machine. ``python -m launch.compiled_step`` is the process that plan.py keeps for
compiling: a request a line on stdin, ``{"run": RECORD, "topology": NAME}``, an answer a line on
stdout. Apart, because a compilation hears no Ctrl-C and libtpu may end its process.
"""

import dataclasses
import functools
import json
import math
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from data_pipeline.packing import TokenTable, lay_out
from launch import topologies
from launch.executed_flops import executed_flops
from semcoder_jax import hf, sharding
from semcoder_jax.checkpoints import MODEL, abstract_model
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.model import DecoderConfig
from semcoder_jax.optimizer import make_optimizer
from semcoder_jax.train_state import frozen_shapes, initial_state, state_shardings
from semcoder_jax.train_step import make_train_step

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
      collectives: see launch.collectives; empty where it does not fit.
      seconds: of tracing, lowering and compiling.
    """

    fits: bool
    peak_bytes: int | None
    needed_bytes: int | None
    usable_bytes: int
    argument_bytes: int
    trained_parameters: int
    executed_flops: float
    collectives: tuple[dict, ...]
    seconds: float

    def to_record(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_record(cls, record: dict) -> "CompiledStep":
        """Raises TypeError or KeyError for a record that is none."""
        return cls(**record | {"collectives": tuple(record["collectives"])})


def architecture(run: RunConfig) -> DecoderConfig:
    """The architecture without a tokenizer: of the config, or of the HF directory or workdir it
    starts from. Raises ConfigError where neither says it whole."""
    fields = {name for name in run.model if name != "init_from"}
    if not fields and "init_from" in run.model:
        source = Path(run.model["init_from"])
        if not source.is_dir():
            raise ConfigError(
                f"config: model.init_from {source}: no such directory; a plan needs only the "
                f"architecture: model.architecture, one of {', '.join(hf.MODELS)}"
            )
        return hf.read_config(source / MODEL if (source / MODEL).is_dir() else source)
    if not fields & {"architecture", "vocab_size"}:
        raise ConfigError(
            "config: model.vocab_size is missing: a plan reads no tokenizer; give it, or "
            "model.architecture"
        )
    return run.decoder_config(1)


def batch_shapes(run: RunConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """A global batch as shapes: the arrays that packing lays out."""
    nothing = np.zeros(0, np.int32)
    table = TokenTable(
        tokens_N=nothing,
        offsets=np.zeros(1, np.int64),
        prompt_lengths_R=nothing,
        kinds_R=nothing,
        cut_R=np.zeros(0, bool),
    )
    rows = lay_out(table, [nothing], run.data.sequence_length)
    shape = (run.data.global_batch_size, run.data.sequence_length)
    return {name: jax.ShapeDtypeStruct(shape, array.dtype) for name, array in rows.items()}


def step_from_shapes(run: RunConfig, devices: list[jax.Device]) -> tuple[Any, tuple]:
    """The jitted step and its arguments (state, frozen, batch) as shapes with their shardings."""
    mesh = sharding.make_mesh(run.mesh, devices)
    config = architecture(run)
    graphdef, _ = nnx.split(abstract_model(config, run.compute))
    # The schedule wants a number of steps; none of its values shapes the program.
    num_steps = run.train.num_steps or run.optimizer.warmup_steps + 1
    optimizer = make_optimizer(run.optimizer, num_steps)
    state = jax.eval_shape(functools.partial(initial_state, run, config, optimizer))
    places = state_shardings(state, mesh)
    frozen = frozen_shapes(run, config)
    frozen_places = sharding.parameter_shardings(frozen, mesh)
    step = make_train_step(run, num_steps, graphdef, optimizer, mesh, places, frozen_places)
    batch = batch_shapes(run)
    rows = dict.fromkeys(batch, sharding.batch_sharding(mesh))
    return step, _placed((state, frozen, batch), (places, frozen_places, rows))


def compile_step(run: RunConfig, topology: topologies.Topology) -> CompiledStep:
    """Compile the step for a topology. Raises TopologyError, ConfigError, MeshError, or whatever
    the compiler raises of a program that is wrong rather than too large."""
    started = time.monotonic()
    devices = topologies.describe(topology)
    step, arguments = step_from_shapes(run, devices)
    traced = step.trace(*arguments)
    known = {
        "argument_bytes": shard_bytes(arguments),
        "trained_parameters": sum(math.prod(x.shape) for x in jax.tree.leaves(arguments[0].params)),
        "executed_flops": executed_flops(traced.jaxpr),
    }
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        needed, usable = _too_large(str(error))
        return CompiledStep(
            fits=False,
            peak_bytes=None,
            needed_bytes=needed,
            usable_bytes=usable or int(topology.chip.usable_bytes),
            collectives=(),
            seconds=time.monotonic() - started,
            **known,
        )
    return CompiledStep(
        fits=True,
        peak_bytes=int(compiled.memory_analysis().peak_memory_in_bytes),
        needed_bytes=None,
        usable_bytes=int(topology.chip.usable_bytes),
        collectives=(),
        seconds=time.monotonic() - started,
        **known,
    )


def shard_bytes(tree) -> int:
    """Bytes of one device's shards of a tree of ShapeDtypeStructs, padding left out."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _placed(shapes, shardings):
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        shapes,
        shardings,
    )


def _too_large(message: str) -> tuple[int | None, int | None]:
    """(needed, usable) bytes of the compiler's complaint; raises it if it is of something else."""
    if "RESOURCE_EXHAUSTED" not in message:
        raise CompilerError(message.strip().splitlines()[0])
    return _bytes_of(r"required[^(]*\(([\d.]+)(\w?)\)", message), _bytes_of(
        r"available HBM \(([\d.]+)(\w?)\)", message
    )


def _bytes_of(pattern: str, message: str) -> int | None:
    match = re.search(pattern, message)
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None


class CompilerError(ValueError):
    """The compiler refused the program for another reason than its size."""


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not stand among the answers
    for line in sys.stdin:
        request = json.loads(line)
        try:
            run = parse_run(request["run"])
            found = compile_step(run, topologies.parse(request["topology"]))
            answer = {"step": found.to_record()}
        except (ValueError, NotImplementedError, TypeError, jax.errors.JaxRuntimeError) as error:
            lines = str(error).strip().splitlines() or [repr(error)]
            answer = {"error": lines[0], "kind": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
