"""One update, and the held-out loss, as jitted functions over the parameters and a packed batch."""

import contextlib
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from data_pipeline.input import TrainInput
from semcoder_jax import sharding
from semcoder_jax.config import RunConfig
from semcoder_jax.loss import chunked_cross_entropy
from semcoder_jax.optimizer import accumulated_gradients, learning_rate_schedule
from semcoder_jax.train_state import TrainState, whole_params


def make_train_step(
    run: RunConfig,
    num_steps: int,
    graphdef,
    optimizer,
    mesh: Mesh,
    places: TrainState,
    frozen_places: dict,
):
    """Jitted (state, frozen, batch) -> (state, metrics); the old state is donated.

    ``places`` and ``frozen_places`` are the shardings of the state and of the parameters that no
    step changes ({}: all are trained).

    Metrics are replicated scalars: the mean ``loss`` over the global batch's target tokens, the
    ``gradient_norm`` before clipping, the ``learning_rate``, the numbers of ``target_tokens``
    and ``tokens`` (all but padding), and ``skipped``: 1 where loss or gradient is not finite, or
    the gradient's norm is above ``train.skip_gradient_norm``. Such a step leaves parameters and
    moments as they are; only the counters, and with them the learning rate, go on.
    """
    schedule = learning_rate_schedule(run.optimizer, num_steps)

    def step(state: TrainState, frozen, batch) -> tuple[TrainState, dict[str, jax.Array]]:
        def loss_sums(params, microbatch):
            return batch_loss_sums(graphdef, whole_params(params, frozen), microbatch)

        loss, target_tokens, gradients = accumulated_gradients(
            loss_sums, state.params, batch, run.train.accumulation_steps, mesh
        )
        gradient_norm = optax.global_norm(gradients)
        sound = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
        if run.train.skip_gradient_norm is not None:
            sound &= gradient_norm <= run.train.skip_gradient_norm
        updates, moments = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)

        def unless_bad(new, old):
            is_counter = jnp.issubdtype(new.dtype, jnp.integer)
            return new if is_counter else jnp.where(sound, new, old)

        params, moments = jax.tree.map(
            unless_bad, (params, moments), (state.params, state.optimizer)
        )
        metrics = {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "learning_rate": schedule(state.step),
            "target_tokens": target_tokens,
            "tokens": jnp.sum(batch["segment_ids"] != 0),
            "skipped": 1 - sound.astype(jnp.int32),
        }
        return TrainState(state.step + 1, params, moments), metrics

    return jax.jit(
        step,
        in_shardings=(places, frozen_places, sharding.batch_sharding(mesh)),
        out_shardings=(places, sharding.replicated(mesh)),
        donate_argnums=0,
    )


def make_evaluation(
    graphdef, held_out: TrainInput | None, most: int, mesh: Mesh
) -> Callable[[Any], float]:
    """All parameters -> mean loss of the first ``most`` batches (0: of all) over their targets."""
    replicated = sharding.replicated(mesh)
    sums = jax.jit(functools.partial(batch_loss_sums, graphdef), out_shardings=replicated)

    def evaluate(params) -> float:
        loss_sum = weight = 0.0
        with contextlib.closing(held_out.iterator()) as batches:
            for batch in itertools.islice(batches, most or None):
                batch_sums = jax.device_get(sums(params, sharding.put_batch(batch, mesh)))
                loss_sum, weight = loss_sum + float(batch_sums[0]), weight + float(batch_sums[1])
        return loss_sum / max(weight, 1.0)

    return evaluate


def batch_loss_sums(graphdef, params, batch) -> tuple[jax.Array, jax.Array]:
    """(sum of losses, number of targets) of packed rows; see data_pipeline.packing for a batch.

    ``params`` are all of the decoder's.
    """
    model = nnx.merge(graphdef, params)
    hidden_BxTxD, _ = model.hidden(batch["tokens"], batch["positions"], batch["segment_ids"])
    return chunked_cross_entropy(
        model.logits, hidden_BxTxD, batch["targets"], batch["loss_mask"], model.compute.loss_chunk
    )
