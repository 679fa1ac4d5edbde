"""The DeepSeekCoder decoder (Llama architecture) in Flax NNX, its layers stacked and scanned.

Axis letters, used in array names throughout the package:
B batch, T query time, S key time, D model, F feed-forward, H query heads, G key/value heads,
K head size, V vocabulary, L layers.

Use: split the module once and jit pure functions over (graphdef, params)::

    graphdef, params = nnx.split(Decoder(config, rngs=nnx.Rngs(0)))
    logits_BxTxV = nnx.merge(graphdef, params)(tokens_BxT, positions_BxT, segment_ids_BxT)
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from semcoder_jax.attention import attend, attention_mask
from semcoder_jax.rope import apply_rope, rope_angles


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Architecture of a DeepSeekCoder-shaped decoder: everything that an HF config.json decides.

    ``rope_scaling_factor`` is the linear (position interpolation) factor, 1.0 for none.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    rope_theta: float = 100_000.0
    rope_scaling_factor: float = 1.0
    rms_norm_eps: float = 1e-6
    tie_embeddings: bool = False
    initializer_range: float = 0.02

    def __post_init__(self):
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_kv_heads={self.num_kv_heads} must divide num_heads={self.num_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} must be even for rotary embedding")


@dataclasses.dataclass(frozen=True)
class Compute:
    """How the decoder computes; changes speed, memory and rounding, never the parameters.

    ``dtype`` is of activations and of the weights as they enter a product (parameters keep their
    own). ``remat`` names a jax.checkpoint policy for a layer, or "none". ``one_hot_embedding``
    looks tokens up by a matrix product: for small vocabularies on CPU the scatter in the
    gradient of a gather costs more than the product.
    """

    dtype: str = "float32"
    remat: str = "none"
    one_hot_embedding: bool = False


class KVCache(NamedTuple):
    """Rotated keys and values of every layer, [L, B, S, G, K]; slot s of a row holds position s."""

    k_LxBxSxGxK: jax.Array
    v_LxBxSxGxK: jax.Array

    @classmethod
    def zeros(cls, config: DecoderConfig, batch: int, length: int, dtype=jnp.float32) -> "KVCache":
        shape = (config.num_layers, batch, length, config.num_kv_heads, config.head_dim)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


class RMSNorm(nnx.Module):
    def __init__(self, size: int, eps: float):
        self.scale = nnx.Param(jnp.ones(size, jnp.float32))
        self.eps = eps

    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        x32 = x_BxTxD.astype(jnp.float32)
        variance = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
        normed = (x32 * jax.lax.rsqrt(variance + self.eps)).astype(x_BxTxD.dtype)
        return normed * self.scale[...].astype(x_BxTxD.dtype)


class Attention(nnx.Module):
    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(config.initializer_range)
        D, H, G, K = (config.hidden_size, config.num_heads, config.num_kv_heads, config.head_dim)
        self.q_DxHxK = nnx.Param(init(rngs.params(), (D, H, K), jnp.float32))
        self.k_DxGxK = nnx.Param(init(rngs.params(), (D, G, K), jnp.float32))
        self.v_DxGxK = nnx.Param(init(rngs.params(), (D, G, K), jnp.float32))
        self.o_HxKxD = nnx.Param(init(rngs.params(), (H, K, D), jnp.float32))

    def project(self, x_BxTxD: jax.Array, cos, sin) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Rotated queries [B, T, H, K] and keys, and values, both [B, T, G, K]."""
        dtype = x_BxTxD.dtype
        q_BxTxHxK = jnp.einsum("BTD,DHK->BTHK", x_BxTxD, self.q_DxHxK[...].astype(dtype))
        k_BxTxGxK = jnp.einsum("BTD,DGK->BTGK", x_BxTxD, self.k_DxGxK[...].astype(dtype))
        v_BxTxGxK = jnp.einsum("BTD,DGK->BTGK", x_BxTxD, self.v_DxGxK[...].astype(dtype))
        return apply_rope(q_BxTxHxK, cos, sin), apply_rope(k_BxTxGxK, cos, sin), v_BxTxGxK

    def merge_heads(self, heads_BxTxHxK: jax.Array) -> jax.Array:
        dtype = heads_BxTxHxK.dtype
        return jnp.einsum("BTHK,HKD->BTD", heads_BxTxHxK, self.o_HxKxD[...].astype(dtype))


class FeedForward(nnx.Module):
    """SwiGLU."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(config.initializer_range)
        D, F = config.hidden_size, config.intermediate_size
        self.gate_DxF = nnx.Param(init(rngs.params(), (D, F), jnp.float32))
        self.up_DxF = nnx.Param(init(rngs.params(), (D, F), jnp.float32))
        self.down_FxD = nnx.Param(init(rngs.params(), (F, D), jnp.float32))

    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        dtype = x_BxTxD.dtype
        gate_BxTxF = jax.nn.silu(x_BxTxD @ self.gate_DxF[...].astype(dtype))
        up_BxTxF = x_BxTxD @ self.up_DxF[...].astype(dtype)
        return (gate_BxTxF * up_BxTxF) @ self.down_FxD[...].astype(dtype)


class DecoderLayer(nnx.Module):
    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config, rngs=rngs)
        self.feed_forward_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = FeedForward(config, rngs=rngs)

    def __call__(self, x_BxTxD, cos, sin, mask_BxTxS, cache: KVCache | None, layer, start_B):
        """One block. With a cache, ``layer`` (scalar) selects the part of it to write and read."""
        q, k, v = self.attention.project(self.attention_norm(x_BxTxD), cos, sin)
        if cache is not None:
            cache = _write_cache(cache, layer, start_B, k, v)
            k = jax.lax.dynamic_index_in_dim(cache.k_LxBxSxGxK, layer, keepdims=False)
            v = jax.lax.dynamic_index_in_dim(cache.v_LxBxSxGxK, layer, keepdims=False)
            k, v = k.astype(q.dtype), v.astype(q.dtype)
        x_BxTxD = x_BxTxD + self.attention.merge_heads(attend(q, k, v, mask_BxTxS))
        x_BxTxD = x_BxTxD + self.feed_forward(self.feed_forward_norm(x_BxTxD))
        return x_BxTxD, cache


class Decoder(nnx.Module):
    """Tokens to logits. Parameters are float32 unless loaded otherwise; see sharding for layout."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs, compute: Compute | None = None):
        self.config = config
        self.compute = compute or Compute()
        init = nnx.initializers.normal(config.initializer_range)
        V, D = config.vocab_size, config.hidden_size
        self.embed_VxD = nnx.Param(init(rngs.params(), (V, D), jnp.float32))

        @nnx.vmap(in_axes=0, out_axes=0)
        def stack(keys):
            return DecoderLayer(config, rngs=nnx.Rngs(params=keys))

        self.layers = stack(jax.random.split(rngs.params(), config.num_layers))
        self.final_norm = RMSNorm(D, config.rms_norm_eps)
        if not config.tie_embeddings:
            self.unembed_DxV = nnx.Param(init(rngs.params(), (D, V), jnp.float32))

    def __call__(self, tokens_BxT, positions_BxT, segment_ids_BxT) -> jax.Array:
        """Float32 logits [B, T, V] of int32 inputs [B, T]; see attention for segment ids."""
        hidden_BxTxD, _ = self.hidden(tokens_BxT, positions_BxT, segment_ids_BxT)
        return self.logits(hidden_BxTxD)

    def hidden(
        self, tokens_BxT, positions_BxT, segment_ids_BxT=None, cache: KVCache | None = None
    ) -> tuple[jax.Array, KVCache | None]:
        """Final normed states [B, T, D] and the cache with this call's keys and values in it.

        With a cache, each row's positions must be consecutive, and every earlier slot of the row
        must have been written: then a query sees slots 0 … its own position, and no others.
        """
        dtype = jnp.dtype(self.compute.dtype)
        x_BxTxD = self._embed(tokens_BxT, dtype)
        config = self.config
        cos, sin = rope_angles(
            positions_BxT, config.head_dim, config.rope_theta, config.rope_scaling_factor
        )
        if cache is None:
            mask_BxTxS = attention_mask(
                positions_BxT, positions_BxT, segment_ids_BxT, segment_ids_BxT
            )
        else:
            B, S = cache.k_LxBxSxGxK.shape[1:3]
            slots_BxS = jnp.broadcast_to(jnp.arange(S), (B, S))
            mask_BxTxS = attention_mask(
                positions_BxT, slots_BxS, jnp.ones_like(positions_BxT), jnp.ones_like(slots_BxS)
            )
        layer_graph, layer_params = nnx.split(self.layers)

        def apply_layer(carry, inputs):
            x, cache = carry
            params, index = inputs
            layer = nnx.merge(layer_graph, params)
            return layer(x, cos, sin, mask_BxTxS, cache, index, positions_BxT[:, 0]), None

        if self.compute.remat != "none":
            policy = getattr(jax.checkpoint_policies, self.compute.remat)
            apply_layer = jax.checkpoint(apply_layer, policy=policy, prevent_cse=False)
        indices = jnp.arange(config.num_layers)
        (x_BxTxD, cache), _ = jax.lax.scan(apply_layer, (x_BxTxD, cache), (layer_params, indices))
        return self.final_norm(x_BxTxD), cache

    def logits(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Scores over the vocabulary, float32 [..., V]."""
        tied = self.config.tie_embeddings
        weight_DxV = self.embed_VxD[...].T if tied else self.unembed_DxV[...]
        weight_DxV = weight_DxV.astype(hidden_BxTxD.dtype)
        return jnp.matmul(hidden_BxTxD, weight_DxV, preferred_element_type=jnp.float32)

    def _embed(self, tokens_BxT: jax.Array, dtype) -> jax.Array:
        table_VxD = self.embed_VxD[...].astype(dtype)
        if self.compute.one_hot_embedding:
            return jax.nn.one_hot(tokens_BxT, self.config.vocab_size, dtype=dtype) @ table_VxD
        return table_VxD[tokens_BxT]


def _write_cache(cache: KVCache, layer, start_B, k_BxTxGxK, v_BxTxGxK) -> KVCache:
    """Store T new positions of each row at its own start, inside the stacked cache (in place when
    the cache is a loop carry or donated, which a per-layer copy would not be)."""

    def write(stack_LxSxGxK, new_TxGxK, start):
        return jax.lax.dynamic_update_slice(
            stack_LxSxGxK, new_TxGxK[None].astype(stack_LxSxGxK.dtype), (layer, start, 0, 0)
        )

    write_rows = jax.vmap(write, in_axes=(1, 0, 0), out_axes=1)
    return KVCache(
        write_rows(cache.k_LxBxSxGxK, k_BxTxGxK, start_B),
        write_rows(cache.v_LxBxSxGxK, v_BxTxGxK, start_B),
    )
