"""Writes a random model over bytes, with DeepSeek-Coder's tokens for filling in the middle."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from transformers import LlamaForCausalLM

from tests.support.byte_tokenizer import byte_tokenizer
from tests.support.random_llama import GROUPED, random_llama

MIDDLE = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")


def write_byte_model(directory: Path, max_positions: int) -> LlamaForCausalLM:
    """Writes an HF directory; returns the model, in transformers."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(MIDDLE)})
    fields = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": max_positions,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = random_llama(directory, GROUPED | fields | {"initializer_range": 0.2})
    tokenizer.save_pretrained(directory)
    return model


def write_merged(base: Path, adapter: Path, scaling: float, directory: Path) -> Path:
    """Writes `base` with peft's adapter added to its weights, W + scaling · B A, by numpy."""
    directory.mkdir()
    for path in base.iterdir():
        if path.suffix != ".safetensors":
            (directory / path.name).write_bytes(path.read_bytes())
    weights = load_file(base / "model.safetensors")
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name in tensors:
        if name.endswith(".lora_A.weight"):
            module = name.removesuffix(".lora_A.weight")
            change = tensors[f"{module}.lora_B.weight"] @ tensors[name]
            target = module.removeprefix("base_model.model.") + ".weight"
            weights[target] = np.ascontiguousarray(weights[target] + scaling * change)
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    return directory
