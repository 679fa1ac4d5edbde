"""Compares model FLOPs with hand-computed numbers and with XLA's count of a real step."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from semcoder_jax.config import MODELS, DecoderConfig
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.flops import (
    causal_pairs,
    forward_flops,
    matmul_parameters,
    model_flops,
    peak_flops,
    training_flops,
)

SMALL = DecoderConfig(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_layers=3, num_heads=2, num_kv_heads=1,
    head_dim=2, max_positions=8,
)  # fmt: skip


def test_by_hand():
    # A layer: q 4x2x2, k and v 4x1x2 each, o 2x2x4, three of 4x6; then 4x10 of output.
    assert matmul_parameters(SMALL) == 3 * (16 + 8 + 8 + 16 + 72) + 40 == 400
    assert matmul_parameters(dataclasses.replace(SMALL, tie_embeddings=True)) == 400
    assert causal_pairs([1, 2, 5]) == 1 + 3 + 15
    # 8 tokens in records of 1, 2 and 5; of a pair: 4 x 3 layers x 2 heads x 2.
    assert forward_flops(SMALL, 8, 19) == 2 * 400 * 8 + 48 * 19
    assert training_flops(SMALL, 8, 19) == 3 * (6400 + 912)
    assert model_flops(SMALL, 2, 8) == training_flops(SMALL, 16, 2 * 36)
    # LoRA: no gradient for frozen matrices.
    lora = training_flops(SMALL, 8, 19, adapter_parameters=50)
    assert lora == 2 * 6400 + 3 * 912 + 3 * (2 * 50 * 8)


def test_deepseek_coder_6_7b():
    """6 N a token and little more: at 2,048 tokens attention adds 4.1 %."""
    config = MODELS["6.7b"]
    assert matmul_parameters(config) == 6_608_125_952
    share = model_flops(config, 1, 2048) / (6 * 6_608_125_952 * 2048)
    assert share == pytest.approx(1 + 12 * 32 * 4096 * 1024.5 / (6 * 6_608_125_952))


def test_xla_counts_as_much():
    """One layer (XLA counts the body of a scan once) whose attention is dense, so that every pair
    of T x T is computed; what is not a product stays below a few per cent of this shape."""
    T = 64
    config = DecoderConfig(
        vocab_size=512, hidden_size=256, intermediate_size=512, num_layers=1, num_heads=4,
        num_kv_heads=2, head_dim=64, max_positions=T,
    )  # fmt: skip
    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0)))
    graphdef, params = nnx.split(model)
    ids = jax.ShapeDtypeStruct((1, T), jnp.int32)

    def loss(params, tokens):
        positions = jnp.arange(T)[None]
        logits = nnx.merge(graphdef, params)(tokens, positions, jnp.ones_like(tokens))
        return jnp.sum(jnp.square(logits))

    forward = jax.jit(loss).lower(params, ids).cost_analysis()["flops"]
    assert forward_flops(config, T, T * T) == pytest.approx(forward, rel=0.05)
    training = jax.jit(jax.grad(loss)).lower(params, ids).cost_analysis()["flops"]
    assert training_flops(config, T, T * T) == pytest.approx(training, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5e", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("TPU v99", None),
        ("NVIDIA GeForce RTX 4090", None),
        ("cpu", None),
    ],
)
def test_peak_of_a_device(kind, peak):
    assert peak_flops(kind) == peak
