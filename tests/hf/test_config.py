"""Tests config.json: both spellings of RoPE scaling, refused fields, and the written file."""

import json

import pytest
from transformers import AutoConfig, LlamaConfig

from semcoder_jax import hf
from semcoder_jax.config import MODELS
from semcoder_jax.hf.config import config_fields
from semcoder_jax.hf.layout import tensor_shapes

OLD = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 172,
    "max_position_embeddings": 1024,
    "num_attention_heads": 8,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"factor": 4.0, "type": "linear"},
    "rope_theta": 100000,
    "tie_word_embeddings": False,
    "vocab_size": 320,
}


def write(directory, fields) -> None:
    (directory / "config.json").write_text(json.dumps(fields))


def read(directory, fields):
    write(directory, fields)
    return hf.read_config(directory)


def test_old_and_new_spelling_are_the_same_architecture(tmp_path):
    old = read(tmp_path, OLD)
    assert (old.rope_theta, old.rope_scaling_factor) == (100_000.0, 4.0)
    LlamaConfig(**OLD).save_pretrained(tmp_path)  # transformers 5 writes the new spelling
    assert "rope_parameters" in json.loads((tmp_path / "config.json").read_text())
    assert hf.read_config(tmp_path) == old


def test_unscaled(tmp_path):
    for rope in (
        {"rope_scaling": None},
        {"rope_scaling": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
    ):
        config = read(tmp_path, OLD | rope)
        assert (config.rope_theta, config.rope_scaling_factor) == (100_000.0, 1.0)


def test_defaults_of_old_configs(tmp_path):
    fields = {
        name: value
        for name, value in OLD.items()
        if name not in ("num_key_value_heads", "rope_theta", "rope_scaling", "rms_norm_eps")
    }
    theirs = LlamaConfig(**fields)
    ours = read(tmp_path, fields)
    assert ours.num_kv_heads == theirs.num_key_value_heads == 8
    assert ours.rope_theta == theirs.rope_parameters["rope_theta"] == 10_000.0
    assert ours.rms_norm_eps == theirs.rms_norm_eps
    assert ours.head_dim == theirs.head_dim


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["MistralForCausalLM"], "model_type": "mistral"}, "MistralForCausalLM"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "RoPE type 'dynamic'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "RoPE type 'yarn'"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "expected default, linear or llama3"),
        ({"rope_scaling": {"factor": 4.0}}, "a factor but no rope_type"),
        ({"rope_scaling": {"type": "linear"}}, "factor=None"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"hidden_size": "64"}, "hidden_size='64'"),
        ({"num_key_value_heads": 3}, "num_kv_heads=3"),
        ({"vocab_size": 0}, "vocab_size=0"),
    ],
)
def test_refused_with_file_and_field(tmp_path, change, message):
    with pytest.raises(hf.HFError, match=r"config\.json") as error:
        read(tmp_path, OLD | change)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_missing_and_malformed_files(tmp_path):
    with pytest.raises(hf.HFError, match=r"config\.json: no such file"):
        hf.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(hf.HFError, match="not JSON"):
        hf.read_config(tmp_path)


def test_written_config_is_linear_in_transformers_5_and_exact_for_4(tmp_path):
    config = read(tmp_path, OLD)
    fields = config_fields(config, dtype="bfloat16", token_ids={"bos_token_id": 1})
    assert read(tmp_path, fields) == config
    rope = AutoConfig.from_pretrained(tmp_path).rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["rope_theta"]) == ("linear", 4.0, 100_000.0)
    # transformers 4.31 to 4.42 refuse any other keys.
    assert fields["rope_scaling"] == {"type": "linear", "factor": 4.0}
    assert str(AutoConfig.from_pretrained(tmp_path).dtype).endswith("bfloat16")


def test_deepseek_coder_6_7b_equals_the_released_files(shared_data):
    for release in ("tokenizer", "semcoder_s_1030"):
        directory = shared_data / release
        config = hf.read_config(directory)
        assert config == MODELS["6.7b"]
        index = json.loads((directory / "model.safetensors.index.json").read_text())
        assert set(tensor_shapes(config)) == set(index["weight_map"])
        assert 2 * hf.parameter_count(config) == index["metadata"]["total_size"]
    assert hf.parameter_count(MODELS["6.7b"]) == 6_740_512_768


@pytest.mark.parametrize("size", ["1.3b", "6.7b", "33b"])
def test_deepseek_coder_shapes_equal_transformers(size):
    """Names and shapes of LlamaForCausalLM, built without memory."""
    import torch
    from transformers import LlamaForCausalLM

    config = MODELS[size]
    fields = config_fields(config, dtype="bfloat16", token_ids={})
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**fields))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == tensor_shapes(config)
    assert model.num_parameters() == hf.parameter_count(config)
    low, high = {"1.3b": (1.3, 1.4), "6.7b": (6.7, 6.8), "33b": (33.0, 33.5)}[size]
    assert low <= hf.parameter_count(config) / 1e9 <= high
