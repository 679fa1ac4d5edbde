"""Tests int8 weights: rounding, matrix products, and the loss of accuracy on real weights."""

import dataclasses
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from semcoder_jax.loading import load_model
from semcoder_jax.model import sharding
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.parameters import parameter_at
from semcoder_jax.model.quantization import (
    QuantizedWeight,
    abstract_quantized,
    quantize_params,
    quantize_weight,
    weight_bytes,
)
from tests.support.tiny_checkpoint import write_checkpoint
from tests.support.tiny_decoder import tiny_decoder

REPOSITORY = Path(__file__).parents[2]
CONFIG = tiny_decoder(
    hidden_size=16, intermediate_size=24, num_layers=3, head_dim=4, initializer_range=0.3
)


def split(config=CONFIG):
    return nnx.split(Decoder(config, rngs=nnx.Rngs(0)))


def dequantized(params: nnx.State) -> nnx.State:
    """The numbers that the integers stand for, as plain float32 arrays, by NumPy."""
    leaves = {}
    for path, param in params.flat_state():
        value = param.get_value()
        if isinstance(value, QuantizedWeight):
            parameter = parameter_at(path)
            summed = [i for i, axis in enumerate(parameter.axes) if axis in parameter.contracted]
            scale = np.expand_dims(np.asarray(value.scale), summed)
            value = jnp.asarray(np.asarray(value.int8).astype(np.float32) * scale)
        leaves[path] = param.replace(value)
    return nnx.State.from_flat_path(leaves)


def test_values_by_hand():
    weight = jnp.array([[1.0, -0.5, 0.0], [-2.0, 0.25, 0.0]])
    quantized = quantize_weight(weight, summed=(0,))
    np.testing.assert_allclose(quantized.scale, [2 / 127, 0.5 / 127, 1.0])
    # 1 / (2/127) = 63.5 rounds to the even 64; 0.25 / (0.5/127) = 63.5 too.
    np.testing.assert_array_equal(quantized.int8, [[64, -127, 0], [-127, 64, 0]])


@pytest.mark.parametrize("tie", [False, True])
def test_every_weight_is_within_half_a_step(tie):
    _, params = split(dataclasses.replace(CONFIG, tie_embeddings=tie))
    quantized = quantize_params(params)
    back = dict(dequantized(quantized).flat_state())
    flat = dict(quantized.flat_state())
    for path, param in params.flat_state():
        value = flat[path].get_value()
        if path[-1] == "scale":  # of a norm
            np.testing.assert_array_equal(value, param.get_value())
            continue
        assert value.int8.dtype == jnp.int8, path
        gap = np.abs(np.asarray(back[path].get_value()) - np.asarray(param.get_value()))
        assert gap.max() <= 0.5001 * np.asarray(value.scale).max(), path


@pytest.mark.parametrize("tie", [False, True])
def test_logits_are_those_of_the_dequantized_weights(tie):
    graphdef, params = split(dataclasses.replace(CONFIG, tie_embeddings=tie))
    quantized = quantize_params(params)
    tokens = jax.random.randint(jax.random.key(1), (2, 9), 0, CONFIG.vocab_size)
    positions = jnp.broadcast_to(jnp.arange(9), (2, 9))

    def logits(params):
        return nnx.merge(graphdef, params)(tokens, positions, jnp.ones_like(tokens))

    expected = logits(dequantized(quantized))
    np.testing.assert_allclose(jax.jit(logits)(quantized), expected, atol=2e-5)
    assert jnp.abs(expected - logits(params)).max() > 1e-3  # the rounding is there


def test_quantizing_twice_changes_nothing():
    once = quantize_params(split()[1])
    twice = quantize_params(once)
    assert all(map(np.array_equal, jax.tree.leaves(once), jax.tree.leaves(twice)))


def test_memory_is_a_quarter_of_float32():
    wide = dataclasses.replace(CONFIG, hidden_size=512, intermediate_size=1024, head_dim=128)
    params = jax.eval_shape(lambda: split(wide)[1])
    ratio = weight_bytes(abstract_quantized(params)) / weight_bytes(params)
    assert 0.25 < ratio < 0.26


def test_shards_follow_the_weight():
    assert sharding.parameter_spec(("layers", "attention", "q_DxHxK", "int8")) == P(
        None, "fsdp", "tensor", None
    )
    assert sharding.parameter_spec(("layers", "attention", "q_DxHxK", "scale")) == P(
        None, "tensor", None
    )
    assert sharding.parameter_spec(("layers", "attention", "o_HxKxD", "scale")) == P(None, "fsdp")
    assert sharding.parameter_spec(("embed_VxD", "scale")) == P("tensor")
    assert sharding.parameter_spec(("final_norm", "scale")) == P()
    shapes = abstract_quantized(split()[1])
    mesh = sharding.make_mesh({}, jax.devices()[:1])
    for leaf, place in zip(
        jax.tree.leaves(shapes),
        jax.tree.leaves(sharding.parameter_shardings(shapes, mesh)),
        strict=True,
    ):
        assert len(place.spec) in (0, leaf.ndim)


def test_a_checkpoint_is_loaded_as_int8(tmp_path):
    directory = write_checkpoint(tmp_path / "checkpoint")
    expected = quantize_params(load_model(directory).params)
    model = load_model(directory, quantize=True)
    assert all(map(np.array_equal, jax.tree.leaves(model.params), jax.tree.leaves(expected)))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(model.params)} == {"int8", "float32"}


@pytest.mark.slow
def test_the_loss_on_pretrained_weights_is_small(smollm2_directory):
    """SmolLM2-135M over two of this repository's programs; benchmarks/quantization.py says more."""
    benchmark = runpy.run_path(str(REPOSITORY / "benchmarks" / "quantization.py"))
    model = load_model(smollm2_directory)
    programs = ("model/rope.py", "training/loss.py")
    texts = [(REPOSITORY / "semcoder_jax" / name).read_text() for name in programs]
    loss = benchmark["measure"](model, texts, tokens_per_text=256, progress=False)
    assert loss["int8 weights"].top1 > 0.92 and loss["int8 weights"].kl_mean < 0.01
    assert loss["int8 cache"].top1 > 0.96 and loss["int8 cache"].kl_mean < 0.003
    both = loss["int8 weights and cache"]
    assert both.top1 > 0.91 and both.kl_mean < 0.012
    assert both.perplexity < 1.03 * both.perplexity_float32
    assert both.kl_mean > 1e-5  # something was rounded
