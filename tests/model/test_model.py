"""Compares the decoder with transformers' LlamaForCausalLM and with NumPy, on equal weights."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import LlamaForCausalLM

from semcoder_jax import hf
from tests.support.random_llama import (
    DEEPSEEK,
    FLOAT32_LOGITS,
    GROUPED,
    decoder,
    jax_logits,
    random_llama,
)
from tests.support.stories260k import read_llama2c, read_pieces, write_hf_directory


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("fields", [DEEPSEEK, GROUPED], ids=["deepseek", "grouped-query"])
def test_logits_equal_transformers(tmp_path, fields, tied):
    model = random_llama(tmp_path, fields | {"tie_word_embeddings": tied})
    tokens = np.random.default_rng(0).integers(0, 320, (2, 600))  # beyond 256, the unscaled range
    with torch.no_grad():
        expected = model(torch.tensor(tokens)).logits.numpy()
    assert np.abs(jax_logits(tmp_path, tokens) - expected).max() <= FLOAT32_LOGITS


@pytest.mark.parametrize("fields", [DEEPSEEK, GROUPED], ids=["deepseek", "grouped-query"])
def test_logits_equal_transformers_far_out(tmp_path, fields):
    """Positions up to 16,000, each row starting elsewhere."""
    model = random_llama(tmp_path, fields | {"max_position_embeddings": 16_384})
    tokens = np.random.default_rng(1).integers(0, 320, (4, 48))
    positions = np.array([[0], [4_000], [9_000], [16_000 - 47]]) + np.arange(48)
    with torch.no_grad():
        expected = model(torch.tensor(tokens), position_ids=torch.tensor(positions)).logits.numpy()
    assert np.abs(jax_logits(tmp_path, tokens, positions) - expected).max() <= FLOAT32_LOGITS


def test_scaling_is_seen_by_the_logits(tmp_path):
    """The oracle can tell linear scaling from none: without it the tests above would fail."""
    random_llama(tmp_path, DEEPSEEK)
    tokens = np.random.default_rng(0).integers(0, 320, (1, 300))
    scaled = jax_logits(tmp_path, tokens)
    fields = json.loads((tmp_path / "config.json").read_text())
    unscaled = {"rope_type": "default", "rope_theta": 100_000.0}
    (tmp_path / "config.json").write_text(json.dumps(fields | {"rope_parameters": unscaled}))
    assert np.abs(jax_logits(tmp_path, tokens) - scaled).max() > 0.1


def test_stories260k_greedy_text_equals_transformers_and_numpy(shared_data, tmp_path):
    directory = write_hf_directory(shared_data, tmp_path / "hf")
    tokenizer = hf.read_tokenizer(directory)
    prompt = [tokenizer.bos_token_id, *tokenizer.encode("One day", add_special_tokens=False)]
    ours = _greedy(directory, prompt, 120)
    torch_model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    theirs = torch_model.generate(
        torch.tensor([prompt]), max_length=120, do_sample=False, pad_token_id=0
    )[0].tolist()
    assert ours == theirs
    assert ours[:40] == Llama2c(shared_data).greedy(prompt, 40)
    assert "a little girl named Lily" in tokenizer.decode(ours)


def test_stories260k_tokenizer_equals_llama2c(shared_data, tmp_path):
    """Against llama2.c's encoder: while any neighbours join to a piece, join the best-scored."""
    tokenizer = hf.read_tokenizer(write_hf_directory(shared_data, tmp_path))
    pieces = read_pieces(shared_data / "stories260K" / "tok512.bin")
    for text in (
        "Once upon a time, there was a little girl named Lily.",
        "Zoë said “hi” to 3 cats.\nThe end",
        "  two spaces, and a\ttab",
    ):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == _llama2c_encode(text, pieces)
        assert tokenizer.decode(ids) == text


def _llama2c_encode(text: str, pieces: list[tuple[str, float]]) -> list[int]:
    index = {piece: i for i, (piece, _) in reversed(list(enumerate(pieces)))}
    ids = []
    for character in " " + text:
        if character in index:
            ids.append(index[character])
        else:
            ids += [byte + 3 for byte in character.encode()]
    while True:
        joined = [pieces[a][0] + pieces[b][0] for a, b in itertools.pairwise(ids)]
        known = [(pieces[index[piece]][1], -i) for i, piece in enumerate(joined) if piece in index]
        if not known:
            return ids
        at = -max(known)[1]
        ids[at : at + 2] = [index[joined[at]]]


def _greedy(directory, prompt: list[int], total: int) -> list[int]:
    config, params = hf.load(directory)
    graphdef = nnx.graphdef(nnx.eval_shape(lambda: decoder(config)))
    forward = jax.jit(lambda params, *inputs: nnx.merge(graphdef, params)(*inputs))
    tokens = np.zeros((1, total), np.int32)
    tokens[0, : len(prompt)] = prompt
    positions = np.arange(total)[None]
    for length in range(len(prompt), total):
        logits = forward(params, tokens, positions, np.ones_like(tokens))
        tokens[0, length] = int(jnp.argmax(logits[0, length - 1]))
    return tokens[0].tolist()


class Llama2c:
    """llama2.c's forward pass in NumPy: token by token, neighbouring pairs rotated, no Hugging
    Face layout anywhere."""

    def __init__(self, shared_data):
        self.config, self.weights = read_llama2c(shared_data / "stories260K" / "stories260K.bin")

    def greedy(self, prompt: list[int], total: int) -> list[int]:
        tokens, keys, values = list(prompt), [], []
        for position in range(total - 1):
            scores = self._forward(tokens[position], position, keys, values)
            if position + 1 == len(tokens):
                tokens.append(int(scores.argmax()))
        return tokens

    def _forward(self, token, position, keys, values):
        c, w = self.config, self.weights
        H, G = c.num_attention_heads, c.num_key_value_heads
        x = w["tok_embeddings"][token].astype(np.float64)
        keys.append([])
        values.append([])
        for layer in range(c.num_hidden_layers):
            normed = self._norm(x, w["attention_norm"][layer])
            q = self._rotate((w["wq"][layer] @ normed).reshape(H, -1), position)
            keys[-1].append(self._rotate((w["wk"][layer] @ normed).reshape(G, -1), position))
            values[-1].append((w["wv"][layer] @ normed).reshape(G, -1))
            heads = []
            for h in range(H):
                g = h // (H // G)
                k = np.stack([step[layer][g] for step in keys])
                v = np.stack([step[layer][g] for step in values])
                scores = k @ q[h] / np.sqrt(q.shape[1])
                weights = np.exp(scores - scores.max())
                heads.append(weights / weights.sum() @ v)
            x = x + w["wo"][layer] @ np.concatenate(heads)
            normed = self._norm(x, w["ffn_norm"][layer])
            gate = w["w1"][layer] @ normed
            x = x + w["w2"][layer] @ (gate / (1 + np.exp(-gate)) * (w["w3"][layer] @ normed))
        return w["tok_embeddings"] @ self._norm(x, w["norm"])

    @staticmethod
    def _norm(x, weight):
        return x / np.sqrt(np.mean(x * x) + 1e-5) * weight

    @staticmethod
    def _rotate(heads, position):
        size = heads.shape[1]
        angles = position / 10_000.0 ** (np.arange(0, size, 2) / size)
        even, odd = heads[:, 0::2], heads[:, 1::2]
        out = np.empty_like(heads)
        out[:, 0::2] = even * np.cos(angles) - odd * np.sin(angles)
        out[:, 1::2] = even * np.sin(angles) + odd * np.cos(angles)
        return out
