"""Stores keys and values of past positions in pages, so a sequence's memory follows its length.

The cache is one pool of pages of `S` positions. A sequence owns a list of pages, its row of a
page table `pages_BxN`: position p lies in page `pages[p // S]`, slot `p % S`. Sequences of
any lengths share the pool, and sequences with one prompt share its full pages. No sequence owns
page 0: unassigned entries of a table are 0, and no query sees its contents.

Attention runs over the pages in order with a running softmax (Milakov and Gimelshein, 2018), so
that a sequence's result has the same bits whatever the pool, the table's width or the other rows
hold: a page without visible keys changes nothing. One program serves every length.

As int8, each head of a token has a scale of its own for its key and for its value. The integers
enter the products as they are; the scale of a key multiplies its score, that of a value its weight.

Axes besides those of decoder: P pages of the pool, N entries of a row of the table, S positions
of a page.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from semcoder_jax.model.attention import HIDDEN_SCORE

PAGE_SIZE = 64
# Pages that one step of batched attention reads from every row. More of them cost scratch memory
# and, where rows are short, reading of nothing; fewer cost steps.
PAGES_PER_STEP = 4


INT8_MAX = 127


class _Block(NamedTuple):
    """Holds keys and values [..., K] of some pages in the queries' dtype, and int8 scales [...]."""

    k: jax.Array
    v: jax.Array
    k_scale: jax.Array | None
    v_scale: jax.Array | None


class KVCache(NamedTuple):
    """Holds rotated keys, and values, of every layer; an int8 cache also holds float32 scales.

    Heads lie before slots, the order of a batched product, so no decoding step rearranges the
    cache. On a mesh, `SPEC` splits the heads of every part.
    """

    k_LxPxGxSxK: jax.Array
    v_LxPxGxSxK: jax.Array
    k_scale_LxPxGxS: jax.Array | None = None
    v_scale_LxPxGxS: jax.Array | None = None

    @classmethod
    def zeros(
        cls, config, num_pages: int, dtype=jnp.float32, page_size: int = PAGE_SIZE
    ) -> "KVCache":
        """Returns an empty cache; `num_pages` includes page 0, `config` is a DecoderConfig."""
        shape = (config.num_layers, num_pages, config.num_kv_heads, page_size, config.head_dim)
        stacks = [jnp.zeros(shape, dtype) for _ in range(2)]
        if jnp.dtype(dtype) == jnp.int8:
            stacks += [jnp.zeros(shape[:-1], jnp.float32) for _ in range(2)]
        return cls(*stacks)

    @property
    def num_pages(self) -> int:
        return self.k_LxPxGxSxK.shape[1]

    @property
    def page_size(self) -> int:
        return self.k_LxPxGxSxK.shape[3]

    def write(self, layer, pages_BxN, positions_BxT, k_BxTxGxK, v_BxTxGxK) -> "KVCache":
        """Stores T consecutive positions of each row; positions outside its pages go to page 0.

        If T is a multiple of the page size, the first position must be one as well, and whole
        pages are written.
        """
        S, T = self.page_size, positions_BxT.shape[1]
        if T % S == 0:
            page_BxM = _lookup_pages(pages_BxN, positions_BxT[:, ::S] // S)

            def put(stack, new_BxTxGx):
                B, _, *rest = new_BxTxGx.shape
                new_BxMxGxSx = new_BxTxGx.reshape(B, T // S, S, *rest).swapaxes(2, 3)
                return stack.at[layer, page_BxM].set(new_BxMxGxSx.astype(stack.dtype))
        else:
            # Every index of the scatter is given, so that only heads' own numbers are its window:
            # it writes in place when the cache is a loop carry or donated. (With heads in the
            # window the TPU compiler keeps a second cache, its heads behind the slots; a
            # dynamic_update_slice mapped over rows makes two copies of all layers.)
            page_BxTx1 = _lookup_pages(pages_BxN, positions_BxT // S)[..., None]
            slot_BxTx1 = (positions_BxT % S)[..., None]
            head_G = jnp.arange(self.k_LxPxGxSxK.shape[2])

            def put(stack, new_BxTxGx):
                at = stack.at[layer, page_BxTx1, head_G, slot_BxTx1]
                return at.set(new_BxTxGx.astype(stack.dtype))

        new = (k_BxTxGxK, v_BxTxGxK)
        if self.k_scale_LxPxGxS is not None:
            (k_BxTxGxK, k_scale_BxTxG), (v_BxTxGxK, v_scale_BxTxG) = map(_quantize, new)
            new = (k_BxTxGxK, v_BxTxGxK, k_scale_BxTxG, v_scale_BxTxG)
        return KVCache(*map(put, (stack for stack in self if stack is not None), new))

    def attend(self, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
        """Computes softmax attention of queries at consecutive positions over slots 0 … their own.

        Every such slot must have been written. Scores are float32; returns [B, T, H, K].
        """
        return jax.lax.platform_dependent(
            self, layer, pages_BxN, positions_BxT, q_BxTxHxK, cpu=_attend_by_row, default=_attend
        )

    def copy_page(self, source, target) -> "KVCache":
        """Copies page `source` to page `target` in all layers."""

        def copy(stack):
            page = jax.lax.dynamic_index_in_dim(stack, source, axis=1)
            return jax.lax.dynamic_update_slice_in_dim(stack, page, target, axis=1)

        return jax.tree.map(copy, self)

    def _read_page(self, layer, page, dtype) -> _Block:
        """Reads one page, [G, S, ...]."""

        def take(stack):
            at = (layer, page, *[0] * (stack.ndim - 2))
            return jax.lax.dynamic_slice(stack, at, (1, 1, *stack.shape[2:]))[0, 0]

        return _to_block(jax.tree.map(take, self), dtype)

    def _read_pages(self, layer, page_BxM, dtype) -> _Block:
        """Reads M pages of each row side by side, [B, G, M · S, ...]."""

        def take(stack):
            new_BxGxMxSx = stack[layer, page_BxM].swapaxes(1, 2)
            B, G, M, S, *rest = new_BxGxMxSx.shape
            return new_BxGxMxSx.reshape(B, G, M * S, *rest)

        return _to_block(jax.tree.map(take, self), dtype)


def _to_block(part: KVCache, dtype) -> _Block:
    k, v, k_scale, v_scale = part
    return _Block(k.astype(dtype), v.astype(dtype), k_scale, v_scale)


def _quantize(new_BxTxGxK: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns integers and their scale [B, T, G]; values ≈ integers · scale."""
    new_BxTxGxK = new_BxTxGxK.astype(jnp.float32)
    largest_BxTxG = jnp.abs(new_BxTxGxK).max(-1)
    scale_BxTxG = jnp.where(largest_BxTxG > 0, largest_BxTxG / INT8_MAX, 1.0)
    return jnp.round(new_BxTxGxK / scale_BxTxG[..., None]).astype(jnp.int8), scale_BxTxG


def _lookup_pages(pages_BxN: jax.Array, index_BxT: jax.Array) -> jax.Array:
    """Looks up entries of each row's table; 0 beyond its end."""
    return jnp.take_along_axis(pages_BxN, index_BxT, axis=1, mode="fill", fill_value=0)


KVCache.SPEC = PartitionSpec(None, None, "tensor")  # a NamedTuple takes no constants


class _RunningSoftmax(NamedTuple):
    """Holds, over the keys so far: greatest score, sum of exponentials, weighted values."""

    greatest: jax.Array
    total: jax.Array
    weighted: jax.Array

    @classmethod
    def start(cls, shape: tuple[int, ...], head_dim: int) -> "_RunningSoftmax":
        return cls(
            jnp.full(shape, HIDDEN_SCORE, jnp.float32),
            jnp.zeros(shape, jnp.float32),
            jnp.zeros((*shape, head_dim), jnp.float32),
        )

    def add(self, q: jax.Array, block: _Block, hidden: jax.Array) -> "_RunningSoftmax":
        """Adds a block [..., S, K] for queries [..., Q, K], without keys `hidden` [..., Q, S]."""
        scores = jnp.matmul(q, block.k.swapaxes(-1, -2), preferred_element_type=jnp.float32)
        if block.k_scale is not None:
            scores = scores * block.k_scale[..., None, :]
        scores = jnp.where(hidden, HIDDEN_SCORE, scores)
        greatest = jnp.maximum(self.greatest, scores.max(-1))
        kept = jnp.exp(self.greatest - greatest)
        weights = jnp.exp(scores - greatest[..., None])
        total = self.total * kept + weights.sum(-1)
        if block.v_scale is not None:
            weights = weights * block.v_scale[..., None, :]
        new = jnp.matmul(weights.astype(block.v.dtype), block.v, preferred_element_type=jnp.float32)
        return _RunningSoftmax(greatest, total, self.weighted * kept[..., None] + new)

    def average(self) -> jax.Array:
        return self.weighted / self.total[..., None]


def _attend_by_row(cache: KVCache, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
    """Attends row by row and page by page, so a row reads only its own pages.

    On CPU, where a page fits the core's cache, this is twice as fast as gathering all rows' pages.
    """
    B, T, H, K = q_BxTxHxK.shape
    _, _, G, S, _ = cache.k_LxPxGxSxK.shape
    R = H // G  # query heads that share a key/value head: one more stretch of rows per product
    q_BxGxQxK = jnp.moveaxis(q_BxTxHxK * K**-0.5, 1, 2).reshape(B, G, R * T, K)

    def one_row(b, out_BxGxQxK):
        q_GxQxK = jax.lax.dynamic_index_in_dim(q_BxGxQxK, b, keepdims=False)
        position_Q = jnp.tile(positions_BxT[b], R)

        def one_page(n, softmax):
            block = cache._read_page(layer, pages_BxN[b, n], q_GxQxK.dtype)
            hidden_QxS = n * S + jnp.arange(S) > position_Q[:, None]
            return softmax.add(q_GxQxK, block, hidden_QxS)

        num_pages = jnp.minimum(positions_BxT[b, -1] // S + 1, pages_BxN.shape[1])
        start = _RunningSoftmax.start((G, R * T), K)
        softmax = jax.lax.fori_loop(0, num_pages, one_page, start)
        out_GxQxK = softmax.average().astype(out_BxGxQxK.dtype)
        return jax.lax.dynamic_update_index_in_dim(out_BxGxQxK, out_GxQxK, b, 0)

    out_BxGxQxK = jax.lax.fori_loop(0, B, one_row, jnp.zeros_like(q_BxGxQxK))
    return jnp.moveaxis(out_BxGxQxK.reshape(B, H, T, K), 1, 2)


def _attend(cache: KVCache, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
    """Attends for all rows at once, some pages per step, up to the end of the longest row."""
    B, T, H, K = q_BxTxHxK.shape
    _, _, G, S, _ = cache.k_LxPxGxSxK.shape
    R, N = H // G, pages_BxN.shape[1]
    M = min(PAGES_PER_STEP, N)
    q_BxGxQxK = jnp.moveaxis(q_BxTxHxK * K**-0.5, 1, 2).reshape(B, G, R * T, K)
    position_BxQ = jnp.tile(positions_BxT, (1, R))
    pages_BxN = jnp.pad(pages_BxN, ((0, 0), (0, -N % M)))

    def some_pages(step, softmax):
        page_BxM = jax.lax.dynamic_slice_in_dim(pages_BxN, step * M, M, axis=1)
        block = cache._read_pages(layer, page_BxM, q_BxTxHxK.dtype)
        hidden_BxQxMS = step * M * S + jnp.arange(M * S) > position_BxQ[:, :, None]
        return softmax.add(q_BxGxQxK, block, hidden_BxQxMS[:, None])

    last = jnp.minimum(positions_BxT[:, -1].max(), N * S - 1)
    start = _RunningSoftmax.start((B, G, R * T), K)
    softmax = jax.lax.fori_loop(0, last // (M * S) + 1, some_pages, start)
    out_BxGxQxK = softmax.average().astype(q_BxTxHxK.dtype)
    return jnp.moveaxis(out_BxGxQxK.reshape(B, H, T, K), 1, 2)
