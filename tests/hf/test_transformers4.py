"""Tests that transformers 4 reads an export (slow set).

A separate directory, which precedes this environment's packages on the path, holds that version; it
is installed once into pytest's cache.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from semcoder_jax import hf
from tests.support.random_llama import GROUPED, random_llama

PACKAGES = ["transformers>=4.46,<5", "huggingface_hub>=0.34,<1", "tokenizers>=0.22,<0.23"]
PROGRAM = """
import json, sys
import numpy as np, torch, transformers
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM
directory, output = sys.argv[1:]
model = LlamaForCausalLM.from_pretrained(directory, torch_dtype=torch.float32)
with torch.no_grad():
    logits = model(torch.tensor(np.load(output + "/tokens.npy"))).logits.numpy()
np.save(output + "/logits.npy", logits)
config = AutoConfig.from_pretrained(directory)
print(json.dumps({
    "version": transformers.__version__,
    "rope_scaling": config.rope_scaling,
    "rope_theta": config.rope_theta,
    "ids": AutoTokenizer.from_pretrained(directory).encode("Once", add_special_tokens=False),
}))
"""


@pytest.fixture(scope="module")
def transformers4(request) -> str:
    """The directory to put first on the path."""
    directory = request.config.cache.mkdir("transformers4")
    if not (directory / "complete").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--no-deps"]
        done = subprocess.run(
            [*command, "--target", directory, *PACKAGES], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"transformers 4 cannot be installed: {done.stderr.strip()[-300:]}")
        (directory / "complete").touch()
    return str(directory)


@pytest.mark.slow
def test_export_is_linear_with_equal_logits_in_transformers_4(
    small_tokenizer, tmp_path, transformers4
):
    model = random_llama(tmp_path / "source", GROUPED | {"vocab_size": 512})
    config, params = hf.load(tmp_path / "source")
    out = hf.export(tmp_path / "out", config, params, small_tokenizer, dtype="float32")
    tokens = np.random.default_rng(0).integers(0, 512, (2, 600))
    np.save(tmp_path / "tokens.npy", tokens)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, out, tmp_path],
        env=os.environ | {"PYTHONPATH": transformers4},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["version"].startswith("4.")
    scaling = report["rope_scaling"]
    assert scaling["factor"] == 4.0 and scaling.get("rope_type", scaling["type"]) == "linear"
    assert report["rope_theta"] == 100_000.0
    assert report["ids"] == small_tokenizer.encode("Once", add_special_tokens=False)
    with torch.no_grad():
        expected = model(torch.tensor(tokens)).logits.numpy()  # transformers 5
    assert np.abs(np.load(tmp_path / "logits.npy") - expected).max() <= 1e-5
