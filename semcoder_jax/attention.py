"""Grouped-query attention over segments: one function for training, prefill and decoding.

A query sees a key when both carry the same non-zero segment id and the key's position is not
later. Packed training rows, padded prompts and a half-filled key/value cache are all cases of
this one rule, so no caller builds a mask of its own and nothing is inferred from padding ids.
"""

import jax
import jax.numpy as jnp

# Added to the scores of hidden keys; finite, so that a row without any visible key (padding)
# gives a harmless average instead of NaN.
HIDDEN_SCORE = -1e30


def attention_mask(
    query_positions_BxT: jax.Array,
    key_positions_BxS: jax.Array,
    query_segments_BxT: jax.Array,
    key_segments_BxS: jax.Array,
) -> jax.Array:
    """Which key each query may see: bool [B, T, S]."""
    same_segment = query_segments_BxT[:, :, None] == key_segments_BxS[:, None, :]
    not_padding = query_segments_BxT[:, :, None] != 0
    not_later = key_positions_BxS[:, None, :] <= query_positions_BxT[:, :, None]
    return same_segment & not_padding & not_later


def attend(
    q_BxTxHxK: jax.Array, k_BxSxGxK: jax.Array, v_BxSxGxK: jax.Array, mask_BxTxS: jax.Array
) -> jax.Array:
    """Softmax attention, scores in float32; H must be a multiple of G. Returns [B, T, H, K]."""
    B, T, H, K = q_BxTxHxK.shape
    S, G = k_BxSxGxK.shape[1:3]
    R = H // G  # query heads that share a key/value head: one more stretch of rows per product
    q_BxGxRTxK = jnp.moveaxis(q_BxTxHxK * K**-0.5, 1, 2).reshape(B, G, R * T, K)
    k_BxGxKxS = jnp.transpose(k_BxSxGxK, (0, 2, 3, 1))
    v_BxGxSxK = jnp.moveaxis(v_BxSxGxK, 1, 2)
    scores_BxGxRTxS = jnp.matmul(q_BxGxRTxK, k_BxGxKxS, preferred_element_type=jnp.float32)
    hidden_Bx1x1xTxS = jnp.where(mask_BxTxS, 0.0, HIDDEN_SCORE)[:, None, None]
    scores_BxGxRxTxS = scores_BxGxRTxS.reshape(B, G, R, T, S) + hidden_Bx1x1xTxS
    weights_BxGxRxTxS = jax.nn.softmax(scores_BxGxRxTxS, axis=-1).astype(v_BxSxGxK.dtype)
    out_BxGxRTxK = jnp.matmul(weights_BxGxRxTxS.reshape(B, G, R * T, S), v_BxGxSxK)
    return jnp.moveaxis(out_BxGxRTxK.reshape(B, H, T, K), 1, 2)
