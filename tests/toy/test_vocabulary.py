"""Tests the word-level tokenizer: it loses nothing, and each word is one token."""

import pytest
from transformers import AutoTokenizer

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import read_jsonl
from data_pipeline.toy import corpus as synthetic


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return synthetic.build(folder, functions=400, seed=1, workers=1, progress=False)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return AutoTokenizer.from_pretrained(corpus.tokenizer)


def test_corpus_comes_back_as_it_was(corpus, tokenizer):
    for row in read_jsonl(corpus.heldout):
        for text in (training_prompt(row), row.response):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    "text", ["", "  x\t=\r\n", "naïve – 漢字 🙂", "[L5] a=3", "a pad is no word", "def g(z): ...\n"]
)
def test_any_text_comes_back_as_it_was(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_words_of_a_step_are_single_tokens(tokenizer):
    text = "2. [L6] a=3 + b=12 gives n=15.\n3. [L7] "
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(tokenizer.decode([i]) for i in ids) == text
    words = [tokenizer.decode([i]) for i in ids]
    assert words[-9:] == ["3", " + ", "b=", "12", " gives ", "n=", "15", ".\n3. ", "[L7] "]


def test_special_tokens_have_ids(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
