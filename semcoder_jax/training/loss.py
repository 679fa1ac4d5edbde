"""Computes cross entropy, weighted per target token.

Returns the sum of losses and the sum of weights separately. The mean over a *global* batch divides
once by its total weight, so the numbers of devices and microbatches, and how full each of them is,
do not change a loss or a gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def token_cross_entropy(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """Returns -log softmax(logits)[target], float32 [B, T]; `targets` are ids in [0, V).

    The target's logit is found by comparing ids rather than by a gather, whose gradient is a
    scatter: the comparison fuses into the reduction over V, forward and backward, and stays local
    where V is split over devices.
    """
    logits_BxTxV = logits_BxTxV.astype(jnp.float32)
    ids_V = jax.lax.iota(jnp.int32, logits_BxTxV.shape[-1])
    is_target_BxTxV = targets_BxT[..., None].astype(jnp.int32) == ids_V
    target_logits_BxT = jnp.sum(jnp.where(is_target_BxTxV, logits_BxTxV, 0.0), axis=-1)
    return jax.nn.logsumexp(logits_BxTxV, axis=-1) - target_logits_BxT


def chunked_cross_entropy(
    logits_of: Callable[[jax.Array], jax.Array],
    hidden_BxTxD: jax.Array,
    targets_BxT: jax.Array,
    weights_BxT: jax.Array,
    chunk: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes weighted cross entropy of `logits_of(hidden)`, `chunk` positions at a time.

    Logits are the largest array of a step (4 GiB in float32 for 16 rows of 2,048 positions and
    32,256 words). Only one chunk of them exists at once, forward and backward, at the price of
    computing them twice. Chunks split T, so each device keeps its own rows.

    A target of weight 0 (prompt, padding) adds nothing, whatever its id and logits.

    Returns:
      The sum of weight x cross entropy and the sum of weights, float32 scalars, and weight x cross
      entropy of each position, float32 [B, T], without a gradient.
    """
    T = targets_BxT.shape[1]
    if chunk >= T:
        return _weighted_cross_entropy(logits_of(hidden_BxTxD), targets_BxT, weights_BxT)
    num_chunks = -(-T // chunk)

    def split_chunks(x):
        x = jnp.pad(x, [(0, 0), (0, num_chunks * chunk - T), *[(0, 0)] * (x.ndim - 2)])
        return jnp.moveaxis(x.reshape(x.shape[0], num_chunks, chunk, *x.shape[2:]), 1, 0)

    @jax.checkpoint
    def add(sums, part):
        hidden_BxCxD, targets_BxC, weights_BxC = part
        *new, losses_BxC = _weighted_cross_entropy(
            logits_of(hidden_BxCxD), targets_BxC, weights_BxC
        )
        return jax.tree.map(jnp.add, sums, tuple(new)), losses_BxC

    zero = jnp.zeros((), jnp.float32)
    sums, losses_NxBxC = jax.lax.scan(
        add,
        (zero, zero),
        (split_chunks(hidden_BxTxD), split_chunks(targets_BxT), split_chunks(weights_BxT)),
    )
    losses_BxT = jnp.moveaxis(losses_NxBxC, 0, 1).reshape(-1, num_chunks * chunk)[:, :T]
    return *sums, losses_BxT


def sums_by_kind(values_BxT: jax.Array, kinds_BxT: jax.Array, num_kinds: int) -> jax.Array:
    """Sums `values` over the positions of each kind 1 … num_kinds (0 is padding).

    Returns float32 [num_kinds].
    """
    is_kind_BxTxN = kinds_BxT[..., None] == 1 + jax.lax.iota(jnp.int32, num_kinds)
    return jnp.sum(jnp.where(is_kind_BxTxN, values_BxT[..., None], 0.0), (0, 1), jnp.float32)


def _weighted_cross_entropy(
    logits_BxTxV: jax.Array, targets_BxT: jax.Array, weights_BxT: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the results of chunked_cross_entropy, computed in one piece."""
    losses_BxT = token_cross_entropy(logits_BxTxV, targets_BxT)
    weights_BxT = weights_BxT.astype(jnp.float32)
    # where, not only a product: 0 x inf would be NaN.
    weighted_BxT = jnp.where(weights_BxT > 0, losses_BxT * weights_BxT, 0.0)
    return jnp.sum(weighted_BxT), jnp.sum(weights_BxT), jax.lax.stop_gradient(weighted_BxT)
