"""Tests NF4: its levels, its codes compared with bitsandbytes, and the largest rounding error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from semcoder_jax.model.nf4 import LEVELS, NF4Weight, quantize_nf4

quantize = jax.jit(quantize_nf4, static_argnums=1)
dequantize = jax.jit(lambda weight: weight.dequantize(jnp.float32))


def random_weight(shape, seed=0):
    """Normal, with a wide spread of magnitudes between blocks and a few outliers."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal(shape) * np.exp(random.standard_normal((1, *shape[1:])))
    return jnp.asarray(weight + 8 * (random.random(shape) < 0.002), jnp.float32)


def codes_of(weight: NF4Weight) -> np.ndarray:
    """One code a weight, in the weight's shape, unpacked by NumPy."""
    codes, half = np.asarray(weight.codes), weight.block_size // 2
    axis = weight.axis + codes.ndim
    codes = np.moveaxis(codes, axis, 0).reshape(-1, half, codes.size // codes.shape[axis])
    codes = np.concatenate([codes & 15, codes >> 4], axis=1)
    moved = [weight.shape[axis], *(n for i, n in enumerate(weight.shape) if i != axis)]
    return np.moveaxis(codes.reshape(moved), 0, axis)


def test_levels_are_quantiles_of_a_normal_distribution():
    """Appendix E's construction: eight positive and seven negative quantiles, and zero."""
    offset = 0.9677083
    positive = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    negative = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    levels = np.sort([*positive, 0.0, *negative]) / positive.max()
    np.testing.assert_allclose(LEVELS, levels, atol=1e-6)


def test_codes_are_those_of_bitsandbytes():
    """On the weight as PyTorch lies it out, [out, in]; up to the rounding of the blocks' scales
    the dequantized weights are, too."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    weight_DxHxK = random_weight((256, 4, 6))
    tensor = torch.tensor(np.asarray(weight_DxHxK).reshape(256, 24).T.copy())
    packed, state = functional.quantize_4bit(tensor, blocksize=64, quant_type="nf4")
    theirs = np.stack([packed.numpy() >> 4, packed.numpy() & 15], -1).reshape(24, 256)
    ours = quantize(weight_DxHxK, (0,))
    assert np.mean(theirs == codes_of(ours).reshape(256, 24).T) == 1.0
    np.testing.assert_allclose(LEVELS, state.code.numpy(), atol=1e-7)
    back = functional.dequantize_4bit(packed, state).numpy().T.reshape(256, 4, 6)
    largest = np.abs(weight_DxHxK).max(0)
    gap = np.abs(dequantize(ours) - back)
    assert (gap <= 0.5001 / 255 * largest).all()


@pytest.mark.parametrize(("shape", "summed"), [((256, 6), (0,)), ((3, 128, 10), (0, 1))])
def test_no_weight_moves_further_than_its_block_allows(shape, summed):
    """Half the gap between the levels beside it, and the rounding of the block's scale."""
    weight = random_weight(shape)
    quantized = quantize(weight, summed)
    assert (quantized.shape, quantized.block_size) == (shape, 64)
    blocks = np.asarray(weight).reshape(*shape[: summed[-1]], -1, 64, shape[-1])
    scale = np.abs(blocks).max(-2, keepdims=True)
    place = np.clip(np.searchsorted(LEVELS, blocks / scale, side="right"), 1, 15)
    half_gap = (np.array(LEVELS)[place] - np.array(LEVELS)[place - 1]) / 2
    channel = np.abs(np.asarray(weight)).max(summed, keepdims=True)
    channel = np.expand_dims(channel, summed[-1])
    bound = half_gap * scale + 0.5001 / 255 * channel
    moved = np.abs(np.asarray(dequantize(quantized)) - np.asarray(weight))
    assert (moved.reshape(blocks.shape) <= bound * 1.00001).all()


def test_levels_themselves_survive():
    """A block of the 16 levels, scaled by a power of two, by hand."""
    weight = jnp.tile(4.0 * jnp.array(LEVELS), 4)[:, None] * jnp.array([1.0, -0.5])
    quantized = quantize(weight, (0,))
    np.testing.assert_array_equal(codes_of(quantized)[:, 0], np.tile(np.arange(16), 4))
    assert quantized.block_scale.tolist() == [[255, 255]]
    np.testing.assert_allclose(dequantize(quantized)[:, 0], weight[:, 0], rtol=1e-6)


def test_zeros_short_axes_and_odd_ones():
    assert not dequantize(quantize(jnp.zeros((64, 3)), (0,))).any()
    short = quantize(random_weight((172, 3)), (0,))
    assert (short.block_size, short.block_scale.shape) == (4, (43, 3))
    with pytest.raises(ValueError, match="an axis of 171 weights, expected an even number"):
        quantize_nf4(jnp.zeros((171, 3)), (0,))


def test_bits_a_weight():
    """0.13 beyond the four, as in the paper (0.127)."""
    shape = (4096, 11008)
    leaves = jax.tree.leaves(jax.eval_shape(lambda: quantize_nf4(jnp.zeros(shape), (0,))))
    bits = 8 * sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    assert 4.1 < bits / np.prod(shape) < 4.14
