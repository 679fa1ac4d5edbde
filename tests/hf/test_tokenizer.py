"""Compares DeepSeekCoder's tokenizer with llama.cpp's vectors and upstream's encoding."""

import pytest

from data_pipeline.tokens.packing import encode
from semcoder_jax import hf


@pytest.mark.parametrize("release", ["tokenizer", "semcoder_s_1030"])
def test_all_vectors_of_llama_cpp(shared_data, release):
    tokenizer = hf.read_tokenizer(shared_data / release)
    stem = shared_data / "tokenizer" / "vectors" / "ggml-vocab-deepseek-coder.gguf"
    with open(f"{stem}.inp", encoding="utf-8", newline="") as file:
        texts = file.read().split("\n__ggml_vocab_test__\n")
    with open(f"{stem}.out", encoding="utf-8") as file:
        expected = [[int(token) for token in line.split()] for line in file.read().split("\n")]
    texts, expected = texts[:47], expected[:47]
    found = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    assert len(texts) == 47 and found == expected
    assert [tokenizer.decode(ids) for ids in found] == texts


@pytest.mark.parametrize("release", ["tokenizer", "semcoder_s_1030"])
def test_pairs_are_encoded_as_upstream_does(shared_data, release):
    """Upstream (facts: Training): both sides without special tokens, BOS before the prompt, EOS
    after the completion. The second tokenizer adds a BOS of its own: it must not come twice."""
    tokenizer = hf.read_tokenizer(shared_data / release)
    pairs = [
        ("You are given a function:\n[PYTHON]\ndef f(x):\n    return x\n[/PYTHON]\n", "x == 1"),
        ("ends in space ", " begins with space"),
        ("Ü", ""),
    ]
    for prompt, completion in pairs:
        prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        completion_ids = tokenizer(completion, add_special_tokens=False)["input_ids"]
        example = encode(prompt, completion, tokenizer)
        eos = tokenizer.eos_token_id
        assert example.tokens.tolist() == [32_013, *prompt_ids, *completion_ids, eos]
        assert example.tokens.tolist().count(32_013) == 1
        trained = example.tokens[example.loss_mask].tolist()
        assert trained == [*completion_ids, eos]


def test_the_mark_of_the_end_inside_a_text_is_text(shared_data):
    """DeepSeekCoder's end of sentence and pad token: a text that spells it ends nothing."""
    tokenizer = hf.read_tokenizer(shared_data / "tokenizer")
    assert tokenizer.pad_token_id == 32_014
    example = encode("p", "a<｜end▁of▁sentence｜>b", tokenizer)
    answer = example.tokens[example.loss_mask]
    assert 32_014 not in answer
    assert tokenizer.decode(answer[:-1]).endswith("a<｜end▁of▁sentence｜>b")


def test_ids_and_size(shared_data):
    tokenizer = hf.read_tokenizer(shared_data / "semcoder_s_1030")
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (32_013, 32_014)
    assert hf.tokenizer_size(tokenizer) == 32_022
    config = hf.read_config(shared_data / "semcoder_s_1030")
    assert config.vocab_size == 32_256


def test_missing_and_malformed(tmp_path):
    with pytest.raises(hf.HFError, match=r"tokenizer\.json: no such file"):
        hf.read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(hf.HFError, match=r"tokenizer\.json: not a readable tokenizer"):
        hf.read_tokenizer(tmp_path)
