"""Tests that the `peft` library loads exported adapters on transformers' model."""

import json

import jax
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.numpy import load_file
from transformers import LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.commands.hf import main
from semcoder_jax.config import Compute, LoRAConfig, parse_run
from semcoder_jax.hf.adapter import adapter_tensors, read_adapter
from semcoder_jax.hf.adapter_config import adapter_config, check_adapter_config, lora_of_adapter
from semcoder_jax.loading import load_adapters
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.lora import TARGETS, attach_adapters
from semcoder_jax.training import loop as training
from tests.support.adapters import (
    export_random_adapters,
    lora_config,
    read_losses,
)
from tests.support.random_llama import DEEPSEEK, GROUPED, random_llama
from tests.support.tiny_run import tiny_config, write_data

peft = pytest.importorskip("peft")


def torch_logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


@pytest.mark.parametrize(
    ("fields", "lora"),
    [
        (GROUPED, LoRAConfig(rank=9, alpha=6.0, rank_stabilized=True)),
        pytest.param(DEEPSEEK, LoRAConfig(rank=4, alpha=6.0), marks=pytest.mark.slow),
        pytest.param(
            GROUPED, LoRAConfig(rank=2, targets=("q_proj", "down_proj")), marks=pytest.mark.slow
        ),
    ],
    ids=["rank-stabilized, grouped-query", "all targets", "two targets"],
)
def test_peft_computes_the_same_logits(tmp_path, fields, lora):
    model = random_llama(tmp_path / "base", fields)
    config, state = hf.load(tmp_path / "base")
    params = nnx.to_pure_dict(state)
    adapters, out = export_random_adapters(tmp_path / "base", config, lora, params)
    back = read_adapter(out, config, lora)
    jax.tree.map(np.testing.assert_array_equal, back, adapters)
    tokens = np.random.default_rng(0).integers(0, 320, (2, 60))
    plain = torch_logits(model, tokens)
    with_adapters = torch_logits(peft.PeftModel.from_pretrained(model, out), tokens)
    graphdef, _ = nnx.split(abstract_model(config, Compute()))
    positions = np.broadcast_to(np.arange(60), (2, 60))
    forward = jax.jit(lambda params, *batch: nnx.merge(graphdef, params)(*batch))
    ours = forward(attach_adapters(lora, adapters, params), tokens, positions, np.ones_like(tokens))
    np.testing.assert_allclose(ours, with_adapters, atol=1e-4)
    assert np.abs(with_adapters - plain).max() > 0.1


def test_the_config_of_an_adapter_says_what_it_is(tmp_path):
    lora = LoRAConfig(rank=9, alpha=6.0, targets=("q_proj", "up_proj"), rank_stabilized=True)
    fields = adapter_config(lora, "somewhere")
    found = lora_of_adapter(fields, "x")
    assert (found.rank, found.scaling) == (9, 6.0 / 3) and set(found.targets) == set(lora.targets)
    assert lora_of_adapter(fields | {"use_rslora": False}, "x").scaling == 6 / 9
    for changes, words in [
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules is .*lm_head"),
        ({"target_modules": []}, "targets is empty"),
        ({"r": "9"}, "r is '9' and lora_alpha 6.0, expected numbers"),
        ({"r": 0}, "rank is 0"),
        ({"lora_alpha": True}, "lora_alpha True, expected numbers"),
        ({"use_dora": True}, "use_dora is True, which is not supported"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern is .* not supported"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
    ]:
        with pytest.raises(hf.HFError, match=words):
            lora_of_adapter(fields | changes, "x")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(workdir of a run, the HF directory it started from)."""
    folder = tmp_path_factory.mktemp("run")
    data = write_data(folder / "data")
    tokenizer = hf.read_tokenizer(data / "tokenizer")
    config = parse_run(tiny_config(data)).decoder_config(hf.tokenizer_size(tokenizer))
    params = nnx.state(Decoder(config, rngs=nnx.Rngs(3)))
    base = hf.export(folder / "base", config, params, tokenizer, dtype="float32")
    (base / "LICENSE").write_text("of the base")
    lora = lora_config(data, base, lora__base="float32", train__num_steps=4)
    training.train(lora, folder / "workdir")
    assert len(read_losses(folder / "workdir")) == 4
    return folder / "workdir", base


@pytest.mark.slow
def test_a_run_is_exported_as_adapter_and_merged(trained, tmp_path, capsys):
    """By the commands: the adapter on its base in peft, and the merged model in transformers."""
    workdir, base = trained
    merged, adapter = tmp_path / "merged", tmp_path / "adapter"
    assert main(["export", f"--checkpoint={workdir}", f"--output={merged}"]) == 0
    assert main(["export", f"--checkpoint={workdir}", f"--output={adapter}", "--adapter"]) == 0
    assert f"{adapter}: adapters of 4,096 parameters for {base}" in capsys.readouterr().out
    model = peft.AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
    tokens = np.random.default_rng(0).integers(0, 90, (2, 40))
    expected = torch_logits(LlamaForCausalLM.from_pretrained(merged), tokens)
    np.testing.assert_allclose(torch_logits(model, tokens), expected, atol=1e-4)
    plain = torch_logits(LlamaForCausalLM.from_pretrained(base), tokens)
    assert np.abs(expected - plain).max() > 1e-3
    fields = json.loads((adapter / "adapter_config.json").read_text())
    assert fields["base_model_name_or_path"] == str(base)
    assert set(fields["target_modules"]) == set(TARGETS)
    assert (adapter / "LICENSE").read_text() == "of the base"
    assert "library_name: peft" in (adapter / "README.md").read_text()


def test_only_adapters_are_exported_as_such(tmp_path, capsys):
    base = tmp_path / "base"
    random_llama(base, GROUPED)
    arguments = [f"--checkpoint={base}", f"--output={tmp_path / 'out'}", "--adapter"]
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: {base}: --adapter expects the workdir of a run with lora"
    assert not (tmp_path / "out").exists()


def peft_directory(folder, **changes):
    """(architecture, adapters as peft itself initializes and saves them)."""
    model = random_llama(folder / "base", GROUPED)
    fields = {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]} | changes
    config = peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **fields)
    peft.get_peft_model(model, config).save_pretrained(folder / "adapter")
    return hf.read_config(folder / "base"), folder / "adapter"


def test_adapters_of_peft_are_read(tmp_path):
    """Bit for bit: written again, each tensor is the one that peft wrote."""
    lora = LoRAConfig(rank=2, alpha=6.0, targets=("q_proj", "down_proj"))
    config, directory = peft_directory(tmp_path)
    params = read_adapter(directory, config, lora)
    theirs = load_file(directory / "adapter_model.safetensors")
    ours = adapter_tensors(config, params)
    assert ours.keys() == theirs.keys() and len(ours) == 2 * 2 * config.num_layers
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)
    assert all(np.abs(tensor).max() > 0 for tensor in ours.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 4}, "adapter_config.json: r is 4, expected 2 as in the config's lora section"),
        ({"use_rslora": True}, "adapter_config.json: use_rslora is True, expected False"),
        ({"target_modules": ["q_proj"]}, r"target_modules is ['q_proj'], expected ['down_proj'"),
        ({"use_dora": True}, "adapter_config.json: use_dora is True, which is not supported"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern is {'q_proj': 4}, which is not"),
        ({"layers_to_transform": [0]}, "layers_to_transform is [0], which is not"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head'], which is not"),
        ({"target_modules": ".*q_proj"}, "target_modules is '.*q_proj', which is not supported"),
    ],
)
def test_other_adapters_are_refused(tmp_path, changes, message):
    lora = LoRAConfig(rank=2, alpha=6.0, targets=("q_proj", "down_proj"))
    config, directory = peft_directory(tmp_path, **changes)
    with pytest.raises(hf.HFError) as error:
        read_adapter(directory, config, lora)
    assert message in str(error.value) and "\n" not in str(error.value)


def check(**changes):
    lora = LoRAConfig(rank=8, alpha=8.0, targets=("q_proj", "down_proj"))
    config = peft.LoraConfig(target_modules=["q_proj", "down_proj"], **changes)
    fields = {name: sorted(v) if type(v) is set else v for name, v in config.to_dict().items()}
    check_adapter_config(json.loads(json.dumps(fields)), lora, "file")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lora_dropout": 0.1},
        {"init_lora_weights": "gaussian"},
        {"task_type": "CAUSAL_LM", "base_model_name_or_path": "x", "inference_mode": True},
    ],
)
def test_fields_without_effect_on_the_model_are_taken(changes):
    check(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha_pattern": {"q_proj": 32}},
        {"rank_pattern": {"q_proj": 32}},
        {"layers_to_transform": [0, 1]},
        {"layers_to_transform": 3},
        {"layer_replication": [[0, 2], [1, 2]]},
        {"fan_in_fan_out": True},
        {"modules_to_save": ["embed_tokens"]},
        {"use_dora": True},
        {"use_rslora": True},
        {"bias": "all"},
        {"lora_bias": True},
        {"exclude_modules": ["q_proj"]},
        {"target_parameters": ["q_proj.weight"]},
        {"trainable_token_indices": [1]},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
    ],
    ids=str,
)
def test_fields_that_change_the_model_are_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(hf.HFError, match=f"^file: {name} is ") as error:
        check(**changes)
    assert "\n" not in str(error.value)


def test_an_unknown_field_with_a_value_is_refused():
    """A later version of peft may bring one."""
    lora = LoRAConfig()
    check_adapter_config(adapter_config(lora, "") | {"use_xlora": False}, lora, "file")
    with pytest.raises(hf.HFError, match="file: use_xlora is True, which is not supported"):
        check_adapter_config(adapter_config(lora, "") | {"use_xlora": True}, lora, "file")
    every = adapter_config(lora, "") | {"target_modules": "all-linear"}
    check_adapter_config(every, lora, "file")


@pytest.mark.slow
def test_a_run_starts_from_adapters(trained, tmp_path):
    """One step at learning rate 0 from another run's adapters: these, unchanged."""
    workdir, base = trained
    adapter = tmp_path / "adapter"
    assert main(["export", f"--checkpoint={workdir}", f"--output={adapter}", "--adapter"]) == 0
    config = lora_config(workdir.parent / "data", base, lora__base="float32", train__num_steps=4)
    config["lora"]["init_from"] = str(adapter)
    with pytest.raises(hf.HFError, match="r is 4, expected 3"):
        training.train(config | {"lora": config["lora"] | {"rank": 3}}, tmp_path / "other")
    assert not (tmp_path / "other" / "config.json").exists()
    config["optimizer"]["peak_learning_rate"] = 1e-30
    config["train"]["stop_after_step"] = 1
    training.train(config, tmp_path / "next")
    found, expected = load_adapters(tmp_path / "next").params, load_adapters(workdir).params
    jax.tree.map(np.testing.assert_array_equal, found, expected)
