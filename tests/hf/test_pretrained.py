"""Imports, samples and exports pretrained SmolLM2-135M-Instruct (slow set)."""

import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from semcoder_jax import hf
from semcoder_jax.inference.generate import SamplingParams, generate
from semcoder_jax.loading import load_model
from tests.support.greedy_oracle import generate_greedily

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "Water boils at",
    "<|im_start|>user\nWhat does len('abc') return?<|im_end|>\n<|im_start|>assistant\n",
    "Once upon a time in a small village, there lived",
]


@pytest.fixture(scope="module")
def directory(smollm2_directory):
    return smollm2_directory


@pytest.mark.slow
def test_greedy_text_equals_transformers(directory):
    model = load_model(directory)
    oracle = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    prompts = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in PROMPTS]
    ours = generate(model, prompts, SamplingParams(max_new_tokens=64), progress=None)
    for prompt, generation in zip(prompts, ours, strict=True):
        expected = generate_greedily(oracle, prompt, 64)
        assert list(generation.tokens) == expected
        assert generation.text == tokenizer.decode(expected, skip_special_tokens=True)
    assert "Paris" in ours[0].text  # the weights, and the order of their rows, are right


@pytest.mark.slow
def test_export_is_byte_identical(directory, tmp_path):
    config, params = hf.load(directory)
    out = hf.export(
        tmp_path / "out",
        config,
        params,
        hf.read_tokenizer(directory),
        dtype="float32",
        shard_bytes=200_000_000,
    )
    expected = load_file(directory / "model.safetensors")
    for path in out.glob("*.safetensors"):
        for name, tensor in load_file(path).items():
            assert tensor.tobytes() == expected.pop(name).tobytes(), name
    assert not expected
