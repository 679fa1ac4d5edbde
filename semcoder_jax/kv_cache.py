"""Keys and values of past positions, in pages: what a sequence holds follows what it has used.

The cache is one pool of pages of ``S`` positions. A sequence owns a list of pages, its row of a
page table ``pages_BxN``: position p lies in page ``pages[p // S]``, slot ``p % S``. Sequences of
any lengths share the pool, and sequences with one prompt share its whole pages. Page 0 belongs
to nobody: unassigned entries of a table are 0, what is written there is never seen.

Attention runs over the pages in order with a running softmax (Milakov and Gimelshein, 2018), so
that a sequence's result has the same bits whatever the pool, the table's width or the other rows
hold: a page without visible keys changes nothing. One program serves every length.

Axes beside those of model.py: P pages of the pool, N entries of a row of the table, S positions
of a page.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from semcoder_jax.attention import HIDDEN_SCORE

PAGE_SIZE = 64
# Pages that one step of batched attention reads from every row. More of them cost scratch memory
# and, where rows are short, reading of nothing; fewer cost steps.
PAGES_PER_STEP = 4


class KVCache(NamedTuple):
    """Rotated keys, and values, of every layer.

    Heads lie before slots because that is the order of a batched product: no step of decoding
    has to rearrange the cache.
    """

    k_LxPxGxSxK: jax.Array
    v_LxPxGxSxK: jax.Array

    @classmethod
    def zeros(
        cls, config, num_pages: int, dtype=jnp.float32, page_size: int = PAGE_SIZE
    ) -> "KVCache":
        """``num_pages`` includes page 0, which holds nothing; ``config`` is a DecoderConfig."""
        shape = (config.num_layers, num_pages, config.num_kv_heads, page_size, config.head_dim)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    @property
    def num_pages(self) -> int:
        return self.k_LxPxGxSxK.shape[1]

    @property
    def page_size(self) -> int:
        return self.k_LxPxGxSxK.shape[3]

    def write(self, layer, pages_BxN, positions_BxT, k_BxTxGxK, v_BxTxGxK) -> "KVCache":
        """Store T consecutive positions of each row; what its pages do not cover goes to page 0.

        Where T is a multiple of the page size, the first position must be one as well: then
        whole pages are written.
        """
        S, T = self.page_size, positions_BxT.shape[1]
        if T % S == 0:
            page_BxM = _page_of(pages_BxN, positions_BxT[:, ::S] // S)

            def put(stack, new_BxTxGxK):
                B, _, G, K = new_BxTxGxK.shape
                new_BxMxGxSxK = new_BxTxGxK.reshape(B, T // S, S, G, K).swapaxes(2, 3)
                return stack.at[layer, page_BxM].set(new_BxMxGxSxK.astype(stack.dtype))
        else:
            # A scatter of rows of heads writes in place when the cache is a loop carry or
            # donated. (A dynamic_update_slice mapped over rows makes two copies of all layers.)
            page_BxT = _page_of(pages_BxN, positions_BxT // S)
            slot_BxT = positions_BxT % S

            def put(stack, new_BxTxGxK):
                return stack.at[layer, page_BxT, :, slot_BxT].set(new_BxTxGxK.astype(stack.dtype))

        return KVCache(put(self.k_LxPxGxSxK, k_BxTxGxK), put(self.v_LxPxGxSxK, v_BxTxGxK))

    def attend(self, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
        """Softmax attention of queries at consecutive positions over slots 0 … their own.

        Every such slot must have been written. Scores are float32; returns [B, T, H, K].
        """
        return jax.lax.platform_dependent(
            self, layer, pages_BxN, positions_BxT, q_BxTxHxK, cpu=_attend_by_row, default=_attend
        )

    def copy_page(self, source, target) -> "KVCache":
        """Page ``target`` made equal to page ``source`` in all layers."""

        def copied(stack):
            page = jax.lax.dynamic_index_in_dim(stack, source, axis=1)
            return jax.lax.dynamic_update_slice_in_dim(stack, page, target, axis=1)

        return KVCache(*map(copied, self))

    def _page(self, layer, page, dtype) -> tuple[jax.Array, jax.Array]:
        """Keys and values [G, S, K] of one page."""
        at = (layer, page, 0, 0, 0)
        size = (1, 1, *self.k_LxPxGxSxK.shape[2:])
        return tuple(
            jax.lax.dynamic_slice(stack, at, size)[0, 0].astype(dtype)
            for stack in (self.k_LxPxGxSxK, self.v_LxPxGxSxK)
        )

    def _pages(self, layer, page_BxM, dtype) -> tuple[jax.Array, jax.Array]:
        """Keys and values [B, M, G, S, K] of M pages of each row."""
        return tuple(
            stack[layer, page_BxM].astype(dtype) for stack in (self.k_LxPxGxSxK, self.v_LxPxGxSxK)
        )


def _page_of(pages_BxN: jax.Array, index_BxT: jax.Array) -> jax.Array:
    """Entries of each row's table, 0 beyond its end."""
    return jnp.take_along_axis(pages_BxN, index_BxT, axis=1, mode="fill", fill_value=0)


class _RunningSoftmax(NamedTuple):
    """Over the keys so far: greatest score, sum of exponentials above it, weighted values."""

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

    def add(self, scores: jax.Array, values: jax.Array) -> "_RunningSoftmax":
        """Scores [..., Q, S] of values [..., S, K]."""
        greatest = jnp.maximum(self.greatest, scores.max(-1))
        kept = jnp.exp(self.greatest - greatest)
        weights = jnp.exp(scores - greatest[..., None])
        new = jnp.matmul(weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
        return _RunningSoftmax(
            greatest, self.total * kept + weights.sum(-1), self.weighted * kept[..., None] + new
        )

    def average(self) -> jax.Array:
        return self.weighted / self.total[..., None]


def _attend_by_row(cache: KVCache, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
    """Row after row, page after page: no row reads more than its own pages, each from the core's
    own cache. On CPU twice as fast as gathering the pages of all rows."""
    B, T, H, K = q_BxTxHxK.shape
    _, _, G, S, _ = cache.k_LxPxGxSxK.shape
    R = H // G  # query heads that share a key/value head: one more stretch of rows per product
    q_BxGxQxK = jnp.moveaxis(q_BxTxHxK * K**-0.5, 1, 2).reshape(B, G, R * T, K)

    def one_row(b, out_BxGxQxK):
        q_GxQxK = jax.lax.dynamic_index_in_dim(q_BxGxQxK, b, keepdims=False)
        position_Q = jnp.tile(positions_BxT[b], R)

        def one_page(n, softmax):
            k_GxSxK, v_GxSxK = cache._page(layer, pages_BxN[b, n], q_GxQxK.dtype)
            scores_GxQxS = jnp.matmul(
                q_GxQxK, k_GxSxK.swapaxes(1, 2), preferred_element_type=jnp.float32
            )
            hidden_QxS = n * S + jnp.arange(S) > position_Q[:, None]
            return softmax.add(jnp.where(hidden_QxS, HIDDEN_SCORE, scores_GxQxS), v_GxSxK)

        num_pages = jnp.minimum(positions_BxT[b, -1] // S + 1, pages_BxN.shape[1])
        start = _RunningSoftmax.start((G, R * T), K)
        softmax = jax.lax.fori_loop(0, num_pages, one_page, start)
        out_GxQxK = softmax.average().astype(out_BxGxQxK.dtype)
        return jax.lax.dynamic_update_index_in_dim(out_BxGxQxK, out_GxQxK, b, 0)

    out_BxGxQxK = jax.lax.fori_loop(0, B, one_row, jnp.zeros_like(q_BxGxQxK))
    return jnp.moveaxis(out_BxGxQxK.reshape(B, H, T, K), 1, 2)


def _attend(cache: KVCache, layer, pages_BxN, positions_BxT, q_BxTxHxK) -> jax.Array:
    """All rows at once, some pages a step, up to the end of the longest row."""
    B, T, H, K = q_BxTxHxK.shape
    _, _, G, S, _ = cache.k_LxPxGxSxK.shape
    R, N = H // G, pages_BxN.shape[1]
    M = min(PAGES_PER_STEP, N)
    q_BxGxQxK = jnp.moveaxis(q_BxTxHxK * K**-0.5, 1, 2).reshape(B, G, R * T, K)
    position_BxQ = jnp.tile(positions_BxT, (1, R))
    pages_BxN = jnp.pad(pages_BxN, ((0, 0), (0, -N % M)))

    def some_pages(step, softmax):
        page_BxM = jax.lax.dynamic_slice_in_dim(pages_BxN, step * M, M, axis=1)
        k_BxMxGxSxK, v_BxMxGxSxK = cache._pages(layer, page_BxM, q_BxTxHxK.dtype)
        k_BxGxMSxK = k_BxMxGxSxK.swapaxes(1, 2).reshape(B, G, M * S, K)
        v_BxGxMSxK = v_BxMxGxSxK.swapaxes(1, 2).reshape(B, G, M * S, K)
        scores_BxGxQxMS = jnp.matmul(
            q_BxGxQxK, k_BxGxMSxK.swapaxes(2, 3), preferred_element_type=jnp.float32
        )
        hidden_BxQxMS = step * M * S + jnp.arange(M * S) > position_BxQ[:, :, None]
        scores_BxGxQxMS = jnp.where(hidden_BxQxMS[:, None], HIDDEN_SCORE, scores_BxGxQxMS)
        return softmax.add(scores_BxGxQxMS, v_BxGxMSxK)

    last = jnp.minimum(positions_BxT[:, -1].max(), N * S - 1)
    start = _RunningSoftmax.start((B, G, R * T), K)
    softmax = jax.lax.fori_loop(0, last // (M * S) + 1, some_pages, start)
    out_BxGxQxK = softmax.average().astype(q_BxTxHxK.dtype)
    return jnp.moveaxis(out_BxGxQxK.reshape(B, H, T, K), 1, 2)
