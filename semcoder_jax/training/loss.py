"""Cross entropy, weighted per target token.

A sum of losses and a sum of weights are kept apart: the mean over a *global* batch is one
division by the weight of all of it, so that neither the number of devices nor the number of
microbatches, nor how full each of them is, changes a loss or a gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def token_cross_entropy(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """-log softmax(logits)[target], float32 [B, T]; `targets` are ids in [0, V).

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
    """Sum of weight x cross entropy of `logits_of(hidden)`, `chunk` positions of a row at a
    time, and sum of weights, both float32 scalars; and weight x cross entropy of each position,
    float32 [B, T], without a gradient.

    A target of weight 0 (prompt, padding) adds nothing, whatever its id and logits.

    Logits are the largest array of a step (4 GiB in float32 for 16 rows of 2,048 positions and
    32,256 words): only those of one chunk exist at once, forward and backward, at the price of
    computing them twice. Chunks are cut along T, so that each device keeps its own rows.
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
    """Sums of `values` over the positions of each kind 1 … num_kinds (0 is padding),
    float32 [num_kinds]."""
    is_kind_BxTxN = kinds_BxT[..., None] == 1 + jax.lax.iota(jnp.int32, num_kinds)
    return jnp.sum(jnp.where(is_kind_BxTxN, values_BxT[..., None], 0.0), (0, 1), jnp.float32)


def _weighted_cross_entropy(
    logits_BxTxV: jax.Array, targets_BxT: jax.Array, weights_BxT: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The results of chunked_cross_entropy, in one piece."""
    losses_BxT = token_cross_entropy(logits_BxTxV, targets_BxT)
    weights_BxT = weights_BxT.astype(jnp.float32)
    # where, not only a product: 0 x inf would be NaN.
    weighted_BxT = jnp.where(weights_BxT > 0, losses_BxT * weights_BxT, 0.0)
    return jnp.sum(weighted_BxT), jnp.sum(weights_BxT), jax.lax.stop_gradient(weighted_BxT)
