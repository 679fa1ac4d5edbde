"""Chooses a token from logits, on the device: greedily, or at random after top-k, top-p and min-p.

A row's token depends only on its logits, its parameters and its key, not on its neighbours, the
step or the batch width. Thresholds are found by bisection over the bits of a float, without a
sort.
"""

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 128  # vocabulary entries per block; sums over blocks run in the order of vector lanes


def choose(
    logits_BxV: jax.Array,
    key_B: jax.Array,
    temperature_B: jax.Array,
    top_k_B: jax.Array,
    top_p_B: jax.Array,
    min_p_B: jax.Array,
) -> jax.Array:
    """Chooses one token per row, int32 [B], from float32 logits [B, V] (-inf: never chosen).

    Temperature 0 is greedy. top_k 0, top_p 1 and min_p 0 exclude nothing. With both, top-p applies
    to the mass that top-k leaves, as in transformers; min-p comes last.
    """
    greedy_B = jnp.argmax(logits_BxV, axis=-1).astype(jnp.int32)
    random_B = temperature_B > 0
    cut_B = random_B & ((top_k_B > 0) | (top_p_B < 1) | (min_p_B > 0))

    def draw_tokens():
        # Subtract the maximum, so that no temperature makes a logit infinite.
        below_BxV = logits_BxV - logits_BxV.max(-1, keepdims=True)
        scaled_BxV = below_BxV / jnp.where(random_B, temperature_B, 1.0)[:, None]
        weights_BxV = jnp.exp(scaled_BxV)
        weights_BxV = jax.lax.cond(
            cut_B.any(),
            lambda: _filter_weights(scaled_BxV, weights_BxV, top_k_B, top_p_B, min_p_B),
            lambda: weights_BxV,
        )
        return jnp.where(random_B, _draw(weights_BxV, key_B), greedy_B)

    return jax.lax.cond(random_B.any(), draw_tokens, lambda: greedy_B)


def _draw(weights_BxV: jax.Array, key_B: jax.Array) -> jax.Array:
    """Draws an index in proportion to its weight, by one uniform number per row.

    Returns the first index whose running sum exceeds the number; never one of weight 0.
    """
    weights_BxNxM = _blocks(weights_BxV)
    sum_BxN = weights_BxNxM.sum(-1)
    upto_BxN = jnp.cumsum(sum_BxN, axis=-1)
    total_B = upto_BxN[:, -1]
    target_B = jax.vmap(jax.random.uniform)(key_B) * total_B
    target_B = jnp.minimum(target_B, jnp.nextafter(total_B, jnp.zeros_like(total_B)))
    block_Bx1 = jnp.argmax(upto_BxN > target_B[:, None], axis=-1)[:, None]
    before_Bx1 = jnp.where(
        block_Bx1 > 0, jnp.take_along_axis(upto_BxN, jnp.maximum(block_Bx1 - 1, 0), 1), 0.0
    )
    weights_BxM = jnp.take_along_axis(weights_BxNxM, block_Bx1[:, :, None], axis=1)[:, 0]
    beyond_BxM = before_Bx1 + jnp.cumsum(weights_BxM, axis=-1) > target_B[:, None]
    # Rounding may leave the block's own running sum short of the block's total.
    last_B = BLOCK - 1 - jnp.argmax(weights_BxM[:, ::-1] > 0, axis=-1)
    inside_B = jnp.where(beyond_BxM.any(-1), jnp.argmax(beyond_BxM, axis=-1), last_B)
    return (block_Bx1[:, 0] * BLOCK + inside_B).astype(jnp.int32)


def _filter_weights(scores_BxV, weights_BxV, top_k_B, top_p_B, min_p_B) -> jax.Array:
    """Sets to 0 the weights that top-k, then top-p (Holtzman et al., 2020), then min-p exclude."""
    V = scores_BxV.shape[1]
    order_BxV = _order(scores_BxV)
    shape = top_k_B.shape

    def among_top_k():
        k_B = jnp.where(top_k_B > 0, jnp.minimum(top_k_B, V), V)
        threshold_B = _greatest(lambda t_Bx1: (order_BxV >= t_Bx1).sum(-1) >= k_B, shape)
        return jnp.where(order_BxV >= threshold_B[:, None], weights_BxV, 0.0)

    weights_BxV = jax.lax.cond((top_k_B > 0).any(), among_top_k, lambda: weights_BxV)

    def mass(kept_BxV):
        return _blocks(jnp.where(kept_BxV, weights_BxV, 0.0)).sum(1).sum(-1)

    wanted_B = top_p_B * mass(True)
    threshold_B = _greatest(lambda t_Bx1: mass(order_BxV >= t_Bx1) >= wanted_B, shape)
    above_BxV = order_BxV > threshold_B[:, None]
    tied_BxV = order_BxV == threshold_B[:, None]
    # Of ties at the threshold, keep only as many as reach the mass, lower ids first.
    each_B = jnp.where(tied_BxV, weights_BxV, 0.0).max(-1)
    lacking_B = jnp.where(each_B > 0, jnp.ceil((wanted_B - mass(above_BxV)) / each_B), V)
    kept_BxV = tied_BxV & (jnp.cumsum(tied_BxV, axis=-1) <= jnp.maximum(lacking_B, 1)[:, None])
    kept_BxV = above_BxV | kept_BxV | (top_p_B >= 1)[:, None]
    # The most probable token's weight is 1.
    return jnp.where(kept_BxV & (weights_BxV >= min_p_B[:, None]), weights_BxV, 0.0)


def penalize_repetition(
    logits_BxV: jax.Array, seen_BxV: jax.Array, penalty_B: jax.Array
) -> jax.Array:
    """Makes seen tokens less likely (Keskar et al., CTRL, 2019, as in transformers); 1: as is."""
    penalty_Bx1 = penalty_B[:, None]
    penalized_BxV = jnp.where(logits_BxV < 0, logits_BxV * penalty_Bx1, logits_BxV / penalty_Bx1)
    return jnp.where(seen_BxV & (penalty_Bx1 != 1), penalized_BxV, logits_BxV)


def allow_only(
    logits_BxV: jax.Array, allowed_BxW: jax.Array, constrained_B: jax.Array
) -> jax.Array:
    """Excludes tokens from constrained rows; bit i of word w (uint32) allows token 32·w + i."""
    token_V = jnp.arange(logits_BxV.shape[1])
    word_BxV = allowed_BxW[:, token_V // 32]
    allowed_BxV = (word_BxV >> (token_V % 32).astype(jnp.uint32)) & 1 == 1
    return jnp.where(allowed_BxV | ~constrained_B[:, None], logits_BxV, -jnp.inf)


def token_logprobs(
    logits_BxV: jax.Array, token_B: jax.Array, num_top: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the log-probabilities of tokens [B], of the best ones [B, A], and their ids."""
    logprob_BxV = jax.nn.log_softmax(logits_BxV, axis=-1)
    top_logprob_BxA, top_BxA = jax.lax.top_k(logprob_BxV, min(num_top, logprob_BxV.shape[1]))
    return jnp.take_along_axis(logprob_BxV, token_B[:, None], 1)[:, 0], top_logprob_BxA, top_BxA


def _order(scores: jax.Array) -> jax.Array:
    """Maps floats to unsigned integers in the same order."""
    bits = jax.lax.bitcast_convert_type(scores, jnp.uint32)
    return jnp.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))


def _greatest(holds, shape) -> jax.Array:
    """Finds the greatest uint32 of each row for which the monotone predicate `holds`."""

    def try_bit(i, t_B):
        higher_B = t_B | (np.uint32(1) << (31 - i).astype(jnp.uint32))
        return jnp.where(holds(higher_B[:, None]), higher_B, t_B)

    return jax.lax.fori_loop(0, 32, try_bit, jnp.zeros(shape, jnp.uint32))


def _blocks(weights_BxV: jax.Array) -> jax.Array:
    B, V = weights_BxV.shape
    padded = jnp.pad(weights_BxV, ((0, 0), (0, -V % BLOCK)))
    return padded.reshape(B, -1, BLOCK)
