"""Compares every supported model family with transformers and peft on random weights."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import AutoConfig, AutoModelForCausalLM

from semcoder_jax import hf
from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.config import MODELS, Compute, LoRAConfig
from semcoder_jax.hf.adapter import read_adapter
from semcoder_jax.hf.config import config_fields
from semcoder_jax.hf.layout import tensor_shapes
from semcoder_jax.hf.shards import ShardReader
from semcoder_jax.hf.verification import verify
from semcoder_jax.hf.weights import tensors
from semcoder_jax.model.lora import attach_adapters
from tests.support.adapters import export_random_adapters
from tests.support.byte_tokenizer import byte_tokenizer
from tests.support.model_families import FAMILIES, PAGE, random_model, random_tokens, with_table
from tests.support.random_llama import FLOAT32_LOGITS

each = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


one_fast = pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, id=name, marks=() if name == "llama-3" else pytest.mark.slow)
        for name, family in FAMILIES.items()
    ],
)


def forward_of(config):
    graphdef, _ = nnx.split(abstract_model(config, Compute()))
    return lambda params, *batch: nnx.merge(graphdef, params)(*batch)


@one_fast
def test_logits_and_gradients_equal_transformers(tmp_path, family):
    """Two rows, the second far out; the loss is the mean over all next tokens."""
    model = random_model(tmp_path, family)
    tokens = random_tokens(family, 2, 48)
    positions = np.array([[0], [900]]) + np.arange(48)
    expected = model(torch.tensor(tokens), position_ids=torch.tensor(positions)).logits
    loss = torch.nn.functional.cross_entropy(
        expected[:, :-1].flatten(0, 1), torch.tensor(tokens[:, 1:]).flatten()
    )
    loss.backward()
    config, params = hf.load(tmp_path)
    forward = forward_of(config)

    @jax.jit
    def loss_and_logits(params):
        def mean_loss(params):
            logits = forward(params, tokens, positions, jnp.ones_like(tokens))
            log_probabilities = jax.nn.log_softmax(logits[:, :-1])
            chosen = jnp.take_along_axis(log_probabilities, tokens[:, 1:, None], axis=-1)
            return -chosen.mean(), logits

        return jax.value_and_grad(mean_loss, has_aux=True)(params)

    (our_loss, logits), gradients = loss_and_logits(params)
    assert np.abs(logits - expected.detach().numpy()).max() <= FLOAT32_LOGITS
    assert abs(float(our_loss) - loss.item()) <= 1e-5 * loss.item()
    wanted = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    found = dict(tensors(config, gradients, "float32"))
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert np.abs(found[name] - gradient).max() / np.abs(gradient).max() <= 1e-4, name


@pytest.mark.slow
@each
def test_export_is_the_same_model_byte_for_byte(tmp_path, family):
    model = random_model(tmp_path / "source", family)
    config, params = hf.load(tmp_path / "source")
    out = hf.export(tmp_path / "export", config, params, byte_tokenizer(), dtype="float32")
    assert hf.read_config(out) == config
    ours, theirs = ShardReader(out), ShardReader(tmp_path / "source")
    assert ours.shapes == theirs.shapes == tensor_shapes(config)
    for name in ours.shapes:
        assert ours.read(name).tobytes() == theirs.read(name).tobytes(), name
    again = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert type(again) is type(model)
    assert again.config.rope_parameters == model.config.rope_parameters
    tokens = torch.tensor(random_tokens(family, 1, 300))
    with torch.no_grad():
        assert torch.equal(again(tokens).logits, model(tokens).logits)
    report = verify(tmp_path / "source", config, ours.read, tokens.numpy()[:, :40], progress=False)
    assert report.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama-3", "qwen2-tied"])
def test_adapters_of_all_targets_in_peft(tmp_path, name):
    peft, family = pytest.importorskip("peft"), FAMILIES[name]
    model = random_model(tmp_path / "base", family)
    config, state = hf.load(tmp_path / "base")
    lora, params = LoRAConfig(rank=4, alpha=6.0), nnx.to_pure_dict(state)
    adapters, out = export_random_adapters(tmp_path / "base", config, lora, params)
    jax.tree.map(np.testing.assert_array_equal, read_adapter(out, config, lora), adapters)
    tokens = random_tokens(family, 2, 48)
    plain = model(torch.tensor(tokens)).logits.detach().numpy()
    with torch.no_grad():
        expected = peft.PeftModel.from_pretrained(model, out)(torch.tensor(tokens)).logits.numpy()
    positions = np.broadcast_to(np.arange(48), tokens.shape)
    adapted = attach_adapters(lora, adapters, params)
    ours = jax.jit(forward_of(config))(adapted, tokens, positions, np.ones_like(tokens))
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert np.abs(expected - plain).max() > 0.1


@each
def test_named_sizes_are_the_published_ones(family):
    for name, count in family.sizes.items():
        config = MODELS[name]
        assert hf.parameter_count(config) == count
        fields = config_fields(config, dtype="bfloat16", token_ids={})
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields))
        assert model.num_parameters() == count
        shapes = {n: tuple(tensor.shape) for n, tensor in model.named_parameters()}
        assert shapes == tensor_shapes(config)


ROPES = (
    None,
    {"rope_type": "default"},
    {"rope_type": "default", "rope_theta": 5e5},
    {"type": "linear", "factor": 4.0},
    {"rope_type": "linear", "factor": 2.0, "rope_theta": 2e4},
    FAMILIES["llama-3"].fields["rope_scaling"],
)


@pytest.mark.parametrize("theta", [None, 3e5])
def test_transformers_decides_between_two_spellings_of_rope(tmp_path, theta):
    for old in ROPES:
        for new in ROPES:
            fields = dict(FAMILIES["codellama"].fields) | {"model_type": "llama"}
            del fields["rope_theta"], fields["rope_scaling"]
            rope = {"rope_scaling": old, "rope_parameters": new, "rope_theta": theta}
            fields |= {name: value for name, value in rope.items() if value is not None}
            (tmp_path / "config.json").write_text(json.dumps(fields))
            theirs = AutoConfig.from_pretrained(tmp_path).rope_parameters
            ours = hf.read_config(tmp_path)
            assert ours.rope_theta == theirs["rope_theta"], rope
            assert ours.rope_scaling_factor == theirs.get("factor", 1.0), rope
            original = theirs.get("original_max_position_embeddings", 0)
            assert ours.rope_original_positions == original, rope


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window=True is not supported"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types="),
        ("qwen2", {"layer_types": 3}, "layer_types=3, expected"),
        ("llama-3", {"attention_bias": True}, "attention_bias=True is not supported"),
        ("llama-3", {"model_type": "qwen3"}, "expected LlamaForCausalLM / 'llama' or Qwen2For"),
        ("qwen2", {"model_type": "llama"}, "'Qwen2ForCausalLM' (model_type 'llama') is not"),
        (
            "codellama",
            {"rope_scaling": {"rope_type": "yarn"}},
            "expected default, linear or llama3",
        ),
        (
            "llama-3",
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "low_freq_factor=None",
        ),
        (
            "llama-3",
            {"rope_scaling": FAMILIES["llama-3"].fields["rope_scaling"] | {"low_freq_factor": 4.0}},
            "rope_low_turns=4.0 must be below",
        ),
    ],
)
def test_what_is_not_supported_is_named_with_what_is(tmp_path, family, change, message):
    model_type = FAMILIES[family].model_type
    names = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
    fields = dict(FAMILIES[family].fields)
    fields |= {"model_type": model_type, "architectures": [names[model_type]]} | change
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(hf.HFError, match=r"config\.json: ") as error:
        hf.read_config(tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_page_shows_the_families():
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run python -m tests.support.model_families"
