"""Attention heads that start out looking a fixed number of tokens back.

Copying from context ("which value did `a` have?") needs a head that tells each token what stood
before it; found by training alone, that takes a small model most of its tokens. Rotary embedding
lets a head be born that way: give every token one common feature, let queries and keys of the
head read only that feature, and turn the key by ``offset`` positions against the query. The score
then depends on the distance alone and is highest at ``offset``. The parameters are ordinary ones
of the architecture; training may change them like any other.

Sources: Trockman & Kolter, Mimetic Initialization of Self-Attention Layers (2023), for the idea of
starting from the structure of trained models; Olsson et al., In-context Learning and Induction
Heads (2022), for the role of previous-token heads.
"""

import jax.numpy as jnp
import numpy as np

from semcoder_jax.model import DecoderConfig

# Measured for 32-wide heads: nine tenths of the attention lie on the token at the offset.
_COMMON_FEATURE = 5.0  # of every embedding, in standard deviations of the other features
_AMPLITUDE = 1.0  # of queries and keys in the common feature
_ROTATION_PAIRS = 6  # fastest pairs of the rotary embedding: slow ones hardly tell neighbours apart
_CONTENT = 0.2  # what is left of the random part of the head's queries and keys


def with_offset_heads(params: dict, config: DecoderConfig, offsets: tuple[int, ...]) -> dict:
    """``params`` (plain dicts, see nnx.to_pure_dict) with head i of the first layer looking
    ``offsets[i]`` tokens back.

    With tied embeddings the common feature shifts all logits alike, so predictions stay as they
    were. Raises ValueError if there are more offsets than key/value heads (a query head must own
    its keys), or an offset below 1.
    """
    if len(offsets) > config.num_kv_heads or config.num_kv_heads != config.num_heads:
        raise ValueError(
            f"initialization.offset_heads: {len(offsets)} offsets need as many heads with keys of "
            f"their own, the model has {config.num_heads} heads and {config.num_kv_heads} "
            f"key/value heads"
        )
    if any(offset < 1 for offset in offsets):
        raise ValueError(f"initialization.offset_heads: {offsets} must all be at least 1")
    if not offsets:
        return params
    pairs = min(_ROTATION_PAIRS, config.head_dim // 2)
    half = config.head_dim // 2
    frequencies = config.rope_theta ** (-np.arange(pairs) / half) / config.rope_scaling_factor

    attention = params["layers"]["attention"]
    q_LxDxHxK, k_LxDxGxK = attention["q_DxHxK"], attention["k_DxGxK"]
    for head, offset in enumerate(offsets):
        query_K = np.zeros(config.head_dim, np.float32)
        query_K[:pairs] = _AMPLITUDE
        key_K = np.zeros(config.head_dim, np.float32)
        key_K[:pairs] = _AMPLITUDE * np.cos(frequencies * offset)
        key_K[half : half + pairs] = _AMPLITUDE * np.sin(frequencies * offset)
        q_LxDxHxK = q_LxDxHxK.at[0, :, head].multiply(_CONTENT).at[0, 0, head].set(query_K)
        k_LxDxGxK = k_LxDxGxK.at[0, :, head].multiply(_CONTENT).at[0, 0, head].set(key_K)
    embed_VxD = params["embed_VxD"].at[:, 0].set(_COMMON_FEATURE * config.initializer_range)
    attention = attention | {"q_DxHxK": q_LxDxHxK, "k_DxGxK": k_LxDxGxK}
    layers = params["layers"] | {"attention": attention}
    return params | {"embed_VxD": jnp.asarray(embed_VxD), "layers": layers}
