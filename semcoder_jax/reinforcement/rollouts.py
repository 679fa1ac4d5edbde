"""Samples the answers of a step with the engine, and lays them out as a batch of the step."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.config import (
    Compute,
    DecoderConfig,
    ObjectiveConfig,
    RolloutsConfig,
    RunConfig,
)
from semcoder_jax.inference.capacity import default_slots
from semcoder_jax.inference.detokenize import RowText
from semcoder_jax.inference.engine import Engine
from semcoder_jax.inference.params import Generation, SamplingParams
from semcoder_jax.inference.request import Request
from semcoder_jax.loading import LoadedModel
from semcoder_jax.model.kv_cache import PAGE_SIZE
from semcoder_jax.reinforcement.advantages import row_weight, token_advantages, token_weight
from semcoder_jax.reinforcement.prompts import Prompt


@dataclasses.dataclass(frozen=True)
class Rollout:
    """Holds one sampled answer.

    Attributes:
      prompt: the prompt and its tokens.
      tokens: sampled ids, an end token included.
      logprobs: the engine's log-probability of each; empty if not requested.
      text: the answer without the end token.
      finished: whether an end token ended it.
    """

    prompt: Prompt
    tokens: np.ndarray
    logprobs: np.ndarray
    text: str
    finished: bool
    tokenizer: object = dataclasses.field(repr=False, compare=False)

    def token_at(self, place: int) -> int:
        """Returns the number of the token whose text covers the character `place`."""
        decoder = RowText(self.tokenizer, self.prompt.tokens.tolist(), ())
        tokens = self.tokens.tolist()
        low, high = 0, len(tokens)  # the text of tokens[:low] ends at or before `place`
        while high - low > 1:
            middle = (low + high) // 2
            if len(decoder.text(tokens[:middle])) > place:
                high = middle
            else:
                low = middle
        return low


class Sampler:
    """Samples with the weights it is given, by engines that live as long as the session.

    There is one engine for each replica of the weights, that is along `data` of the mesh: replicas
    decode different answers at the same time. Several processes have one engine together, whose
    replicas decode the same. No engine holds a copy of the weights. None checks drafts: which
    drafts pay is found by timing, and a resumed run must sample as an unbroken one does.
    """

    def __init__(self, run: RunConfig, config: DecoderConfig, tokenizer, mesh: Mesh):
        self._model = LoadedModel(config, sampling_graph(run, config), None, tokenizer)
        self._run, self._rollouts, self._seed = run, run.rollouts, run.seed
        self._meshes = replica_meshes(mesh) if jax.process_count() == 1 else [mesh]
        self._engines: list[Engine] = []

    def sample(self, params, prompts: Sequence[Prompt], step: int) -> list[list[Rollout]]:
        """Returns a group of answers to each prompt.

        The random stream of an answer follows from the run's seed, the step and its row.
        """
        size = self._rollouts.group_size
        sampling = SamplingParams(
            max_new_tokens=self._rollouts.max_new_tokens,
            temperature=1.0,
            seed=_seed_of_step(self._seed, step),
            logprobs=0,
        )
        requests = [
            Request(prompt.tokens.tolist(), sampling, n=size, first_sample=place * size)
            for place, prompt in enumerate(prompts)
        ]
        tokenizer = self._model.tokenizer
        return [
            [make_rollout(prompt, generation, tokenizer) for generation in group]
            for prompt, group in zip(prompts, self._generate(params, requests), strict=True)
        ]

    def _generate(self, params, requests: Sequence[Request]) -> list[list[Generation]]:
        """Returns the generations of each request; engine e of E answers every E-th from e on."""
        self._use(params, len(requests) * self._rollouts.group_size)
        count = len(self._engines)
        if count == 1:
            return self._engines[0].generate(requests)
        parts = [requests[first::count] for first in range(count)]
        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(Engine.generate, self._engines, parts))
        return [found[place % count][place // count] for place in range(len(requests))]

    def _use(self, params, num_rows: int) -> None:
        """Gives the engines the weights; makes the engines first if needed."""
        replicas = [on_replica(params, mesh) for mesh in self._meshes]
        if self._engines:
            for engine, replica in zip(self._engines, replicas, strict=True):
                engine.replace_parameters(replica)
            return
        rows = -(-num_rows // len(replicas))
        slots, cache_tokens = engine_size(self._run, self._model.config, rows)
        for replica in replicas:
            model = dataclasses.replace(self._model, params=replica)
            engine = Engine(model, num_slots=slots, cache_tokens=cache_tokens, speculation="off")
            self._engines.append(engine)


def sampling_graph(run: RunConfig, config: DecoderConfig) -> nnx.GraphDef:
    """Returns the decoder that samples, without its parameters."""
    return nnx.split(abstract_model(config, Compute(dtype=run.compute.dtype)))[0]


def engine_size(
    run: RunConfig, config: DecoderConfig, num_rows: int, backend: str | None = None
) -> tuple[int, int]:
    """Returns an engine's slots, and the positions of its cache, for `num_rows` answers a step.

    `backend` decides on the slots if the config does not (None: this machine's).
    """
    slots = run.rollouts.slots or min(default_slots(backend), num_rows)
    longest = min(run.data.sequence_length + 1, config.max_positions)
    pages = 1 + -(-longest // PAGE_SIZE)  # no more: the step needs the memory
    return slots, slots * pages * PAGE_SIZE


def replica_meshes(mesh: Mesh) -> list[Mesh]:
    """Returns a mesh for each replica of the weights; its axis `data` has size 1."""
    axis = mesh.axis_names.index("data")
    return [
        Mesh(devices, mesh.axis_names, axis_types=mesh.axis_types)
        for devices in np.split(mesh.devices, mesh.shape["data"], axis)
    ]


def on_replica(params, mesh: Mesh):
    """Returns the part of global arrays that lies on `mesh`, a replica, without a copy."""

    def part(array: jax.Array) -> jax.Array:
        if array.sharding.device_set == set(mesh.devices.flat):
            return array
        place = NamedSharding(mesh, array.sharding.spec)
        by_device = {shard.device: shard.data for shard in array.addressable_shards}
        arrays = [by_device[device] for device in place.addressable_devices]
        return jax.make_array_from_single_device_arrays(array.shape, place, arrays)

    return jax.tree.map(part, params)


def _seed_of_step(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def make_rollout(prompt: Prompt, generation: Generation, tokenizer) -> Rollout:
    """Returns a generation as an answer to its prompt."""
    entries = [*(generation.logprobs or ())]
    if generation.end_logprobs is not None:
        entries.append(generation.end_logprobs)
    return Rollout(
        prompt,
        np.array(generation.tokens, np.int32),
        np.array([entry.chosen for entry in entries], np.float32),
        generation.text,
        generation.end_token is not None,
        tokenizer,
    )


# ==== The batch of a step


@dataclasses.dataclass(frozen=True)
class Credit:
    """Holds the advantage of an answer, and the token of its first wrong step, if it has one."""

    advantage: float
    first_wrong: int | None = None


def lay_out(
    rollouts: Sequence[Rollout],
    credits: Sequence[Credit],
    objective: ObjectiveConfig,
    config: RolloutsConfig,
    length: int,
) -> dict[str, np.ndarray]:
    """Returns the batch of the objective [R, length], one answer a row.

    A row's inputs are its prompt and answer without the last token; a target has weight if it is a
    sampled token. `answers` is the number of each position's answer; `computed` is for packing.
    """
    R = len(rollouts)
    batch = {
        name: np.zeros((R, length), np.int32)
        for name in ("tokens", "targets", "positions", "segment_ids", "kinds")
    }
    batch |= {
        name: np.zeros((R, length), np.float32)
        for name in ("loss_mask", "advantages", "sampled_logprobs")
    }
    batch["answers"] = np.repeat(np.arange(R, dtype=np.int32)[:, None], length, axis=1)
    batch["row_weights"] = np.zeros((R, 1), np.float32)
    batch["computed"] = np.ones((R, 1), np.int32)
    for row, (rollout, credit) in enumerate(zip(rollouts, credits, strict=True)):
        ids = np.concatenate([rollout.prompt.tokens, rollout.tokens])
        end, count = len(ids) - 1, len(rollout.tokens)
        sampled = slice(end - count, end)
        batch["tokens"][row, :end], batch["targets"][row, :end] = ids[:-1], ids[1:]
        batch["positions"][row, :end] = np.arange(end)
        batch["segment_ids"][row, :end] = 1
        batch["kinds"][row, :end] = rollout.prompt.kind
        batch["loss_mask"][row, sampled] = token_weight(count, objective, config.max_new_tokens)
        batch["advantages"][row, sampled] = token_advantages(
            credit.advantage, count, credit.first_wrong, objective.credit
        )
        batch["sampled_logprobs"][row, sampled] = rollout.logprobs
        batch["row_weights"][row] = row_weight(count, objective)
    return batch


def without_rows(batch: dict[str, np.ndarray], dropped_R: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the batch in which the rows `dropped_R` (bool) have no loss and no weight."""
    kept_Rx1 = ~dropped_R[:, None]
    return batch | {name: batch[name] * kept_Rx1 for name in ("loss_mask", "row_weights")}


def rows_of_process(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns this process's equal share of the rows."""
    rows = len(batch["tokens"]) // jax.process_count()
    first = jax.process_index() * rows
    return {name: array[first : first + rows] for name, array in batch.items()}
