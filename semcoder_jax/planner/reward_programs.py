"""Builds what learning from rewards runs on a mesh, from shapes alone, and compiles it.

The programs are those that `semcoder reinforce` calls: the engine's prefill and decoding, the
scoring of answers by the reference of a KL term, and the update. `stay_bytes` lists the arrays that
a session holds from its first step to its last, whichever program runs.
"""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from semcoder_jax.checkpoints import with_shardings
from semcoder_jax.config import DecoderConfig, RunConfig
from semcoder_jax.inference.batch import empty_rows
from semcoder_jax.inference.decoding import (
    CHUNK_TOKENS,
    Vocabulary,
    decode,
    pieces_of,
    read_piece,
)
from semcoder_jax.model import sharding
from semcoder_jax.model.kv_cache import PAGE_SIZE, KVCache
from semcoder_jax.planner import topologies
from semcoder_jax.planner.collectives import compile_with_collectives
from semcoder_jax.planner.compiled_step import (
    architecture,
    merge_alike,
    parse_compiler_error,
    shard_bytes,
)
from semcoder_jax.planner.executed_flops import executed_flops
from semcoder_jax.reinforcement.objective import make_logprobs, make_policy_sums
from semcoder_jax.reinforcement.packing import pack_answers
from semcoder_jax.reinforcement.rollouts import engine_size, lay_out, sampling_graph
from semcoder_jax.training.state import TrainSetup
from semcoder_jax.training.step import make_train_step
from semcoder_jax.training.trainable import count_parameters

PREFILL, DECODE, SCORE, UPDATE = "prefill", "decode", "score", "update"
# The arrays that stay, by the programs that take them as arguments.
ARGUMENTS = {
    PREFILL: ("weights", "frozen", "cache"),
    DECODE: ("weights", "frozen", "cache", "history"),
    SCORE: ("reference", "frozen"),
    UPDATE: ("weights", "moments", "frozen"),
}


@dataclasses.dataclass(frozen=True)
class CompiledProgram:
    """The compiler's result for one program; bytes are per device.

    Attributes:
      fits: whether the compiler finds room for it alone.
      peak_bytes: peak memory, arguments included; None if it does not fit.
      temp_bytes: memory beside arguments and results; None if it does not fit.
      needed_bytes: required memory if it does not fit; None if the compiler omits it.
      trained_parameters: those of the run, over all devices.
      executed_flops: FLOPs of its matrix products over all devices; a loop of unknown length counts
        once.
      collectives: records of roofline.Exchange; decoding is a chunk of CHUNK_TOKENS steps.
      seconds: time to trace, lower and compile.
      refusal: the compiler's error, if it fails for another reason than memory.
    """

    fits: bool
    argument_bytes: int
    peak_bytes: int | None
    temp_bytes: int | None
    usable_bytes: int
    trained_parameters: int
    executed_flops: float
    collectives: tuple[dict, ...]
    seconds: float
    needed_bytes: int | None = None
    refusal: str | None = None

    @classmethod
    def from_record(cls, record: dict) -> "CompiledProgram":
        """Builds it from its fields as parsed from JSON. Raises TypeError or KeyError."""
        collectives = tuple(
            one | {"shape": tuple(one["shape"]), "loops": tuple(one["loops"])}
            for one in record["collectives"]
        )
        return cls(**record | {"collectives": collectives})


def programs_of(run: RunConfig) -> tuple[str, ...]:
    """Returns the names of the programs that a step runs, in this order."""
    return (PREFILL, DECODE, *((SCORE,) if run.objective.kl_weight else ()), UPDATE)


def longest_prompt(run: RunConfig) -> int:
    """Returns the tokens of the longest prompt that leaves room for the longest answer."""
    return max(run.data.sequence_length + 1 - run.rollouts.max_new_tokens, 1)


def piece_size(run: RunConfig) -> int:
    """Returns the largest piece in which the engine reads the longest prompt."""
    return max(pieces_of(max(longest_prompt(run) - 1, 1)))


@dataclasses.dataclass(frozen=True)
class RewardShapes:
    """All arrays of a session as shapes with their shardings."""

    run: RunConfig
    config: DecoderConfig
    setup: TrainSetup
    mesh: Mesh

    @classmethod
    def of(cls, run: RunConfig, devices: list[jax.Device]) -> "RewardShapes":
        mesh, config = sharding.make_mesh(run.mesh, devices), architecture(run)
        # The schedule needs a number of updates, but its value does not affect the program.
        num_updates = (run.train.num_steps or 1) * run.objective.passes + run.optimizer.warmup_steps
        return cls(run, config, TrainSetup.of(run, config, num_updates, mesh), mesh)

    @property
    def num_rows(self) -> int:
        return self.run.data.global_batch_size

    @functools.cached_property
    def state(self):
        return with_shardings(self.setup.shapes, self.setup.shardings)

    @functools.cached_property
    def frozen(self) -> dict:
        shapes = self.setup.trainable.frozen_shapes()
        return with_shardings(shapes, sharding.parameter_shardings(shapes, self.mesh))

    @property
    def parameters(self) -> dict:
        """Returns those of the decoder, as the sampler and the reference have them."""
        return self.setup.trainable.model_parameters(self.state.params, self.frozen)

    @property
    def engine_size(self) -> tuple[int, int]:
        """Returns (slots, positions of the cache)."""
        return engine_size(self.run, self.config, self.num_rows, backend="tpu")

    @property
    def cache(self) -> KVCache:
        num_pages = 1 + self.engine_size[1] // PAGE_SIZE
        zeros = functools.partial(KVCache.zeros, self.config, num_pages, self.run.compute.dtype)
        place = NamedSharding(self.mesh, KVCache.SPEC)
        return jax.tree.map(lambda leaf: _placed(leaf, place), jax.eval_shape(zeros))

    @property
    def history(self) -> jax.ShapeDtypeStruct:
        return self._whole((self.engine_size[0], self.config.max_positions), jnp.int32)

    def batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns the batch of an update."""
        run, place = self.run, sharding.batch_sharding(self.mesh)
        rows = lay_out([], [], run.objective, run.rollouts, run.data.sequence_length)
        batch = pack_answers(rows, np.zeros(0, bool), shards=1, microbatches=1)
        if run.objective.kl_weight:
            batch["reference_logprobs"] = batch["sampled_logprobs"]
        return {
            name: jax.ShapeDtypeStruct(
                (self.num_rows, *array.shape[1:]), array.dtype, sharding=place
            )
            for name, array in batch.items()
        }

    def stay_bytes(self) -> dict[str, int]:
        """Returns the bytes on one device of the arrays that stay, by their names in ARGUMENTS."""
        arrays = {
            "weights": self.state.params,
            "moments": self.state.optimizer,
            "frozen": self.frozen,
            "reference": self.state.params if self.run.objective.kl_weight else {},
            "cache": self.cache,
            "history": self.history,
        }
        return {name: shard_bytes(tree) for name, tree in arrays.items()}

    def trace(self, name: str) -> tuple[jax.stages.Traced, tuple]:
        """Returns (the program, its arrays)."""
        return {
            PREFILL: self._trace_prefill,
            DECODE: self._trace_decode,
            SCORE: self._trace_score,
            UPDATE: self._trace_update,
        }[name]()

    def _trace_prefill(self):
        arrays = self.parameters, self.cache
        pages, tokens = _host(1, self._pages_of_row), _host(1, piece_size(self.run))
        return read_piece.trace(self._sampler, *arrays, pages, tokens, _host()), arrays

    def _trace_decode(self):
        slots, vocab_size = self.engine_size[0], self.config.vocab_size
        rows = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype),
            empty_rows(slots, self._pages_of_row),
        )
        arrays = self.parameters, self.cache, self.history
        no_mask = self._whole((slots, -(-vocab_size // 32)), jnp.uint32)
        traced = decode.trace(
            self._sampler, *arrays, _host(slots), rows, no_mask, _host(), _host(),
            vocabulary=Vocabulary(vocab_size, (0,)),
            num_drafts=0,
        )  # fmt: skip
        return traced, arrays

    def _trace_score(self):
        arrays = self.parameters, self.batch_before_scoring()
        microbatches = self.run.train.accumulation_steps
        logprobs = make_logprobs(self.setup, self.num_rows, self.config.vocab_size, microbatches)
        return logprobs.trace(*arrays), arrays

    def _trace_update(self):
        run, arrays = self.run, (self.state, self.frozen, self.batch())
        sums = make_policy_sums(run.objective, self.num_rows, self.config.vocab_size)
        return make_train_step(self.setup, run.train, sums).trace(*arrays), arrays

    def batch_before_scoring(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: rows for name, rows in self.batch().items() if name != "reference_logprobs"}

    @property
    def _sampler(self):
        return sampling_graph(self.run, self.config)

    @property
    def _pages_of_row(self) -> int:
        return -(-self.config.max_positions // PAGE_SIZE)

    def _whole(self, shape: tuple[int, ...], dtype) -> jax.ShapeDtypeStruct:
        place = sharding.replicated_sharding(self.mesh)
        return jax.ShapeDtypeStruct(shape, dtype, sharding=place)


def compile_program(run: RunConfig, topology: topologies.Topology, name: str) -> CompiledProgram:
    """Compiles one program. Raises TopologyError, ConfigError or MeshError."""
    started = time.monotonic()
    shapes = RewardShapes.of(run, topologies.describe(topology))
    traced, arrays = shapes.trace(name)
    fields = {"fits": True, "usable_bytes": int(topology.chip.usable_bytes)}
    try:
        compiled, exchanges = compile_with_collectives(
            traced.lower(), shapes.mesh, dynamic_turns=CHUNK_TOKENS
        )
    except jax.errors.JaxRuntimeError as error:
        fields |= {"fits": False, "peak_bytes": None, "temp_bytes": None, "collectives": ()}
        fields |= parse_compiler_error(str(error))
    else:
        memory = compiled.memory_analysis()
        fields["peak_bytes"] = int(memory.peak_memory_in_bytes)
        fields["temp_bytes"] = int(memory.temp_size_in_bytes)
        fields["collectives"] = merge_alike(exchanges, topology.num_slices)
    return CompiledProgram(
        argument_bytes=shard_bytes(arrays),
        trained_parameters=count_parameters(shapes.state.params),
        executed_flops=executed_flops(traced.jaxpr),
        seconds=time.monotonic() - started,
        **fields,
    )


def _placed(leaf: jax.ShapeDtypeStruct, place: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def _host(*shape: int) -> jax.ShapeDtypeStruct:
    """Returns an int32 array that the host sends with a call."""
    return jax.ShapeDtypeStruct(shape, np.int32)
