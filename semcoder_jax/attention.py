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
    G = k_BxSxGxK.shape[2]
    q_BxTxGxRxK = q_BxTxHxK.reshape(B, T, G, H // G, K) * K**-0.5
    scores_BxGxRxTxS = jnp.einsum(
        "BTGRK,BSGK->BGRTS", q_BxTxGxRxK, k_BxSxGxK, preferred_element_type=jnp.float32
    )
    scores_BxGxRxTxS = jnp.where(mask_BxTxS[:, None, None], scores_BxGxRxTxS, HIDDEN_SCORE)
    weights_BxGxRxTxS = jax.nn.softmax(scores_BxGxRxTxS, axis=-1).astype(v_BxSxGxK.dtype)
    out_BxTxGxRxK = jnp.einsum("BGRTS,BSGK->BTGRK", weights_BxGxRxTxS, v_BxSxGxK)
    return out_BxTxGxRxK.reshape(B, T, H, K)
