"""Builds the jitted update and the jitted held-out loss over parameters and a packed batch."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from data_pipeline.pyx.records import TRAINING_KINDS
from data_pipeline.tokens.batches import TrainInput
from semcoder_jax.config import TrainConfig
from semcoder_jax.model import fsdp, sharding
from semcoder_jax.training.loss import chunked_cross_entropy, sums_by_kind
from semcoder_jax.training.optimizer import gradient_sums, mean_gradients
from semcoder_jax.training.state import TrainSetup, TrainState


class LossSums(NamedTuple):
    """Sums over the target tokens of a batch, float32.

    `weight` is their total weight (their number). Losses and weights by kind have the order of
    records.TRAINING_KINDS [N].
    """

    weight: jax.Array
    loss_by_kind_N: jax.Array
    weight_by_kind_N: jax.Array

    def metrics(self) -> dict[str, jax.Array]:
        return {
            "target_tokens": self.weight,
            "loss_by_kind": self.loss_by_kind_N,
            "targets_by_kind": self.weight_by_kind_N,
        }


def make_train_step(setup: TrainSetup, config: TrainConfig, batch_sums: Callable | None = None):
    """Returns the jitted (state, frozen, batch) -> (state, metrics); it donates the old state.

    `frozen` holds the parameters that no step changes.

    Metrics are replicated scalars: the mean `loss` over the global batch's target tokens, the
    `gradient_norm` before clipping, the `learning_rate`, the numbers of `target_tokens`
    and `tokens` (all but padding), `attention_pairs` (see flops), and `skipped`: 1 if loss
    or gradient is not finite, or the gradient's norm is above `train.skip_gradient_norm`. Such a
    step leaves parameters and moments unchanged; only the counters, and with them the learning
    rate, advance. `loss_by_kind` and `targets_by_kind` are sums, [kinds], of LossSums.

    `batch_sums` replaces batch_loss_sums for another loss: it takes the same arguments and returns
    (sum of losses, sums), a NamedTuple with `weight` first and with a method `metrics`.
    """
    batch_sums = batch_sums or batch_loss_sums
    trainable, mesh, shardings = setup.trainable, setup.mesh, setup.shardings
    frozen_shardings = sharding.parameter_shardings(trainable.frozen_shapes(), mesh)
    shards = fsdp.Shards.of(trainable.model_parameters(shardings.params, frozen_shardings), mesh)

    def local_sums(params, frozen, batch):
        """Returns the sums of batch_loss_sums over a device's rows, and gradients of its shards."""

        def loss_sums(params, microbatch):
            whole = trainable.model_parameters(params, frozen)
            return batch_sums(setup.graphdef, whole, microbatch, shards)

        *sums, gradients = gradient_sums(loss_sums, params, batch, config.accumulation_steps)
        return tuple(sums), gradients

    sums_of = fsdp.over_rows(
        local_sums, mesh, (shardings.params, frozen_shardings), shardings.params
    )

    def step(state: TrainState, frozen, batch) -> tuple[TrainState, dict[str, jax.Array]]:
        (loss_sum, sums), gradients = sums_of(state.params, frozen, batch)
        loss, gradients = mean_gradients(loss_sum, sums.weight, gradients)
        gradient_norm = optax.global_norm(gradients)
        sound = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
        if config.skip_gradient_norm is not None:
            sound &= gradient_norm <= config.skip_gradient_norm
        updates, moments = setup.optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)

        def unless_bad(new, old):
            is_counter = jnp.issubdtype(new.dtype, jnp.integer)
            return new if is_counter else jnp.where(sound, new, old)

        params, moments = jax.tree.map(
            unless_bad, (params, moments), (state.params, state.optimizer)
        )
        is_token_BxT = batch["segment_ids"] != 0
        metrics = {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "learning_rate": setup.learning_rate(state.step),
            "tokens": jnp.sum(is_token_BxT),
            # Positions restart in each record: the query at position p sees p + 1 keys.
            "attention_pairs": jnp.sum((batch["positions"] + 1.0) * is_token_BxT),
            "skipped": 1 - sound.astype(jnp.int32),
            **sums.metrics(),
        }
        return TrainState(state.step + 1, params, moments), metrics

    return jax.jit(
        step,
        in_shardings=(shardings, frozen_shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated_sharding(mesh)),
        donate_argnums=0,
    )


@dataclasses.dataclass(frozen=True)
class HeldOutLoss:
    """Holds the mean loss over held-out target tokens, in all and by kind."""

    mean: float
    by_kind: dict[str, float]


def make_evaluation(
    graphdef, held_out: TrainInput | None, most: int, mesh: Mesh
) -> Callable[[Any], HeldOutLoss]:
    """Returns the function from all parameters to the held-out loss.

    The function uses the first `most` batches (0: all).
    """

    @jax.jit
    def sums(params, batch):
        places = sharding.parameter_shardings(params, mesh)
        shards = fsdp.Shards.of(places, mesh)

        def local_sums(params, batch):
            return batch_loss_sums(graphdef, params, batch, shards)

        return fsdp.over_rows(local_sums, mesh, (places,))(params, batch)

    def evaluate(params) -> HeldOutLoss:
        loss_sum, weight = 0.0, 0.0
        losses_N, weights_N = np.zeros(len(TRAINING_KINDS)), np.zeros(len(TRAINING_KINDS))
        with contextlib.closing(held_out.iterator()) as batches:
            for batch in itertools.islice(batches, most or None):
                loss, found = jax.device_get(sums(params, sharding.put_batch(batch, mesh)))
                loss_sum, weight = loss_sum + float(loss), weight + float(found.weight)
                losses_N += found.loss_by_kind_N
                weights_N += found.weight_by_kind_N
        return HeldOutLoss(loss_sum / max(weight, 1.0), mean_by_kind(losses_N, weights_N))

    return evaluate


def mean_by_kind(losses_N: np.ndarray, weights_N: np.ndarray) -> dict[str, float]:
    """Returns the mean loss of each kind that has targets, from the sums of LossSums."""
    sums = zip(TRAINING_KINDS, losses_N, weights_N, strict=True)
    return {name: float(loss / weight) for name, loss, weight in sums if weight}


def final_states(graphdef, params, batch, shards: fsdp.Shards | None) -> tuple[Any, jax.Array]:
    """Returns (model with whole embeddings and head, its last hidden states [B, T, D])."""
    if shards:
        dtype = nnx.merge(graphdef, params).compute.dtype
        params = params | shards.gather(
            {name: part for name, part in params.items() if name != "layers"}, dtype
        )
    model = nnx.merge(graphdef, params)
    hidden_BxTxD, _ = model.hidden(
        batch["tokens"], batch["positions"], batch["segment_ids"], shards=shards
    )
    return model, hidden_BxTxD


def batch_loss_sums(
    graphdef, params, batch, shards: fsdp.Shards | None = None
) -> tuple[jax.Array, LossSums]:
    """Returns (sum of losses, further sums) of packed rows; see data_pipeline.tokens.packing.

    `params` are all parameters of the decoder; with `shards`, this device's shards of them, and
    `batch` holds its rows.
    """
    model, hidden_BxTxD = final_states(graphdef, params, batch, shards)
    weights_BxT = batch["loss_mask"]
    loss_sum, weight, losses_BxT = chunked_cross_entropy(
        model.logits, hidden_BxTxD, batch["targets"], weights_BxT, model.compute.loss_chunk
    )
    by_kind = [
        sums_by_kind(values_BxT, batch["kinds"], len(TRAINING_KINDS))
        for values_BxT in (losses_BxT, weights_BxT)
    ]
    return loss_sum, LossSums(weight, *by_kind)
