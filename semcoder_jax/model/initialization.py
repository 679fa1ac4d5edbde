"""Initializes attention heads that copy: they look back by distance, or for an equal token.

Tracing a program needs copying: the value of `a` is the token after the last `a=`. A transformer
copies with two heads in a row (Olsson et al., In-context Learning and Induction Heads, 2022): a
head of the first layer gives every token its predecessor, and a head of the second finds the
position whose predecessor equals the current token. A small model spends most of its training
tokens on finding this pair; here training starts from it. The parameters are ordinary ones of the
architecture and are trained like all others.

Looking back by distance: all embeddings get one common feature, the head's queries and keys read
only that, and the key is turned by the rotary embedding's own angles, so the score is highest at
the wanted distance. Looking for an equal token: the first head writes its predecessor through a
random projection into a subspace of its own; keys read that subspace, queries read the current
token through the same projection, in the slow pairs of the rotary embedding, which distance
hardly turns.

The idea of starting from the structure of trained attention: Trockman & Kolter, Mimetic
Initialization of Self-Attention Layers (2023).
"""

import jax.numpy as jnp
import numpy as np

from semcoder_jax.config import DecoderConfig, InitializationConfig
from semcoder_jax.model.rope import rope_frequencies

_COMMON_FEATURE = 5.0  # of every embedding, in standard deviations of its other features
_FAST_PAIRS = 6  # rotary pairs that tell neighbours apart
_SLOW_ANGLE = 2.0  # most that a rotary pair may turn, in radians, over …
_SLOW_DISTANCE = 60  # … this many tokens, to count as slow
_MATCH_GAIN = 1.9  # of queries and keys that look for an equal token
_OUTPUT_GAIN = 2.5  # of what a head writes, in standard deviations of the embedding
_RANDOM_SHARE = 0.2  # what is left of the random part of such a head's queries and keys


def with_copying_heads(
    params: dict, config: DecoderConfig, initialization: InitializationConfig, seed: int
) -> dict:
    """Returns `params` (plain dicts, see nnx.to_pure_dict) with the section's copying heads.

    With tied embeddings the common feature shifts all logits equally, so predictions do not change.
    Raises ValueError if the model has too few heads or layers, or shares keys between query heads.
    """
    offsets, matching = initialization.offset_heads, initialization.matching_heads
    if not offsets:
        return params
    if config.num_kv_heads != config.num_heads:
        raise ValueError(
            f"initialization: the {config.num_heads} query heads share {config.num_kv_heads} "
            f"key/value heads, expected each to have its own"
        )
    if max(len(offsets), matching) > config.num_heads or (matching and config.num_layers < 2):
        raise ValueError(
            f"initialization: {len(offsets)} offset and {matching} matching heads, but the model "
            f"has {config.num_layers} layers of {config.num_heads} heads"
        )
    rng = np.random.default_rng(seed)
    D, K, half = config.hidden_size, config.head_dim, config.head_dim // 2
    frequencies = rope_frequencies(config)
    heads = _Heads(params["layers"]["attention"])

    fast = np.arange(min(_FAST_PAIRS, half))
    for head, offset in enumerate(offsets):
        q_DxK, k_DxK = np.zeros((2, D, K), np.float32)
        q_DxK[0, fast] = 1.0
        k_DxK[0, fast] = np.cos(frequencies[fast] * offset)
        k_DxK[0, half + fast] = np.sin(frequencies[fast] * offset)
        heads.set_query_key(0, head, q_DxK, k_DxK)

    if matching:
        output_gain = _OUTPUT_GAIN * config.initializer_range
        read_DxK, written_DxK = _projection(rng, D, K), _projection(rng, D, K)
        heads.set_value_output(0, 0, read_DxK, output_gain * written_DxK.T)
        slow = np.flatnonzero(frequencies * _SLOW_DISTANCE < _SLOW_ANGLE)
        features = np.concatenate([slow, half + slow])
        for head in range(matching):
            q_DxK, k_DxK = np.zeros((2, D, K), np.float32)
            q_DxK[:, features] = _MATCH_GAIN * read_DxK[:, : len(features)]
            k_DxK[:, features] = _MATCH_GAIN * written_DxK[:, : len(features)]
            heads.set_query_key(1, head, q_DxK, k_DxK)
            copied_DxK = _projection(rng, D, K)
            heads.set_value_output(1, head, copied_DxK, output_gain * copied_DxK.T)

    common = _COMMON_FEATURE * config.initializer_range
    layers = params["layers"] | {"attention": heads.params}
    return params | {"embed_VxD": params["embed_VxD"].at[:, 0].set(common), "layers": layers}


class _Heads:
    """Holds the stacked attention parameters and changes them head by head."""

    def __init__(self, params: dict):
        self.params = dict(params)

    def set_query_key(self, layer: int, head: int, q_DxK: np.ndarray, k_DxK: np.ndarray) -> None:
        """Sets nonzero queries and keys; the rest keep a share of their random values."""
        for name, value in (("q_DxHxK", q_DxK), ("k_DxGxK", k_DxK)):
            random = _RANDOM_SHARE * self.params[name][layer, :, head]
            value = jnp.where(value != 0, value, random)
            self.params[name] = self.params[name].at[layer, :, head].set(value)

    def set_value_output(self, layer: int, head: int, v_DxK: np.ndarray, o_KxD: np.ndarray) -> None:
        """Sets the projections that the head reads values with and writes them with."""
        self.params["v_DxGxK"] = self.params["v_DxGxK"].at[layer, :, head].set(v_DxK)
        self.params["o_HxKxD"] = self.params["o_HxKxD"].at[layer, head].set(o_KxD)


def _projection(rng: np.random.Generator, D: int, K: int) -> np.ndarray:
    """Returns K random orthonormal columns [D, K] without the common feature (row 0 is zero)."""
    columns, _ = np.linalg.qr(rng.standard_normal((D - 1, K)))
    return np.concatenate([np.zeros((1, K)), columns]).astype(np.float32)
