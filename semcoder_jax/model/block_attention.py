"""Computes attention of packed rows in blocks, and only in those where a query sees a key.

Dense attention computes T x T scores per row, although a record sees only itself. Here a row is cut
into blocks, and a block of queries visits the blocks of keys from the start of its first record up
to itself. The loops' bounds follow from the segment ids, so shapes are static and one program runs
every batch. Scores of only one pair of blocks exist at a time, forward and backward: the backward
pass computes them again from each query's log-sum-exp (Dao, FlashAttention-2, 2023). The result
differs from dense attention only by rounding.

This is for CPU, where a block of scores stays in a core's cache.

Axes beside the decoder's: N blocks of all rows, Q queries and S keys of a block (as many),
M = R · Q for R query heads that share a key/value head.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from semcoder_jax.model.remat import ATTENTION_OUTPUT

# Added to the scores of hidden keys; finite, so that a row without any visible key (padding)
# gives a harmless average instead of NaN.
HIDDEN_SCORE = -1e30
BLOCK = 128  # positions; 64 and 256 take as long


class _Plan(NamedTuple):
    """Holds each block's segment ids and the first block that it sees (after itself if none)."""

    segments_NxQ: jax.Array
    first_N: jax.Array

    @classmethod
    def of(cls, segments_BxT: jax.Array) -> "_Plan":
        """Plans rows of whole blocks. Each record's positions follow each other without a gap."""
        B, T = segments_BxT.shape
        before_BxT = jnp.pad(segments_BxT[:, :-1], ((0, 0), (1, 0)))
        starts_BxT = jnp.where(segments_BxT != before_BxT, jnp.arange(T), 0)
        starts_BxT = jax.lax.cummax(starts_BxT, axis=1)
        starts_BxT = jnp.where(segments_BxT != 0, starts_BxT, T)  # padding sees nothing
        first_BxN = starts_BxT.reshape(B, -1, BLOCK).min(-1) // BLOCK
        row_start_B = jnp.arange(B) * (T // BLOCK)
        return cls(segments_BxT.reshape(-1, BLOCK), (first_BxN + row_start_B[:, None]).reshape(-1))

    def count(self, n) -> jax.Array:
        """Returns how many blocks query block n visits: its own and those before it."""
        return jnp.maximum(n - self.first_N[n] + 1, 0)

    def hide(self, scores_GxMxS: jax.Array, n, s) -> jax.Array:
        """Hides from query block n what it does not see of key block s."""
        query_Q, key_S = self.segments_NxQ[n], self.segments_NxQ[s]
        index = jnp.arange(BLOCK)
        seen_QxS = (query_Q[:, None] == key_S) & (query_Q != 0)[:, None]
        seen_QxS &= (s < n) | (index[:, None] >= index)
        hidden_QxS = jnp.where(seen_QxS, 0.0, HIDDEN_SCORE)
        G, M, S = scores_GxMxS.shape
        return (scores_GxMxS.reshape(G, -1, BLOCK, S) + hidden_QxS).reshape(G, M, S)


def attend_in_blocks(
    q_BxTxHxK: jax.Array, k_BxSxGxK: jax.Array, v_BxSxGxK: jax.Array, segments_BxT: jax.Array
) -> jax.Array:
    """Computes causal softmax attention within segments with float32 scores, [B, T, H, K].

    T must be a multiple of BLOCK, and H of G.
    """
    B, T, H, K = q_BxTxHxK.shape
    G = k_BxSxGxK.shape[2]

    def split_blocks(x_BxTxHxK):
        x_NxQxGxRxK = x_BxTxHxK.reshape(B * T // BLOCK, BLOCK, G, -1, K)
        return jnp.transpose(x_NxQxGxRxK, (0, 2, 3, 1, 4)).reshape(B * T // BLOCK, G, -1, K)

    blocks = map(split_blocks, (q_BxTxHxK * K**-0.5, k_BxSxGxK, v_BxSxGxK))
    out_NxGxMxK = _attend(*blocks, _Plan.of(segments_BxT))
    out_NxGxRxQxK = out_NxGxMxK.reshape(-1, G, H // G, BLOCK, K)
    return jnp.transpose(out_NxGxRxQxK, (0, 3, 1, 2, 4)).reshape(B, T, H, K)


@jax.custom_vjp
def _attend(q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan: _Plan) -> jax.Array:
    return _forward(q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan)[0]


def _forward(q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan: _Plan) -> tuple[jax.Array, jax.Array]:
    """Returns the output [N, G, M, K] and log-sum-exp [N, G, M] of the scores of each query."""
    N, G, M, K = q_NxGxMxK.shape
    kt_NxGxKxS = k_NxGxSxK.swapaxes(-1, -2)

    def one_block(n, results):
        def visit(step, softmax):
            s = n - step  # from its own block back: there each query sees itself
            greatest_GxM, total_GxM, weighted_GxMxK = softmax
            scores_GxMxS = plan.hide(_matmul(q_NxGxMxK[n], kt_NxGxKxS[s]), n, s)
            new_GxM = jnp.maximum(greatest_GxM, scores_GxMxS.max(-1))
            kept_GxM = jnp.exp(greatest_GxM - new_GxM)
            weights_GxMxS = jnp.exp(scores_GxMxS - new_GxM[..., None])
            total_GxM = total_GxM * kept_GxM + weights_GxMxS.sum(-1)
            added_GxMxK = _matmul(weights_GxMxS.astype(v_NxGxSxK.dtype), v_NxGxSxK[s])
            return new_GxM, total_GxM, weighted_GxMxK * kept_GxM[..., None] + added_GxMxK

        nothing_GxM = jnp.zeros((G, M), jnp.float32)
        start = nothing_GxM + HIDDEN_SCORE, nothing_GxM, jnp.zeros((G, M, K), jnp.float32)
        softmax = jax.lax.fori_loop(0, plan.count(n), visit, start)
        greatest_GxM, total_GxM, weighted_GxMxK = softmax
        total_GxM = jnp.where(total_GxM == 0, 1.0, total_GxM)  # a block of padding
        out_NxGxMxK, log_sum_NxGxM = results
        out_GxMxK = weighted_GxMxK / total_GxM[..., None]
        return (
            out_NxGxMxK.at[n].set(out_GxMxK.astype(out_NxGxMxK.dtype)),
            log_sum_NxGxM.at[n].set(greatest_GxM + jnp.log(total_GxM)),
        )

    start = jnp.zeros_like(q_NxGxMxK), jnp.zeros((N, G, M), jnp.float32)
    return jax.lax.fori_loop(0, N, one_block, start)


def _attend_forward(q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan: _Plan):
    results = _forward(q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan)
    out_NxGxMxK, log_sum_NxGxM = (checkpoint_name(x, ATTENTION_OUTPUT) for x in results)
    return out_NxGxMxK, (q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan, out_NxGxMxK, log_sum_NxGxM)


def _attend_backward(kept, gradient_NxGxMxK):
    """Returns the gradients of queries, keys and values.

    Sums those of keys and values transposed: so every product takes its blocks as they lie in
    memory, and XLA on CPU transposes no scores.
    """
    q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, plan, out_NxGxMxK, log_sum_NxGxM = kept
    dtype, N = q_NxGxMxK.dtype, len(q_NxGxMxK)
    qt, kt, vt, gt = (
        x.swapaxes(-1, -2) for x in (q_NxGxMxK, k_NxGxSxK, v_NxGxSxK, gradient_NxGxMxK)
    )
    mean_slope_NxGxM = jnp.sum(
        gradient_NxGxMxK.astype(jnp.float32) * out_NxGxMxK.astype(jnp.float32), axis=-1
    )

    def one_block(n, gradients):
        def visit(step, gradients):
            s = n - step
            dq_GxMxK, dkt_NxGxKxS, dvt_NxGxKxS = gradients
            scores_GxMxS = plan.hide(_matmul(q_NxGxMxK[n], kt[s]), n, s)
            weights_GxMxS = jnp.exp(scores_GxMxS - log_sum_NxGxM[n][..., None])
            slope_GxMxS = _matmul(gradient_NxGxMxK[n], vt[s]) - mean_slope_NxGxM[n][..., None]
            dscores_GxMxS = (weights_GxMxS * slope_GxMxS).astype(dtype)
            return (
                dq_GxMxK + _matmul(dscores_GxMxS, k_NxGxSxK[s]),
                dkt_NxGxKxS.at[s].add(_matmul(qt[n], dscores_GxMxS)),
                dvt_NxGxKxS.at[s].add(_matmul(gt[n], weights_GxMxS.astype(dtype))),
            )

        dq_NxGxMxK, *key_gradients = gradients
        start = jnp.zeros(q_NxGxMxK.shape[1:], jnp.float32), *key_gradients
        dq_GxMxK, *key_gradients = jax.lax.fori_loop(0, plan.count(n), visit, start)
        return dq_NxGxMxK.at[n].set(dq_GxMxK.astype(dtype)), *key_gradients

    zeros_NxGxKxS = jnp.zeros(kt.shape, jnp.float32)
    start = jnp.zeros_like(q_NxGxMxK), zeros_NxGxKxS, zeros_NxGxKxS
    dq_NxGxMxK, dkt, dvt = jax.lax.fori_loop(0, N, one_block, start)
    return dq_NxGxMxK, *(x.swapaxes(-1, -2).astype(dtype) for x in (dkt, dvt)), None


_attend.defvjp(_attend_forward, _attend_backward)
_matmul = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
