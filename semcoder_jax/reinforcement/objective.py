"""Computes the loss of sampled answers: GRPO's, with the variants of ObjectiveConfig.

Each token has its advantage, its weight and the log-probability with which the engine sampled it;
all are computed on the host (advantages.py), so the loss is one sum over tokens here, whatever the
variant, and splits over rows, devices and microbatches without changing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from data_pipeline.pyx.records import TRAINING_KINDS
from semcoder_jax.config import ObjectiveConfig
from semcoder_jax.model import fsdp, sharding
from semcoder_jax.training.loss import sums_by_kind, token_cross_entropy
from semcoder_jax.training.optimizer import split_microbatches
from semcoder_jax.training.step import final_states


class TokenLoss(NamedTuple):
    """Loss of each token [B, T], and what the objective did with it (bool, [B, T]).

    `kl` is the k3 estimate of the divergence from the reference, 0 without one.
    """

    loss_BxT: jax.Array
    kl_BxT: jax.Array
    clipped_low_BxT: jax.Array
    clipped_high_BxT: jax.Array
    guarded_BxT: jax.Array


def token_loss(logprobs_BxT: jax.Array, batch, objective: ObjectiveConfig) -> TokenLoss:
    """Returns the loss of each token, of weight 1.

    `batch` holds, all float32 [B, T]: `advantages`, `sampled_logprobs` (the engine's), and
    `reference_logprobs` if `objective.kl_weight` is above 0. Positions that are no sampled token
    must have equal log-probabilities or weight 0.
    """
    advantages_BxT = batch["advantages"]
    log_ratio_BxT = logprobs_BxT - batch["sampled_logprobs"]
    ratio_BxT = jnp.exp(log_ratio_BxT)
    high_BxT = (advantages_BxT > 0) & (ratio_BxT > 1 + objective.clip_high)
    low_BxT = (advantages_BxT < 0) & (ratio_BxT < 1 - objective.clip_low)
    # The minimum of plain and clipped surrogate: constant, without gradient, where it is clipped.
    bound_BxT = jnp.where(high_BxT, 1 + objective.clip_high, 1 - objective.clip_low)
    loss_BxT = -jnp.where(high_BxT | low_BxT, bound_BxT, ratio_BxT) * advantages_BxT
    guarded_BxT = jnp.zeros_like(high_BxT)
    if objective.ratio_bound is not None:
        guarded_BxT = jnp.abs(log_ratio_BxT) > jnp.log(objective.ratio_bound)
        loss_BxT = jnp.where(guarded_BxT, 0.0, loss_BxT)
    kl_BxT = jnp.zeros_like(loss_BxT)
    if objective.kl_weight:
        difference_BxT = batch["reference_logprobs"] - logprobs_BxT
        kl_BxT = jnp.exp(difference_BxT) - difference_BxT - 1
        loss_BxT += objective.kl_weight * kl_BxT
    return TokenLoss(loss_BxT, kl_BxT, low_BxT, high_BxT, guarded_BxT)


class PolicySums(NamedTuple):
    """Sums over the sampled tokens of a batch, float32; those by answer have zeros for others.

    `weight` divides the loss. `max_log_ratio_R` is the largest |log ratio| of each answer's tokens,
    `log_ratio_R` the sum of |log ratio|, before the update.
    """

    weight: jax.Array
    tokens: jax.Array
    kl: jax.Array
    clipped_low: jax.Array
    clipped_high: jax.Array
    guarded: jax.Array
    loss_by_kind_N: jax.Array
    tokens_by_kind_N: jax.Array
    max_log_ratio_R: jax.Array
    log_ratio_R: jax.Array

    def metrics(self) -> dict[str, jax.Array]:
        """Returns the metrics of a step: shares of and means over its sampled tokens."""
        per_token = 1 / jnp.maximum(self.tokens, 1)
        return {
            "target_tokens": self.tokens,
            "loss_by_kind": self.loss_by_kind_N,
            "targets_by_kind": self.tokens_by_kind_N,
            "kl": self.kl * per_token,
            "clipped_low": self.clipped_low * per_token,
            "clipped_high": self.clipped_high * per_token,
            "guarded": self.guarded * per_token,
            "max_log_ratio_R": self.max_log_ratio_R,
            "log_ratio_R": self.log_ratio_R,
        }


def make_policy_sums(
    objective: ObjectiveConfig, num_answers: int, num_real_tokens: int
) -> Callable:
    """Returns the loss of `num_answers` sampled answers, for make_train_step.

    Ids from `num_real_tokens` on are padding of the vocabulary, which the engine never samples.
    A microbatch whose rows `computed` [B, 1] calls 0, on all devices alike, is not computed.
    """

    def policy_sums(graphdef, params, batch, shards: fsdp.Shards | None = None):
        def compute(params):
            logprobs_BxT = target_logprobs(graphdef, params, batch, num_real_tokens, shards)
            return sum_tokens(logprobs_BxT, batch, objective, num_answers)

        def skip(params):
            sums = jax.tree.map(
                lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(compute, params)
            )
            return sums[0], sums[1]._replace(weight=jnp.sum(batch["row_weights"]))

        return jax.lax.cond(batch["computed"][0, 0] > 0, compute, skip, params)

    return policy_sums


def sum_tokens(
    logprobs_BxT: jax.Array, batch, objective: ObjectiveConfig, num_answers: int
) -> tuple[jax.Array, PolicySums]:
    """Returns (sum of weighted losses, sums) of the tokens whose `loss_mask` is above 0.

    `batch` holds, beside the fields of `token_loss`: `loss_mask` (each token's weight), `kinds`,
    `answers` (the number of each token's answer, of `num_answers`) and `row_weights` [B, 1], whose
    sum divides the loss.
    """
    weights_BxT = batch["loss_mask"]
    is_token_BxT = weights_BxT > 0
    # Not only a product: a token that was never sampled may have an infinite ratio.
    sampled_BxT = jnp.where(is_token_BxT, batch["sampled_logprobs"], 0.0)
    logprobs_BxT = jnp.where(is_token_BxT, logprobs_BxT, 0.0)
    fields = dict(batch) | {"sampled_logprobs": sampled_BxT}
    if objective.kl_weight:
        fields["reference_logprobs"] = jnp.where(is_token_BxT, batch["reference_logprobs"], 0.0)
    found = token_loss(logprobs_BxT, fields, objective)
    loss_BxT = weights_BxT * found.loss_BxT
    log_ratio_BxT = jax.lax.stop_gradient(jnp.abs(logprobs_BxT - sampled_BxT))

    def count(values_BxT) -> jax.Array:
        values_BxT = jnp.where(is_token_BxT, jax.lax.stop_gradient(values_BxT), 0.0)
        return jnp.sum(values_BxT, dtype=jnp.float32)

    number_of_kinds, zeros_R = len(TRAINING_KINDS), jnp.zeros(num_answers, jnp.float32)
    losses_BxT = jax.lax.stop_gradient(jnp.where(is_token_BxT, found.loss_BxT, 0.0))
    return jnp.sum(loss_BxT), PolicySums(
        weight=jnp.sum(batch["row_weights"]),
        tokens=count(jnp.ones_like(weights_BxT)),
        kl=count(found.kl_BxT),
        clipped_low=count(found.clipped_low_BxT),
        clipped_high=count(found.clipped_high_BxT),
        guarded=count(found.guarded_BxT),
        loss_by_kind_N=sums_by_kind(losses_BxT, batch["kinds"], number_of_kinds),
        tokens_by_kind_N=sums_by_kind(is_token_BxT * 1.0, batch["kinds"], number_of_kinds),
        max_log_ratio_R=zeros_R.at[batch["answers"]].max(log_ratio_BxT),
        log_ratio_R=zeros_R.at[batch["answers"]].add(log_ratio_BxT),
    )


def target_logprobs(
    graphdef, params, batch, num_real_tokens: int, shards: fsdp.Shards | None = None
) -> jax.Array:
    """Returns the log-probability of each target, float32 [B, T]; arguments as batch_loss_sums."""
    model, hidden_BxTxD = final_states(graphdef, params, batch, shards)

    def logits_of(hidden_BxCxD):
        logits_BxCxV = model.logits(hidden_BxCxD)
        real_V = jnp.arange(logits_BxCxV.shape[-1]) < num_real_tokens
        return jnp.where(real_V, logits_BxCxV, -jnp.inf)

    return _chunked_logprobs(logits_of, hidden_BxTxD, batch["targets"], model.compute.loss_chunk)


def _chunked_logprobs(
    logits_of: Callable, hidden_BxTxD: jax.Array, targets_BxT: jax.Array, chunk: int
) -> jax.Array:
    """Computes log-probabilities `chunk` positions at a time, forward and backward."""
    T = targets_BxT.shape[1]
    if chunk >= T:
        return -token_cross_entropy(logits_of(hidden_BxTxD), targets_BxT)
    num_chunks = -(-T // chunk)

    def split_chunks(x):
        x = jnp.pad(x, [(0, 0), (0, num_chunks * chunk - T), *[(0, 0)] * (x.ndim - 2)])
        return jnp.moveaxis(x.reshape(x.shape[0], num_chunks, chunk, *x.shape[2:]), 1, 0)

    @jax.checkpoint
    def logprobs_of(part):
        hidden_BxCxD, targets_BxC = part
        return -token_cross_entropy(logits_of(hidden_BxCxD), targets_BxC)

    parts_NxBxC = jax.lax.map(logprobs_of, (split_chunks(hidden_BxTxD), split_chunks(targets_BxT)))
    return jnp.moveaxis(parts_NxBxC, 0, 1).reshape(-1, num_chunks * chunk)[:, :T]


def make_logprobs(setup, num_rows: int, num_real_tokens: int, microbatches: int = 1) -> Callable:
    """Returns the jitted (all parameters, batch) -> log-probabilities of the targets [R, T].

    Each device computes its own rows, in so many microbatches; the result is whole on every device.
    """

    @jax.jit
    def logprobs(params, batch):
        places = sharding.parameter_shardings(params, setup.mesh)
        shards = fsdp.Shards.of(places, setup.mesh)

        def local_rows(params, batch):
            def of_rows(rows):
                return target_logprobs(setup.graphdef, params, rows, num_real_tokens, shards)

            parts_MxBxT = jax.lax.map(of_rows, split_microbatches(batch, microbatches))
            found_BxT = jnp.moveaxis(parts_MxBxT, 0, 1).reshape(-1, parts_MxBxT.shape[-1])
            whole_RxT = jnp.zeros((num_rows, found_BxT.shape[1]), jnp.float32)
            return whole_RxT.at[batch["answers"][:, 0]].add(found_BxT)

        return fsdp.over_rows(local_rows, setup.mesh, (places,))(params, batch)

    return logprobs
