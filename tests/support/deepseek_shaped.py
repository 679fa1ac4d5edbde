"""Makes a small random model of DeepSeekCoder's architecture, in transformers and in this project.

Each letter is one token.
"""

from pathlib import Path

import torch
from flax import nnx
from transformers import LlamaConfig, LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.loading import LoadedModel
from semcoder_jax.model.decoder import Decoder


class Letters:
    """A tokenizer with one letter a token and only the methods that sampling needs."""

    bos_token_id = 0

    def __init__(self, size: int, eos_token_id: int | None = None):
        self._size = size
        self.eos_token_id = eos_token_id

    def get_vocab(self):
        return {chr(0x100 + i): i for i in range(self._size)}

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return [ord(letter) - 0x100 for letter in text]

    def __call__(self, texts, **_):
        return {"input_ids": [self.encode(text, add_special_tokens=False) for text in texts]}

    def decode(self, tokens, skip_special_tokens, clean_up_tokenization_spaces):
        return "".join(chr(0x100 + token) for token in tokens)


def build(
    directory: Path, vocab_size: int = 96, eos_token_id: int | None = None, width: int = 64
) -> tuple[LoadedModel, LlamaForCausalLM]:
    """Makes a model with grouped queries, linear RoPE scaling and a context of 256.

    Its weights are large enough that greedy text does not repeat one token.
    """
    torch.manual_seed(0)
    oracle = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            intermediate_size=width * 3 // 2,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 100_000.0},
            tie_word_embeddings=False,
            initializer_range=0.2 * (64 / width) ** 0.5,
            bos_token_id=0,
            eos_token_id=None,
        )
    )
    oracle.save_pretrained(directory)
    config, params = hf.load(directory)
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))
    return LoadedModel(config, graphdef, params, Letters(vocab_size, eos_token_id)), oracle
