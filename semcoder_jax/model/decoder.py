"""Implements the DeepSeekCoder decoder (Llama architecture) in Flax NNX, with scanned layers.

Axis letters, used in array names throughout the package:
B batch, T query time, S key time, D model, F feed-forward, H query heads, G key/value heads,
K head size, V vocabulary, L layers.

Use: split the module once and jit pure functions over (graphdef, params)::

    graphdef, params = nnx.split(Decoder(config, rngs=nnx.Rngs(0)))
    logits_BxTxV = nnx.merge(graphdef, params)(tokens_BxT, positions_BxT, segment_ids_BxT)
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from semcoder_jax.config import Compute, DecoderConfig
from semcoder_jax.model.attention import Attend, make_attend, resolve_backend
from semcoder_jax.model.fsdp import Shards
from semcoder_jax.model.kv_cache import KVCache
from semcoder_jax.model.layer_weights import ChosenLayer, join, split_off
from semcoder_jax.model.lora import LoRAWeight
from semcoder_jax.model.nf4 import NF4Weight
from semcoder_jax.model.quantization import QuantizedWeight
from semcoder_jax.model.remat import name_layer_input, rematerialize
from semcoder_jax.model.rope import apply_rope, rope_angles, rope_frequencies


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
        if config.qkv_bias:
            self.q_bias_HxK = nnx.Param(jnp.zeros((H, K), jnp.float32))
            self.k_bias_GxK = nnx.Param(jnp.zeros((G, K), jnp.float32))
            self.v_bias_GxK = nnx.Param(jnp.zeros((G, K), jnp.float32))
        self.has_bias = config.qkv_bias

    def project(self, x_BxTxD: jax.Array, cos, sin) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns rotated queries [B, T, H, K], and rotated keys and values, both [B, T, G, K]."""
        q_BxTxHxK = _product(x_BxTxD, self.q_DxHxK)
        k_BxTxGxK = _product(x_BxTxD, self.k_DxGxK)
        v_BxTxGxK = _product(x_BxTxD, self.v_DxGxK)
        if self.has_bias:
            q_BxTxHxK += self.q_bias_HxK[...].astype(q_BxTxHxK.dtype)
            k_BxTxGxK += self.k_bias_GxK[...].astype(k_BxTxGxK.dtype)
            v_BxTxGxK += self.v_bias_GxK[...].astype(v_BxTxGxK.dtype)
        return apply_rope(q_BxTxHxK, cos, sin), apply_rope(k_BxTxGxK, cos, sin), v_BxTxGxK

    def merge_heads(self, heads_BxTxHxK: jax.Array) -> jax.Array:
        return _product(heads_BxTxHxK, self.o_HxKxD, contracted=2)


class FeedForward(nnx.Module):
    """SwiGLU."""

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(config.initializer_range)
        D, F = config.hidden_size, config.intermediate_size
        self.gate_DxF = nnx.Param(init(rngs.params(), (D, F), jnp.float32))
        self.up_DxF = nnx.Param(init(rngs.params(), (D, F), jnp.float32))
        self.down_FxD = nnx.Param(init(rngs.params(), (F, D), jnp.float32))

    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        gate_BxTxF = jax.nn.silu(_product(x_BxTxD, self.gate_DxF))
        return _product(gate_BxTxF * _product(x_BxTxD, self.up_DxF), self.down_FxD)


class DecoderLayer(nnx.Module):
    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config, rngs=rngs)
        self.feed_forward_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = FeedForward(config, rngs=rngs)

    def __call__(
        self,
        x_BxTxD,
        cos,
        sin,
        attend: Attend | None,
        cache: KVCache | None,
        layer,
        pages_BxN,
        positions_BxT,
    ):
        """Applies one block, which attends through `attend` or a cache.

        `layer` (scalar) selects the cache's layer.
        """
        q, k, v = self.attention.project(self.attention_norm(x_BxTxD), cos, sin)
        if cache is None:
            heads_BxTxHxK = attend(q, k, v)
        else:
            cache = cache.write(layer, pages_BxN, positions_BxT, k, v)
            heads_BxTxHxK = cache.attend(layer, pages_BxN, positions_BxT, q)
        x_BxTxD = x_BxTxD + self.attention.merge_heads(heads_BxTxHxK)
        x_BxTxD = x_BxTxD + self.feed_forward(self.feed_forward_norm(x_BxTxD))
        return x_BxTxD, cache


class Decoder(nnx.Module):
    """Maps tokens to logits. Parameters are float32 unless loaded otherwise; see sharding."""

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
        """Maps int32 inputs [B, T] to float32 logits [B, T, V]; see attention for segment ids."""
        hidden_BxTxD, _ = self.hidden(tokens_BxT, positions_BxT, segment_ids_BxT)
        return self.logits(hidden_BxTxD)

    def hidden(
        self,
        tokens_BxT,
        positions_BxT,
        segment_ids_BxT=None,
        cache: KVCache | None = None,
        pages_BxN=None,
        shards: Shards | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        """Returns final normed states [B, T, D] and the cache with this call's keys and values.

        With a cache, `pages_BxN` is each row's list of pages (see kv_cache), positions must be
        consecutive, and every earlier one must have been written. A query then sees positions 0 to
        its own.

        With `shards`, the parameters are a device's shards, gathered where they are used.
        """
        dtype = jnp.dtype(self.compute.dtype)
        x_BxTxD = self._embed(tokens_BxT, dtype)
        config = self.config
        cos, sin = rope_angles(positions_BxT, rope_frequencies(config))
        if self.compute.unroll > 1:
            # XLA would fuse them into each unrolled layer and compute them again for every head.
            cos, sin = jax.lax.optimization_barrier((cos, sin))
        attend = None
        if cache is None:
            mesh = shards.mesh if shards else None
            backend = resolve_backend(
                self.compute.attention, tokens_BxT.shape[1], config.head_dim, dtype, mesh
            )
            fused = self.compute.fused_attention_gradients
            attend = make_attend(backend, positions_BxT, segment_ids_BxT, mesh, fused)
        layer_graph, layer_params = nnx.split(self.layers)
        layer_params, separate = split_off(layer_params)

        def apply_layer(carry, inputs):
            x, cache = carry
            params, index = inputs
            if shards:
                params = shards.gather(params, dtype, ("layers",))
            layer = nnx.merge(layer_graph, join(params, separate, index))
            x = name_layer_input(x)
            return layer(x, cos, sin, attend, cache, index, pages_BxN, positions_BxT), None

        apply_layer = rematerialize(
            apply_layer, self.compute.remat, shards is not None and shards.split
        )
        indices = jnp.arange(config.num_layers)
        (x_BxTxD, cache), _ = jax.lax.scan(
            apply_layer, (x_BxTxD, cache), (layer_params, indices), unroll=self.compute.unroll
        )
        return self.final_norm(x_BxTxD), cache

    def logits(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Returns logits over the vocabulary, float32 [..., V]."""
        tied = self.config.tie_embeddings
        weight = (self.embed_VxD if tied else self.unembed_DxV).get_value()
        quantized = isinstance(weight, QuantizedWeight)
        weight_DxV = weight.int8 if quantized else weight
        if quantized and tied and hidden_BxTxD.size == hidden_BxTxD.shape[-1]:
            # Else XLA on CPU converts all of it before the loop over steps, and reads floats in
            # each. For one row it multiplies integers faster, if the summed axis is the last.
            hidden_BxTxD, weight_DxV = jax.lax.optimization_barrier((hidden_BxTxD, weight_DxV))
        weight_DxV = (weight_DxV.T if tied else weight_DxV).astype(hidden_BxTxD.dtype)
        # One axis of rows, as in _product: XLA on CPU would copy the gradient of all logits.
        hidden_NxD = hidden_BxTxD.reshape(-1, hidden_BxTxD.shape[-1])
        logits_NxV = jnp.matmul(hidden_NxD, weight_DxV, preferred_element_type=jnp.float32)
        logits_NxV = logits_NxV * weight.scale if quantized else logits_NxV
        return logits_NxV.reshape(*hidden_BxTxD.shape[:-1], -1)

    def _embed(self, tokens_BxT: jax.Array, dtype) -> jax.Array:
        table = self.embed_VxD.get_value()
        if isinstance(table, QuantizedWeight):
            rows_BxTxD = table.int8[tokens_BxT] * table.scale[tokens_BxT][..., None]
            return rows_BxTxD.astype(dtype)
        return _lookup_rows(table.astype(dtype), tokens_BxT, self.compute.one_hot_embedding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _lookup_rows(table_VxD: jax.Array, tokens_BxT: jax.Array, by_product: bool) -> jax.Array:
    """Returns `table[tokens]` and sums its gradient in float32, by a product or by a scatter.

    A bfloat16 sum would lose many of a frequent token's thousands of addends.
    """
    return table_VxD[tokens_BxT]


def _lookup_rows_forward(table_VxD, tokens_BxT, by_product):
    # An empty slice: the shape and dtype of the table without keeping it.
    return table_VxD[tokens_BxT], (tokens_BxT, table_VxD[:, :0])


def _lookup_rows_backward(by_product, kept, gradient_BxTxD):
    tokens_BxT, table_Vx0 = kept
    V, D = table_Vx0.shape[0], gradient_BxTxD.shape[-1]
    if by_product:
        tokens_N, gradient_NxD = tokens_BxT.reshape(-1), gradient_BxTxD.reshape(-1, D)
        is_token_VxN = jax.nn.one_hot(tokens_N, V, dtype=gradient_NxD.dtype, axis=0)
        sums_VxD = jnp.matmul(is_token_VxN, gradient_NxD, preferred_element_type=jnp.float32)
    else:
        sums_VxD = jnp.zeros((V, D), jnp.float32)
        sums_VxD = sums_VxD.at[tokens_BxT].add(gradient_BxTxD.astype(jnp.float32))
    return sums_VxD.astype(table_Vx0.dtype), None


_lookup_rows.defvjp(_lookup_rows_forward, _lookup_rows_backward)


def _product(x: jax.Array, weight: nnx.Param, contracted: int = 1) -> jax.Array:
    """Multiplies `x` [B, T, *contracted axes] by `weight` [*contracted axes, *new axes].

    Merges B and T into one axis: with two, XLA on CPU transposes for the gradient of the weight.
    """
    B, T = x.shape[:2]
    product = _flat_product(x.reshape(B * T, *x.shape[2:]), weight.get_value(), contracted)
    return product.reshape(B, T, *product.shape[1:])


def _flat_product(x: jax.Array, kernel, contracted: int) -> jax.Array:
    """Multiplies `x` [B·T, *contracted axes] by an array or a quantized or LoRA weight."""
    if isinstance(kernel, ChosenLayer):
        products = [
            functools.partial(_flat_product, kernel=layer, contracted=contracted)
            for layer in kernel.layers
        ]
        return jax.lax.switch(kernel.index, products, x)
    summed = ((range(1, 1 + contracted), range(contracted)), ((), ()))
    if isinstance(kernel, LoRAWeight):
        low_NxR = _flat_product(x, kernel.a, contracted)
        change = kernel.scaling * _flat_product(low_NxR, kernel.b, 1)
        return _frozen_product(x, kernel.base, contracted) + change
    if isinstance(kernel, QuantizedWeight):
        product = jax.lax.dot_general(
            x, kernel.int8.astype(x.dtype), summed, preferred_element_type=jnp.float32
        )
        return (product * kernel.scale).astype(x.dtype)
    if isinstance(kernel, NF4Weight):
        kernel = kernel.dequantize(x.dtype)
    return jax.lax.dot_general(x, kernel.astype(x.dtype), summed)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _frozen_product(x: jax.Array, kernel, contracted: int) -> jax.Array:
    """Computes `_flat_product` with a kernel that takes no gradient.

    The backward pass keeps the kernel as stored: autodiff would keep its cast or dequantized copy
    under every rematerialization policy.
    """
    return _flat_product(x, kernel, contracted)


def _frozen_product_forward(x, kernel, contracted):
    return _flat_product(x, kernel, contracted), kernel


def _frozen_product_backward(contracted, kernel, gradient):
    x = jax.ShapeDtypeStruct((len(gradient), *kernel.shape[:contracted]), gradient.dtype)
    transposed = jax.linear_transpose(lambda x: _flat_product(x, kernel, contracted), x)
    return *transposed(gradient), None


_frozen_product.defvjp(_frozen_product_forward, _frozen_product_backward)
