"""Compares attention in blocks, and its gradients, with float64 loops over queries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semcoder_jax.model.block_attention import BLOCK, attend_in_blocks

B, T, H, G, K = 2, 3 * BLOCK, 4, 2, 8
EDGES = {
    "records that end where blocks do": [(BLOCK, 2 * BLOCK), (2 * BLOCK, BLOCK)],
    "one off": [(BLOCK - 1, 2, BLOCK), (BLOCK + 1, BLOCK - 1, BLOCK)],
    "one record": [(T,), (1,)],
    "an empty row": [(), (5, 1, 1, T - 7)],
    "padding of whole blocks": [(40,), (BLOCK, 1)],
    "many records": [(3,) * 128, (1,) * T],
}


def random_lengths(seed):
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(B):
        lengths = random.geometric(1 / random.integers(5, 200), 200)
        rows.append(lengths[np.cumsum(lengths) <= T])
    return rows


def segments_of(rows):
    segments = np.zeros((B, T), np.int32)
    for row, lengths in enumerate(rows):
        ids = np.repeat(np.arange(len(lengths)), lengths) + 1
        segments[row, : len(ids)] = ids
    return segments


def arrays(seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(B, T, heads, K)).astype(np.float32) for heads in (H, G, G, H)]


@jax.jit
def run(q, k, v, slope, segments):
    """Returns the output and the gradients of sum(output * slope)."""
    out, pull = jax.vjp(lambda *parts: attend_in_blocks(*parts, segments), q, k, v)
    return out, pull(slope)


def by_loops(q, k, v, slope, segments):
    """The same in float64, query by query; zero at padding."""
    out, dq = np.zeros((2, *q.shape))
    dk, dv = np.zeros((2, *k.shape))
    q, k, v, slope = (x.astype(np.float64) for x in (q, k, v, slope))
    for b, t in np.argwhere(segments):
        seen = np.flatnonzero(segments[b, : t + 1] == segments[b, t])
        for h in range(H):
            g = h // (H // G)
            weights = np.exp(k[b, seen, g] @ q[b, t, h] / K**0.5)
            weights /= weights.sum()
            out[b, t, h] = weights @ v[b, seen, g]
            dweights = v[b, seen, g] @ slope[b, t, h]
            dscores = weights * (dweights - weights @ dweights) / K**0.5
            dq[b, t, h] = dscores @ k[b, seen, g]
            dk[b, seen, g] += np.outer(dscores, q[b, t, h])
            dv[b, seen, g] += np.outer(weights, slope[b, t, h])
    return out, (dq, dk, dv)


@pytest.mark.parametrize("rows", [*EDGES.values(), *map(random_lengths, range(3))])
def test_output_and_gradients_are_those_of_loops(rows):
    segments = segments_of(rows)
    real = (segments != 0)[..., None, None]
    q, k, v, slope = arrays()
    slope = slope * real  # no gradient enters at padding
    out, gradients = run(q, k, v, slope, segments)
    expected, expected_gradients = by_loops(q, k, v, slope, segments)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(np.where(real, out, 0), expected, atol=2e-6)
    for ours, reference in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-5)


def test_blocks_without_a_visible_key_are_not_read():
    """Anything multiplied by NaN would be NaN, also with weight 0, forward and backward."""
    segments = segments_of([(BLOCK, BLOCK), (2 * BLOCK,)])
    q, k, v, slope = arrays()
    hidden = segments == 0
    hidden[0, :BLOCK] = True  # the first row's first record
    parts = [np.where(hidden[..., None, None], np.nan, x) for x in (q, k, v, slope)]
    out, gradients = run(*parts, segments)
    whole_out, whole_gradients = run(q, k, v, slope, segments)
    for ours, whole in zip((out, *gradients), (whole_out, *whole_gradients), strict=True):
        np.testing.assert_array_equal(np.asarray(ours)[~hidden], np.asarray(whole)[~hidden])


def test_no_array_holds_all_scores():
    length = 16 * BLOCK
    x = jax.ShapeDtypeStruct((1, length, H, K), jnp.float32)
    ids = jax.ShapeDtypeStruct((1, length), jnp.int32)
    memory = run.lower(x, x, x, x, ids).compile().memory_analysis()
    assert 0 < memory.temp_size_in_bytes < 4 * length**2  # scores of one head in float32
