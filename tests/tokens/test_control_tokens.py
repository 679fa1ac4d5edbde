"""Tests that text spelled as a control token stays text, and that all other text keeps its ids."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data_pipeline.pyx.control_tokens import find_control_text, ordinary_encoder
from data_pipeline.pyx.records import make_record, write_jsonl
from data_pipeline.tokens.batches import tokenize_records
from data_pipeline.tokens.packing import PackingError, encode, encode_table
from data_pipeline.tokens.store import open_tokens
from data_pipeline.tokens.tokenize import prepare
from tests.support.byte_tokenizer import MARKS, byte_tokenizer


def test_every_mark_is_its_bytes():
    tokenizer = byte_tokenizer()
    for mark in MARKS:
        for text in (mark, f"a{mark}b", f"x = '{mark}'\n", mark + mark, f" {mark} "):
            record = encode(text, text, tokenizer)
            vocabulary = tokenizer.get_vocab()
            bytes_of = [vocabulary["Ġ" if c == " " else "Ċ" if c == "\n" else c] for c in text]
            assert record.tokens.tolist() == [
                vocabulary["<s>"], *bytes_of, *bytes_of, vocabulary["</s>"]
            ]  # fmt: skip


@given(st.text(st.sampled_from("<>|/spad endoftx'\n\té漢")))
def test_other_text_keeps_its_ids(text):
    tokenizer = byte_tokenizer()
    if not any(mark in text for mark in MARKS):
        expected = tokenizer([text], add_special_tokens=False)["input_ids"]
        assert ordinary_encoder(tokenizer)([text]) == expected


def test_added_words_that_are_no_marks_stay_words():
    tokenizer = byte_tokenizer()
    assert ordinary_encoder(tokenizer)(["    x"]) == [
        [tokenizer.get_vocab()["    "], ord("x") - 33]
    ]


def test_deepseekcoders_marks_are_text(shared_data):
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer")
    encoder = ordinary_encoder(tokenizer)
    marks = {  # from the published tokenizer.json
        "<｜begin▁of▁sentence｜>": 32013, "<｜end▁of▁sentence｜>": 32014, "<｜fim▁hole｜>": 32015,
        "<｜fim▁begin｜>": 32016, "<｜fim▁end｜>": 32017, "<pad>": 32018, "<|User|>": 32019,
        "<|Assistant|>": 32020, "<|EOT|>": 32021,
    }  # fmt: skip
    for mark in marks:
        for text in (mark, f"a{mark}b", f"return '{mark}'\n", mark * 3):
            (ids,) = encoder([text])
            assert not set(ids) & set(marks.values())
            assert tokenizer.decode(ids) == text
    ordinary = [
        "def f(x):\n    return f'{x:>4}'\n",
        "Übung õ÷ÿ 漢字 🙂",
        "<b>bold</b> <|x",
        "",
        " ",
    ]
    assert encoder(ordinary) == tokenizer(ordinary, add_special_tokens=False)["input_ids"]


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Words between blanks; the end mark is also a word of the vocabulary."""
    words = ["[UNK]", "</s>", "<s>", "a", "<", "/s>"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="[UNK]"
    )


def test_a_mark_that_is_a_word_is_taken_apart():
    table = encode_table([("a", "a </s> b", 1)], word_tokenizer())
    assert table[0].tokens.tolist() == [2, 3, 3, 4, 5, 0, 1]


def test_a_mark_that_cannot_be_spelled_is_refused_in_one_line():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "!": 1, "s": 2}, unk_token="[UNK]"))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="s", eos_token="!")
    with pytest.raises(PackingError, match="the text '!' becomes a control token"):
        encode("x", "!", made)


def test_prepared_folders_and_records_in_training_have_the_same_ids(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    texts = ["print('</s>')", "<pad> and <|endoftext|>", "nothing"]
    records = [make_record(f"nl_{n}", "nl", text, text) for n, text in enumerate(texts)]
    write_jsonl(tmp_path / "r.jsonl", records)
    prepare([tmp_path / "r.jsonl"], tmp_path / "tokenizer", tmp_path / "tokens")
    stored = open_tokens({"": tmp_path / "tokens"}, "train")
    table = tokenize_records(records, tokenizer)
    marks = [tokenizer.get_vocab()[mark] for mark in MARKS]
    for number, ids in enumerate(stored.tokens(np.arange(3))):
        assert ids.tolist() == table[number].tokens.tolist()
        assert not set(ids[1:-1].tolist()) & set(marks)


def test_text_of_published_control_tokens_is_found():
    for text in (
        "<|endoftext|>",
        "<｜end▁of▁sentence｜>",
        "<|EOT|>",
        "<pad>",
        "</s>",
        "<fim_middle>",
    ):
        assert find_control_text(f"x = '{text}'") == text
    for text in (
        "<b>",
        "a < b > c",
        "x <| y |> z",
        "<listcomp>",
        "[MONOLOGUE]",
        "[1, 2]",
        "<class 'int'>",
    ):
        assert find_control_text(json.dumps(text)) is None
