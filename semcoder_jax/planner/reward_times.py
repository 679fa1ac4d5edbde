"""Estimates the least time of each phase of a step of learning from rewards, by the roofline.

    step seconds = prefill + decode + score + passes x update
    prefill      = prompts x pieces of a prompt x roofline of a piece
    decode       = waves x max_new_tokens x roofline of a step of all slots
    waves        = answers / slots, rounded up

An ESTIMATE for prompts and answers of full length: a prompt of sequence_length + 1 - max_new_tokens
tokens, answers of max_new_tokens. Shorter ones take less. Decoding reads each weight once a step,
in the dtype of the products, and the keys and values of each row; what the engine splits over fsdp
and tensor is the weights, over tensor the heads and their cache. Not counted: judging on the
hosts, and the start of each of the many small exchanges of a decoding step.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp

from semcoder_jax.config import RunConfig
from semcoder_jax.model.parameters import product_shapes
from semcoder_jax.planner.compiled_step import architecture
from semcoder_jax.planner.reward_programs import (
    CHUNK_TOKENS,
    DECODE,
    PREFILL,
    SCORE,
    CompiledProgram,
    longest_prompt,
    piece_size,
)
from semcoder_jax.planner.roofline import Exchange, Roofline, memory_bytes, roofline
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.topologies import Topology

# Bytes of a parameter in a frozen base that is stored smaller than the products' dtype.
_BASE_BYTES = {"int8": 1.0, "nf4": 0.5}


@dataclasses.dataclass(frozen=True)
class Phase:
    """The time of one program in a step: it runs `runs` times, each as long as `roofline` says."""

    roofline: Roofline
    runs: float

    @property
    def seconds(self) -> float:
        return self.runs * self.roofline.step_seconds


@dataclasses.dataclass(frozen=True)
class Rollouts:
    """The sizes of a step's sampling, at full length."""

    prompts: int
    prompt_tokens: int
    answers: int
    answer_tokens: int
    slots: int

    @classmethod
    def of(cls, run: RunConfig, slots: int) -> "Rollouts":
        answers = run.data.global_batch_size
        return cls(
            answers // run.rollouts.group_size,
            longest_prompt(run),
            answers,
            run.rollouts.max_new_tokens,
            slots,
        )

    @property
    def waves(self) -> int:
        return -(-self.answers // self.slots)

    @property
    def mean_tokens(self) -> float:
        """Returns the mean length of a row over the steps of its decoding."""
        return self.prompt_tokens + self.answer_tokens / 2


def phase_of(
    name: str, run: RunConfig, topology: Topology, program: CompiledProgram, sizes: Rollouts
) -> Phase:
    """Returns a compiled program's phase; its collectives are those of the compiler."""
    exchanges = [Exchange(**record) for record in program.collectives]
    if name == PREFILL:
        return _prefill(run, topology, exchanges, sizes)
    if name == DECODE:
        return _decode(run, topology, exchanges, sizes)
    runs = 1 if name == SCORE else run.objective.passes
    return Phase(_whole_batch(name, run, topology, program), runs)


def least_sampling_seconds(run: RunConfig, topology: Topology, sizes: Rollouts) -> float:
    """Returns the seconds of prefill and decoding if devices exchanged nothing."""
    phases = _prefill(run, topology, (), sizes), _decode(run, topology, (), sizes)
    return math.fsum(phase.seconds for phase in phases)


def _prefill(run, topology: Topology, exchanges: Sequence[Exchange], sizes: Rollouts) -> Phase:
    tokens = piece_size(run)
    work = _Work.of(run, topology, with_output=False)
    keys = sizes.prompt_tokens / 2
    one = _roofline(topology, exchanges, work.flops(tokens, keys), work.weight_bytes)
    return Phase(one, sizes.prompts * max(sizes.prompt_tokens - 1, 1) / tokens)


def _decode(run, topology: Topology, exchanges: Sequence[Exchange], sizes: Rollouts) -> Phase:
    work = _Work.of(run, topology, with_output=True)
    keys = sizes.mean_tokens
    flops = CHUNK_TOKENS * work.flops(sizes.slots, keys)
    moved = CHUNK_TOKENS * (work.weight_bytes + sizes.slots * keys * work.cache_token_bytes)
    one = _roofline(topology, exchanges, flops, moved)
    return Phase(one, sizes.waves * sizes.answer_tokens / CHUNK_TOKENS)


@dataclasses.dataclass(frozen=True)
class _Work:
    """What one device computes and reads when the engine runs the decoder.

    Per token: `product_flops`, and `key_flops` for each key that it sees. Per pass: `weight_bytes`.
    Per position in the cache: `cache_token_bytes`.
    """

    product_flops: float
    key_flops: float
    weight_bytes: float
    cache_token_bytes: float

    @classmethod
    def of(cls, run: RunConfig, topology: Topology, *, with_output: bool) -> "_Work":
        config, itemsize = architecture(run), jnp.dtype(run.compute.dtype).itemsize
        _, fsdp, tensor = Setting.of(run, topology.num_devices).mesh
        shapes = product_shapes(config)
        *layers, output = (inputs * outputs for inputs, outputs in shapes)
        elements = sum(layers) + (output if with_output else 0)
        held = min(_BASE_BYTES.get(run.lora.base, itemsize) if run.lora else itemsize, itemsize)
        return cls(
            2 * elements / (fsdp * tensor),
            4 * config.num_layers * config.num_heads * config.head_dim / tensor,
            elements * held / (fsdp * tensor),
            2 * config.num_layers * config.num_kv_heads * config.head_dim * itemsize / tensor,
        )

    def flops(self, tokens: float, keys: float) -> float:
        return tokens * (self.product_flops + keys * self.key_flops)


def _roofline(
    topology: Topology, exchanges: Sequence[Exchange], flops: float, moved: float
) -> Roofline:
    """Returns the roofline from one device's FLOPs and bytes."""
    return roofline(
        topology,
        executed_flops=flops * topology.num_devices,
        memory_bytes=moved,
        exchanges=exchanges,
    )


def _whole_batch(name: str, run: RunConfig, topology: Topology, program: CompiledProgram):
    """Returns the roofline of the scoring or the update, which take the whole batch."""
    data, fsdp, tensor = Setting.of(run, topology.num_devices).mesh
    moved = memory_bytes(
        architecture(run),
        tokens=run.data.global_batch_size * run.data.sequence_length / (data * fsdp),
        microbatches=run.train.accumulation_steps,
        tensor=tensor,
        executed_flops=program.executed_flops / (data * fsdp),
        trained_parameters=0 if name == SCORE else program.trained_parameters / (fsdp * tensor),
    )
    return roofline(
        topology,
        executed_flops=program.executed_flops,
        memory_bytes=moved,
        exchanges=[Exchange(**record) for record in program.collectives],
    )
