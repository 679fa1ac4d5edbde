"""Tests that transformers reads exported directories."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

from semcoder_jax import hf
from tests.support.random_llama import DEEPSEEK, FLOAT32_LOGITS, GROUPED, jax_logits, random_llama
from tests.support.stories260k import write_hf_directory


@pytest.mark.parametrize("fields", [DEEPSEEK, GROUPED], ids=["deepseek", "grouped-query"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_export_loads_in_transformers_with_equal_logits(tmp_path, small_tokenizer, fields, tied):
    fields = fields | {"tie_word_embeddings": tied, "vocab_size": 512}
    model = random_llama(tmp_path / "source", fields)
    config, params = hf.load(tmp_path / "source")
    out = hf.export(tmp_path / "export", config, params, small_tokenizer, dtype="float32")
    again = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert again.config.rope_parameters["rope_type"] == "linear"
    assert again.config.rope_parameters["factor"] == 4.0
    assert again.config.rope_parameters["rope_theta"] == 100_000.0
    tokens = np.random.default_rng(0).integers(0, 512, (2, 400))
    with torch.no_grad():
        expected = model(torch.tensor(tokens)).logits
        assert torch.equal(again(torch.tensor(tokens)).logits, expected)
    assert np.abs(jax_logits(out, tokens) - expected.numpy()).max() <= FLOAT32_LOGITS


def test_export_of_trained_weights_generates_in_transformers(shared_data, tmp_path):
    source = write_hf_directory(shared_data, tmp_path / "source")
    config, params = hf.load(source)
    out = hf.export(tmp_path / "export", config, params, hf.read_tokenizer(source), dtype="float32")
    texts = []
    for directory in (source, out):
        tokenizer = AutoTokenizer.from_pretrained(directory)
        model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
        ids = [tokenizer.bos_token_id, *tokenizer.encode("Tom", add_special_tokens=False)]
        output = model.generate(torch.tensor([ids]), max_length=60, do_sample=False)
        texts.append(tokenizer.decode(output[0]))
    assert texts[0] == texts[1]
    assert AutoConfig.from_pretrained(out).eos_token_id == 2
    assert (source / "tokenizer.json").read_bytes() == (out / "tokenizer.json").read_bytes()
    saved, exported = (
        json.loads((path / "tokenizer_config.json").read_text()) for path in (source, out)
    )
    assert exported == saved | {"tokenizer_class": "PreTrainedTokenizerFast"}  # read by 4 as well
    generation = json.loads((out / "generation_config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"]) == (1, 2)


@pytest.mark.parametrize("release", ["tokenizer", "semcoder_s_1030"])
def test_released_tokenizer_files_stay_as_they_are(shared_data, tmp_path, release):
    source = shared_data / release
    config, tokenizer = hf.read_config(source), hf.read_tokenizer(source)
    hf.write_model_directory(tmp_path, config, tokenizer, dtype="float16")
    for path in (*source.glob("tokenizer*.json"), *source.glob("special_tokens_map.json")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert hf.read_config(tmp_path) == config
    ids = json.loads((source / "config.json").read_text())
    written = json.loads((tmp_path / "config.json").read_text())
    for name in ("bos_token_id", "eos_token_id", "rope_scaling", "rope_theta", "_name_or_path"):
        assert written[name] == ids[name]
