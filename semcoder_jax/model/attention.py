"""Computes grouped-query attention over segments, and selects the backend that computes it.

A query sees a key if both have the same non-zero segment id and the key's position is not later.
This rule covers packed training rows, padded prompts and a half-filled key/value cache, so no
caller builds its own mask and nothing is inferred from padding ids.

`make_attend` is for whole rows. Records follow each other in a row, each in its own order, so "not
later" by position equals "not later" by index in the row. The kernels use the index; they read
segment ids and never hold [T, S] scores. Outputs at padding are finite and otherwise differ between
backends.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from semcoder_jax.model import sharding
from semcoder_jax.model.block_attention import BLOCK, HIDDEN_SCORE, attend_in_blocks
from semcoder_jax.model.remat import ATTENTION_OUTPUT

Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""(q [B, T, H, K], k and v [B, T, G, K]) -> [B, T, H, K]"""

_KERNELS = {"cpu": "blocks", "tpu": "splash", "gpu": "flash", "cuda": "flash", "rocm": "flash"}
_KERNEL_HEAD = 64  # kernels take head sizes that are a multiple of this
_KERNEL_BLOCK = BLOCK  # rows are padded to a multiple of this many positions
_SPLASH_BLOCKS = (512, 256, 128)
# The fused kernel writes a part of the queries' gradient for each block of keys.
_MOST_PARTS = 4


def resolve_backend(backend: str, length: int, head_dim: int, dtype, mesh: Mesh | None) -> str:
    """Returns the backend for a name of config.ATTENTION_BACKENDS and rows of `length` positions.

    "auto" becomes a kernel for the devices of `mesh` if it supports the shape and dtype, otherwise
    "xla"; on CPU blocks if a row has several. Looks at this process's devices only without a mesh,
    since a process may compile for devices it does not have.
    """
    if backend != "auto":
        return backend
    device = mesh.devices.flat[0] if mesh else jax.local_devices()[0]
    kernel = _KERNELS.get(device.platform)
    if kernel == "blocks":
        return kernel if length > BLOCK else "xla"
    if head_dim % _KERNEL_HEAD:
        return "xla"
    if kernel == "flash" and (jnp.dtype(dtype).itemsize != 2 or not _compiles_triton(device)):
        return "xla"
    return kernel or "xla"


def _compiles_triton(gpu: jax.Device) -> bool:
    """Returns whether XLA compiles Triton kernels for `gpu`.

    NVIDIA needs compute capability 8.0 or more: a T4 (Colab) and a V100 have less. AMD's devices,
    whose capability is a name, have no such bound.
    """
    major = str(getattr(gpu, "compute_capability", "")).partition(".")[0]
    return not major.isdecimal() or int(major) >= 8


def make_attend(
    backend: str,
    positions_BxT: jax.Array,
    segments_BxT: jax.Array,
    mesh: Mesh | None = None,
    fused_gradients: bool = False,
    interpret: bool = False,
) -> Attend:
    """Returns causal self-attention within the segments of whole rows.

    `backend` is a result of `resolve_backend`. With a mesh, call it inside fsdp.over_rows on a
    device's own rows; if `tensor` splits the heads, each device runs the kernel on its own heads.
    `fused_gradients` as in config.Compute; other backends than splash ignore it.
    `interpret` runs a Pallas kernel on any device, slowly.
    """
    if backend == "xla":
        mask_BxTxS = attention_mask(positions_BxT, positions_BxT, segments_BxT, segments_BxT)
        return lambda q, k, v: checkpoint_name(attend(q, k, v, mask_BxTxS), ATTENTION_OUTPUT)

    def kernel(q, k, v, segments_BxT):
        if backend == "cudnn":
            return _cudnn(q, k, v, segments_BxT, "cudnn")
        splash = functools.partial(_splash, fused_gradients=fused_gradients)
        run = {"splash": splash, "flash": _flash, "blocks": _blocks}[backend]
        return _run_padded(run, q, k, v, segments_BxT, interpret)

    def call(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK):
        tensor = mesh.shape["tensor"] if mesh else 1
        H, G = q_BxTxHxK.shape[2], k_BxSxGxK.shape[2]
        run = kernel
        if tensor > 1:
            heads = P()
            if H % tensor == 0:
                heads = P(None, None, "tensor")
                if G % tensor:  # each query head then brings its key head along
                    k_BxSxGxK, v_BxSxGxK = _repeat_kv_heads(H, k_BxSxGxK, v_BxSxGxK)
            # Inside over_rows the mesh is known already, and its other axes are taken.
            alone = sharding.batch_shards(mesh) == 1
            run = jax.shard_map(
                kernel,
                mesh=mesh if alone else None,
                in_specs=(heads, heads, heads, P()),
                out_specs=heads,
                axis_names=set(mesh.axis_names) if alone else {"tensor"},
                check_vma=False,
            )
        return checkpoint_name(run(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT), ATTENTION_OUTPUT)

    return call


def attention_mask(
    query_positions_BxT: jax.Array,
    key_positions_BxS: jax.Array,
    query_segments_BxT: jax.Array,
    key_segments_BxS: jax.Array,
) -> jax.Array:
    """Returns which key each query sees: bool [B, T, S]."""
    same_segment = query_segments_BxT[:, :, None] == key_segments_BxS[:, None, :]
    not_padding = query_segments_BxT[:, :, None] != 0
    not_later = key_positions_BxS[:, None, :] <= query_positions_BxT[:, :, None]
    return same_segment & not_padding & not_later


def attend(
    q_BxTxHxK: jax.Array, k_BxSxGxK: jax.Array, v_BxSxGxK: jax.Array, mask_BxTxS: jax.Array
) -> jax.Array:
    """Computes softmax attention with float32 scores, [B, T, H, K]; H must be a multiple of G."""
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


def _run_padded(run: Callable, q, k, v, segments_BxT, interpret: bool) -> jax.Array:
    """Applies `run` to rows padded to a multiple of the kernels' blocks."""
    T = q.shape[1]
    more = -T % _KERNEL_BLOCK
    if more:
        q, k, v = (jnp.pad(x, [(0, 0), (0, more), (0, 0), (0, 0)]) for x in (q, k, v))
        segments_BxT = jnp.pad(segments_BxT, [(0, 0), (0, more)])
    return run(q, k, v, segments_BxT, interpret)[:, :T]


def _blocks(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT, interpret: bool) -> jax.Array:
    return attend_in_blocks(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT)


def _splash(
    q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT, interpret: bool, fused_gradients: bool
) -> jax.Array:
    """Runs jax.experimental.pallas.ops.tpu.splash_attention, which skips fully masked blocks.

    Gradients come from one kernel for the queries and one for keys and values, which both compute
    the scores and their slopes again. With `fused_gradients` the second computes the queries' too,
    a part for each block of keys, rounded to the dtype of the queries before XLA sums the parts.
    """
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    T, H, K = q_BxTxHxK.shape[1:]
    block = next(size for size in _SPLASH_BLOCKS if T % size == 0)
    fused = fused_gradients and _MOST_PARTS * block >= T
    of_queries = None if fused else block
    kernel = kernels.make_splash_mha(
        masks.MultiHeadMask([masks.CausalMask((T, T))] * H),
        block_sizes=kernels.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_q_dq=of_queries,
            block_kv_dq=of_queries,
            use_fused_bwd_kernel=fused,
        ),
        head_shards=1,
        q_seq_shards=1,
        residual_checkpoint_name=ATTENTION_OUTPUT,
        interpret=interpret,
    )

    def one_row(q_TxHxK, k_SxGxK, v_SxGxK, segments_T):
        heads_first = (jnp.moveaxis(x, 1, 0) for x in (q_TxHxK * K**-0.5, k_SxGxK, v_SxGxK))
        out_HxTxK = kernel(*heads_first, kernels.SegmentIds(segments_T, segments_T))
        return jnp.moveaxis(out_HxTxK, 0, 1)

    return jax.vmap(one_row)(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT)


def _flash(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT, interpret: bool) -> jax.Array:
    """Runs jax.experimental.pallas.ops.gpu.attention, which JAX 0.12 deprecates."""
    from jax.experimental.pallas.ops.gpu.attention import mha

    H, K = q_BxTxHxK.shape[2:]
    k_BxSxHxK, v_BxSxHxK = _repeat_kv_heads(H, k_BxSxGxK, v_BxSxGxK)
    return mha(
        q_BxTxHxK,
        k_BxSxHxK,
        v_BxSxHxK,
        segments_BxT,
        sm_scale=K**-0.5,
        causal=True,
        interpret=interpret,
    )


def _cudnn(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, segments_BxT, implementation: str) -> jax.Array:
    """Runs jax.nn.dot_product_attention, with segments as a mask [B, 1, T, S]."""
    same_segment_Bx1xTxS = (segments_BxT[:, :, None] == segments_BxT[:, None, :])[:, None]
    return jax.nn.dot_product_attention(
        q_BxTxHxK,
        k_BxSxGxK,
        v_BxSxGxK,
        mask=same_segment_Bx1xTxS,
        is_causal=True,
        implementation=implementation,
    )


def _repeat_kv_heads(H: int, *arrays_BxSxGxK) -> list[jax.Array]:
    """Repeats key/value heads so that query head h uses key/value head h."""
    return [jnp.repeat(x, H // x.shape[2], axis=2) for x in arrays_BxSxGxK]
