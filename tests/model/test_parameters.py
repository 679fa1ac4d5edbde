"""Compares the table of parameters with a real decoder and with transformers' Llama."""

import dataclasses

import pytest
import torch
from flax import nnx
from jax.sharding import PartitionSpec as P
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.hf.layout import tensor_list, tensor_shapes
from semcoder_jax.model import sharding
from semcoder_jax.model.decoder import Compute, DecoderConfig
from semcoder_jax.model.lora import TARGETS, LoRAConfig
from semcoder_jax.model.parameters import (
    PARAMETERS,
    axis_sizes,
    parameter_at,
    parameters_of,
    product_shapes,
)

# No two axes, nor products of them, are of one length: an axis in the wrong place shows.
CONFIG = DecoderConfig(
    vocab_size=47,
    hidden_size=24,
    intermediate_size=26,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    head_dim=10,
    max_positions=64,
)
CONFIGS = [
    CONFIG,
    dataclasses.replace(CONFIG, tie_embeddings=True),
    dataclasses.replace(CONFIG, qkv_bias=True),
]
either = pytest.mark.parametrize("config", CONFIGS, ids=["untied", "tied", "bias"])


def llama(config: DecoderConfig) -> LlamaForCausalLM | Qwen2ForCausalLM:
    model, fields = LlamaForCausalLM, LlamaConfig
    if config.qkv_bias:
        model, fields = Qwen2ForCausalLM, Qwen2Config
    return model(
        fields(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            tie_word_embeddings=config.tie_embeddings,
        )
    )


@either
def test_the_table_is_the_tree_of_a_decoder(config):
    state = nnx.state(abstract_model(config, Compute()), nnx.Param)
    found = {path: leaf.get_value().shape for path, leaf in state.flat_state()}
    sizes = axis_sizes(config)
    assert {p.path: p.shape(sizes) for p in parameters_of(config)} == found
    assert len(parameters_of(config)) == len(found)


def test_a_name_shows_the_axes_of_its_array():
    for parameter in PARAMETERS:
        _, _, axes = parameter.path[-1].rpartition("_")
        expected = "D" if axes == "scale" else axes.replace("x", "")
        assert parameter.axes == ("L" if parameter.path[0] == "layers" else "") + expected


@either
def test_tensors_are_those_of_transformers(config):
    """By the state_dict: a tied output matrix stands there a second time, which no file holds."""
    model = llama(config)
    state = model.state_dict()
    if config.tie_embeddings:
        tied = state.pop("lm_head.weight")
        assert tied.data_ptr() == state["model.embed_tokens.weight"].data_ptr()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert tensor_shapes(config) == expected


def test_products_and_norms_are_those_of_transformers():
    model = llama(CONFIG)
    modules = dict(model.named_modules())
    products = {}
    for name, parameter, _ in tensor_list(CONFIG):
        module = modules[name.removesuffix(".weight")]
        assert parameter.is_matrix != isinstance(module, LlamaRMSNorm), name
        assert parameter.is_layer_matrix == (
            isinstance(module, torch.nn.Linear) and module is not model.lm_head
        )
        if isinstance(module, torch.nn.Linear):
            products[name] = (module.in_features, module.out_features)
    assert product_shapes(CONFIG) == list(products.values())


def test_targets_are_the_linear_modules_of_a_layer():
    linear = [
        name.rpartition(".")[2]
        for name, module in llama(CONFIG).model.layers[0].named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    assert list(TARGETS) == linear == list(LoRAConfig().targets)


def test_every_matrix_is_split_by_both_mesh_axes():
    for parameter in PARAMETERS:
        spec = sharding.parameter_spec(parameter.path)
        if parameter.is_matrix:
            assert len(spec) == len(parameter.axes)
            assert sorted(axis for axis in spec if axis) == ["fsdp", "tensor"], parameter.path
        else:
            assert spec == P()


@pytest.mark.parametrize("part", [(), ("int8",), ("scale",), ("a_DxR",), ("base", "codes")])
def test_parts_belong_to_their_parameter(part):
    for parameter in PARAMETERS:
        assert parameter_at((*parameter.path, *part)) is parameter


@pytest.mark.parametrize("path", [(), ("layers",), ("layers", "norm", "scale"), ("q_DxHxK",)])
def test_other_paths_are_refused(path):
    with pytest.raises(KeyError, match="not a parameter of the decoder"):
        parameter_at(path)
