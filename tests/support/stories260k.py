"""Converts karpathy/tinyllamas stories260K (llama2.c files) to a Hugging Face directory.

Formats: https://github.com/karpathy/llama2.c, `export.py` (version 0) and `tokenizer.py`.
"""

import struct
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from benchmarks.smollm2 import reorder_rotary

BOS, EOS = 1, 2


def write_hf_directory(shared_data: Path, out_dir: Path) -> Path:
    """Writes config.json, model.safetensors and the tokenizer to `out_dir`; returns it."""
    source, out_dir = Path(shared_data) / "stories260K", Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    config, weights = read_llama2c(source / "stories260K.bin")
    config.save_pretrained(out_dir)
    save_file(_hf_tensors(config, weights), out_dir / "model.safetensors", {"format": "pt"})
    _tokenizer(source / "tok512.bin").save_pretrained(out_dir)
    return out_dir


def read_llama2c(path: Path) -> tuple[LlamaConfig, dict[str, np.ndarray]]:
    """Reads the checkpoint: float32 arrays by llama2.c's names, with stacked layers."""
    data = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack("<7i", data[:28])
    values, offset = np.frombuffer(data, "<f4", offset=28), 0
    weights = {}
    kv_dim = dim // heads * kv_heads
    for name, shape in {
        "tok_embeddings": (vocab, dim),
        "attention_norm": (layers, dim),
        "wq": (layers, dim, dim),
        "wk": (layers, kv_dim, dim),
        "wv": (layers, kv_dim, dim),
        "wo": (layers, dim, dim),
        "ffn_norm": (layers, dim),
        "w1": (layers, hidden, dim),
        "w2": (layers, dim, hidden),
        "w3": (layers, hidden, dim),
        "norm": (dim,),
        "freqs_cos": (length, dim // heads // 2),
        "freqs_sin": (length, dim // heads // 2),
    }.items():
        size = int(np.prod(shape))
        weights[name] = values[offset : offset + size].reshape(shape)
        offset += size
    assert offset == values.size and vocab > 0  # a positive vocabulary size means tied embeddings
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=vocab,
        hidden_size=dim,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=length,
        rms_norm_eps=1e-5,
        rope_theta=10_000.0,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    return config, weights


def _hf_tensors(config: LlamaConfig, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tensors = {
        "model.embed_tokens.weight": weights["tok_embeddings"],
        "model.norm.weight": weights["norm"],
    }
    for layer in range(config.num_hidden_layers):
        for name, array in {
            "input_layernorm": weights["attention_norm"][layer],
            "self_attn.q_proj": reorder_rotary(weights["wq"][layer], config.num_attention_heads),
            "self_attn.k_proj": reorder_rotary(weights["wk"][layer], config.num_key_value_heads),
            "self_attn.v_proj": weights["wv"][layer],
            "self_attn.o_proj": weights["wo"][layer],
            "post_attention_layernorm": weights["ffn_norm"][layer],
            "mlp.gate_proj": weights["w1"][layer],
            "mlp.down_proj": weights["w2"][layer],
            "mlp.up_proj": weights["w3"][layer],
        }.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = array
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def read_pieces(path: Path) -> list[tuple[str, float]]:
    """Reads (piece, score) of every id from tok512.bin, which writes blanks as blanks."""
    data, offset, pieces = path.read_bytes(), 4, []
    while offset < len(data):
        score, length = struct.unpack_from("<fi", data, offset)
        pieces.append((data[offset + 8 : offset + 8 + length].decode(), score))
        offset += 8 + length
    return pieces


def _tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """Builds a tokenizer equal to SentencePiece BPE.

    SentencePiece joins the pair with the greatest score, so the merges are the pairs of every piece
    in the order of scores; unknown characters fall back to bytes.
    """
    names = {"\n<s>\n": "<s>", "\n</s>\n": "</s>"}
    scores = {
        names.get(piece, piece.replace(" ", "▁")): score for piece, score in read_pieces(path)
    }
    vocabulary = {piece: index for index, piece in enumerate(scores)}
    merges = [
        (-scores[piece], cut, (piece[:cut], piece[cut:]))
        for piece, index in vocabulary.items()
        if index > 258  # after <unk>, <s>, </s> and the 256 bytes
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[pair for *_, pair in sorted(merges)],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
