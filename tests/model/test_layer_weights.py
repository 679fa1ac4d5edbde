"""Tests layers as arrays of their own: no copy, the stack's results, and free again when idle."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.config import LoRAConfig
from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.params import SamplingParams
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.layer_weights import SeparateLayers, separate_layers
from semcoder_jax.model.lora import attach_adapters, initial_adapters
from semcoder_jax.model.quantization import quantize_params
from tests.support.adapters import randomize_adapters
from tests.support.deepseek_shaped import build
from tests.support.tiny_decoder import tiny_decoder

CONFIG = tiny_decoder(
    hidden_size=16, intermediate_size=48, num_layers=3, head_dim=4, initializer_range=0.3
)
MATRICES = 7  # of a layer: queries, keys, values, output, gate, up, down


@pytest.fixture(scope="module")
def split():
    return nnx.split(Decoder(CONFIG, rngs=nnx.Rngs(0)))


def adapted(params: nnx.State) -> dict:
    lora, base = LoRAConfig(rank=4, alpha=8.0), nnx.to_pure_dict(params)
    return attach_adapters(lora, randomize_adapters(initial_adapters(lora, base, 0)), base)


def separate_leaves(params) -> list[SeparateLayers]:
    leaves = jax.tree.leaves(params, is_leaf=lambda leaf: isinstance(leaf, SeparateLayers))
    return [leaf for leaf in leaves if isinstance(leaf, SeparateLayers)]


def test_layers_lie_in_the_memory_of_the_stack(split):
    _, params = split
    weights = params["layers"]["feed_forward"]["down_FxD"].get_value()
    separate = separate_layers(params)["layers"]["feed_forward"]["down_FxD"].get_value()
    first, size = weights.unsafe_buffer_pointer(), weights.nbytes // 3
    places = [layer.unsafe_buffer_pointer() - first for layer in separate.layers]
    assert places == [0, size, 2 * size]
    for layer, values in zip(separate.layers, np.asarray(weights), strict=True):
        np.testing.assert_array_equal(layer, values)


@pytest.mark.parametrize("make", [lambda params: params, adapted], ids=["plain", "adapted"])
def test_logits_are_those_of_the_stack(split, make):
    graphdef, params = split
    stacked = make(params)
    separate = separate_layers(stacked)
    assert len(separate_leaves(separate)) == MATRICES
    tokens = jnp.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    positions, segments = jnp.arange(5) + jnp.zeros((2, 1), int), jnp.ones((2, 5), int)

    @jax.jit
    def logits(params):
        return nnx.merge(graphdef, params)(tokens, positions, segments)

    np.testing.assert_allclose(logits(separate), logits(stacked), atol=1e-5)


def test_no_layer_is_copied_out_of_a_stack(split):
    """The slices of a stack of gates [3, 16, 48], by XLA's own text of the compiled program."""
    graphdef, params = split
    tokens = jnp.array([[3]])

    def copies(params) -> int:
        def logits(params):
            return nnx.merge(graphdef, params)(tokens, tokens * 0, tokens * 0 + 1)

        text = jax.jit(logits).lower(params).compile().as_text()
        return len(re.findall(r"f32\[1,16,48\]\S* dynamic-slice", text))

    assert copies(params) > 0
    assert copies(separate_layers(params)) == 0


def test_other_weights_stay_stacked(split):
    _, params = split
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    assert separate_layers(half) is half  # NumPy has no bfloat16
    assert not separate_leaves(separate_layers(quantize_params(params)))


def test_an_idle_engine_leaves_the_weights_to_be_updated_in_place(tmp_path):
    model, _ = build(tmp_path)
    engine = Engine(model, num_slots=2, page_size=16, cache_tokens=256)
    [[before]] = engine.generate([Request([3, 1, 4], SamplingParams(max_new_tokens=5))])
    update = jax.jit(lambda tree: jax.tree.map(lambda leaf: -leaf, tree), donate_argnums=0)
    changed = update(model.params)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(model.params))
    engine.replace_parameters(changed)
    [[after]] = engine.generate([Request([3, 1, 4], SamplingParams(max_new_tokens=5))])
    assert before.tokens != after.tokens
