"""Compares the paged cache with attention over the same keys in one array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semcoder_jax.model import kv_cache
from semcoder_jax.model.attention import attend, attention_mask
from semcoder_jax.model.kv_cache import KVCache
from tests.support.tiny_decoder import tiny_decoder

CONFIG = tiny_decoder(vocab_size=8, intermediate_size=8, num_layers=3)
S, N = 8, 5  # positions of a page, pages of a row
NUM_PAGES = 1 + 5 * N  # for up to 5 rows; one number, so that all tests share their programs
# Jitted, as a decoder calls them; op by op, each shape of each operation is a program of its own.
WAYS = {"by row": jax.jit(kv_cache._attend_by_row), "batched": jax.jit(kv_cache._attend)}
write = jax.jit(KVCache.write)
attend_plainly = jax.jit(attend)


def random(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def filled(rng, lengths, layer=1, dtype=jnp.float32):
    """A cache that rows of `lengths` wrote in pieces, their tables, and plain [B, S, G, K]."""
    B, longest = len(lengths), max(lengths)
    k, v = random(rng, B, longest, 2, 8), random(rng, B, longest, 2, 8)
    cache = KVCache.zeros(CONFIG, NUM_PAGES, dtype, page_size=S)
    pages = np.zeros((B, N), np.int32)
    free = iter(rng.permutation(np.arange(1, 1 + B * N)))
    for b, length in enumerate(lengths):
        for n in range(-(-length // S)):
            pages[b, n] = next(free)
        at = 0
        while at < length:  # whole pages, then pieces
            T = 2 * S if length - at >= 2 * S else min(3, length - at)
            cache = write(
                cache,
                layer,
                pages[b : b + 1],
                at + np.arange(T)[None],
                k[b : b + 1, at : at + T],
                v[b : b + 1, at : at + T],
            )
            at += T
    return cache, pages, k, v


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("T", [1, 3])
def test_pages_hold_what_was_written(way, T):
    rng = np.random.default_rng(T)
    lengths = [3, 40, 17, 8, 33]
    cache, pages, k, v = filled(rng, lengths)
    q = random(rng, len(lengths), T, 4, 8)
    positions = np.array(lengths)[:, None] - T + np.arange(T)
    slots = np.broadcast_to(np.arange(40), (5, 40))
    mask = attention_mask(positions, slots, np.ones_like(positions), np.ones_like(slots))
    expected = attend_plainly(q, k, v, mask)
    np.testing.assert_allclose(way(cache, 1, pages, positions, q), expected, atol=2e-6)
    assert not cache.k_LxPxGxSxK[0].any() and not cache.v_LxPxGxSxK[2].any()  # other layers


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_int8_is_attention_over_rounded_keys_and_values(way):
    """Rounded by NumPy: each head of a token by its own greatest number."""
    rng = np.random.default_rng(5)
    lengths = [3, 40, 17]
    cache, pages, *written = filled(rng, lengths, dtype=jnp.int8)
    assert cache.k_LxPxGxSxK.dtype == jnp.int8
    k, v = written
    step_k, step_v = (np.abs(array).max(-1, keepdims=True) / 127 for array in (k, v))
    k, v = np.rint(k / step_k) * step_k, np.rint(v / step_v) * step_v
    q = random(rng, len(lengths), 1, 4, 8)
    positions = np.array(lengths)[:, None] - 1
    slots = np.broadcast_to(np.arange(40), (3, 40))
    mask = attention_mask(positions, slots, np.ones_like(positions), np.ones_like(slots))
    expected = attend_plainly(q, k, v, mask)
    np.testing.assert_allclose(way(cache, 1, pages, positions, q), expected, atol=3e-6)
    rounding = np.abs(expected - attend_plainly(q, *written, mask))
    assert rounding.max() > 1e-4  # it is there


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_row_has_the_same_bits_in_any_company(way, dtype):
    rng = np.random.default_rng(0)
    cache, pages, _, _ = filled(rng, [19, 40, 2], dtype=jnp.dtype(dtype))
    q = random(rng, 3, 2, 4, 8)
    positions = np.array([[17, 18], [38, 39], [0, 1]])
    together = way(cache, 1, pages, positions, q)
    order = np.array([2, 0, 2])
    moved = way(cache, 1, pages[order], positions[order], q[order])
    assert (together[0] == moved[1]).all() and (together[2] == moved[0]).all()
    # Neither the pages of others nor a wider table or pool are seen.
    wide = np.pad(pages, ((0, 0), (0, 7)))
    others = np.setdiff1d(np.arange(cache.num_pages), pages[0])
    noise = jax.tree.map(lambda stack: stack.at[:, others].set(7), cache)
    assert (way(noise, 1, wide, positions, q)[0] == together[0]).all()


def test_positions_without_a_page_go_to_page_0():
    cache = KVCache.zeros(CONFIG, 4, page_size=S)
    pages = np.array([[3, 0]])
    ones = np.ones((1, 3, 2, 8), np.float32)
    for first in (7, 14, 300):  # over the end of page 3, of the table, far beyond
        cache = write(cache, 0, pages, first + np.arange(3)[None], ones, ones)
    written = np.argwhere(np.asarray(cache.k_LxPxGxSxK).any(axis=(2, 4)))
    assert {(page, slot) for layer, page, slot in written if page} == {(3, 7)}


def test_a_copied_page_is_equal_in_all_layers():
    rng = np.random.default_rng(0)
    shape = (3, 4, 2, S, 8)
    scales = (random(rng, *shape[:-1]), random(rng, *shape[:-1]))
    cache = KVCache(random(rng, *shape), random(rng, *shape), *scales)
    copy = jax.jit(KVCache.copy_page)(cache, 2, 1)
    for before, after in zip(cache, copy, strict=True):
        assert (after[:, 1] == before[:, 2]).all()
        assert (after[:, [0, 2, 3]] == before[:, [0, 2, 3]]).all()
