"""Compares where rows end with transformers, and checks special tokens in stops and prompts."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.generate import (
    SamplingError,
    SamplingParams,
    encode_prompt,
)
from semcoder_jax.loading import load_model
from tests.support.byte_tokenizer import MARKS, byte_tokenizer, save_byte_tokenizer
from tests.support.random_llama import GROUPED, random_llama

PROMPTS = ([3, 4, 5], [77], [200, 13, 13, 40])
LENGTH = 40


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A model of as many rows as the tokenizer has tokens, whose greedy text is varied."""
    directory = tmp_path_factory.mktemp("stopping") / "model"
    tokenizer = byte_tokenizer()
    random_llama(directory, GROUPED | {"vocab_size": len(tokenizer), "initializer_range": 0.2})
    save_byte_tokenizer(directory)
    return directory


@pytest.fixture(scope="module")
def model(directory):
    return load_model(directory)


@pytest.fixture(scope="module")
def engine(model):
    """An engine that no token ends; its programs are compiled once for all tests."""
    return Engine(dataclasses.replace(model, end_tokens=()), num_slots=3, speculation="off")


@pytest.fixture(scope="module")
def free(engine):
    """Greedy rows that nothing ends."""
    return rows_of(engine, SamplingParams(LENGTH))


def rows_of(engine, params):
    return [row for (row,) in engine.generate([Request(prompt, params) for prompt in PROMPTS])]


@pytest.fixture
def write_ids(directory):
    """Writes eos_token_id of generation_config.json and config.json; restores both at the end."""
    paths = [directory / name for name in ("generation_config.json", "config.json")]
    kept = [path.read_text() for path in paths]

    def write(*ids):
        for path, text, value in zip(paths, kept, ids, strict=True):
            path.write_text(json.dumps(json.loads(text) | {"eos_token_id": value}))

    yield write
    for path, text in zip(paths, kept, strict=True):
        path.write_text(text)


def test_all_end_tokens_of_the_generation_config_end_a_row(directory, free, write_ids):
    ends = [free[0].tokens[20], free[1].tokens[9], free[2].tokens[LENGTH - 1]]
    write_ids(ends, 7)
    model, oracle = load_model(directory), LlamaForCausalLM.from_pretrained(directory)
    assert oracle.generation_config.eos_token_id == ends
    rows = rows_of(Engine(model, num_slots=3, speculation="off"), SamplingParams(LENGTH))
    for prompt, row in zip(PROMPTS, rows, strict=True):
        found = oracle.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=LENGTH, pad_token_id=0
        )
        assert list(row.tokens) == found[0, len(prompt) :].tolist()
        assert row.end_token == (row.tokens[-1] if row.tokens[-1] in ends else None)
        text = model.tokenizer.decode(row.text_tokens, skip_special_tokens=True)
        assert row.text == text
    assert {row.end_token for row in rows} <= set(ends) and rows[0].finish_reason == "stop"


def test_the_files_name_the_end_before_the_tokenizer(directory, write_ids):
    tokenizer = byte_tokenizer()
    for ids, expected in [
        ((9, 7), (9,)),
        (([9, 8, 9], 7), (9, 8)),
        ((None, [7, 6]), (7, 6)),
        ((None, None), (tokenizer.eos_token_id,)),
        (([], None), (tokenizer.eos_token_id,)),
        ((0, None), (0,)),
    ]:
        write_ids(*ids)
        assert hf.read_end_tokens(directory, tokenizer) == expected
    assert load_model(directory).end_tokens == (0,)
    for wrong in ("</s>", [3, "x"], True, -1, 1.5, {"id": 2}, [[2]]):
        write_ids(wrong, 7)
        with pytest.raises(hf.HFError, match=r"generation_config.json: eos_token_id=.*expected an"):
            hf.read_end_tokens(directory, tokenizer)


def test_training_adds_its_own_end_and_keeps_the_others(directory, tmp_path, write_ids):
    """The records of a run end with the tokenizer's EOS, whatever ended the base model's rows."""
    write_ids([9, 8], 9)
    tokenizer = hf.read_tokenizer(directory)
    config = hf.read_config(directory)
    hf.write_model_directory(tmp_path, config, tokenizer, end_token=tokenizer.eos_token_id)
    assert hf.read_end_tokens(tmp_path) == (9, 8, tokenizer.eos_token_id)
    hf.write_model_directory(tmp_path, config, tokenizer)
    assert hf.read_end_tokens(tmp_path) == (9, 8)


def test_log_probabilities_leave_the_end_token_out(engine, model):
    eos, params = model.tokenizer.eos_token_id, SamplingParams(LENGTH, 3.0, logprobs=1)
    params = dataclasses.replace(params, stop=("</s>",), max_new_tokens=240)
    for streaming in (False, True):
        engine.submit(Request(PROMPTS[0], params, n=6, streaming=streaming))
        updates = []
        while engine.busy:
            updates += engine.step()
        rows = [update.generation for update in updates if update.generation is not None]
        assert {row.end_token for row in rows} == {eos, None}
        for row in rows:
            ended = row.end_token is not None
            assert not ended or row.tokens[-1] == row.end_token
            assert len(row.logprobs) == len(row.tokens) - ended == len(row.text_tokens)
        for sample in range(6):
            told = [update for update in updates if update.sample == sample]
            assert sum((update.logprobs for update in told), ()) == told[-1].generation.logprobs
            assert sum((update.tokens for update in told), ()) == told[-1].generation.tokens


def test_a_stop_string_that_spells_a_special_token_ends_at_its_id(engine, model):
    """The text never holds it: `</s>` and `<|endoftext|>` are left out of it."""
    ids = model.tokenizer.get_vocab()
    params = SamplingParams(240, temperature=3.0, seed=1)
    rows, num_ended = rows_of(engine, params), 0
    for stop in (("</s>",), ("<|endoftext|>",), ("</s>", "<|endoftext|>")):
        wanted = {ids[string] for string in stop}
        cut = rows_of(engine, dataclasses.replace(params, stop=stop))
        for whole, row in zip(rows, cut, strict=True):
            end = next((i for i, token in enumerate(whole.tokens) if token in wanted), None)
            assert row.tokens == whole.tokens[: None if end is None else end + 1]
            assert row.finish_reason == ("length" if end is None else "stop")
            assert row.text == model.tokenizer.decode(whole.tokens[:end], skip_special_tokens=True)
            num_ended += end is not None
    assert num_ended >= 2


def test_a_stop_string_with_a_special_token_inside_is_refused(engine):
    for stop in ("\n</s>", "<s><s>", "x<|endoftext|>"):
        with pytest.raises(SamplingError, match=r"stop=.*special token .* beside other text"):
            rows_of(engine, SamplingParams(5, stop=(stop,)))
    for stop in ("<pad>", "</s", "s>", "    x"):  # ordinary text, or shown in the text
        rows_of(engine, SamplingParams(1, stop=(stop,)))


def test_stop_token_ids_end_a_row_and_are_no_text(engine, model):
    params = SamplingParams(LENGTH, temperature=3.0, seed=4)
    for whole, place in zip(rows_of(engine, params), (0, 7, LENGTH - 1), strict=True):
        ids = (whole.tokens[place], 3)
        end = next(i for i, token in enumerate(whole.tokens) if token in ids)
        for included in (False, True):
            asked = dataclasses.replace(params, stop_token_ids=ids, include_stop=included)
            rows = rows_of(engine, asked)
            row = next(row for row in rows if row.tokens[: end + 1] == whole.tokens[: end + 1])
            assert row.tokens == whole.tokens[: end + 1] and row.finish_reason == "stop"
            text_tokens = whole.tokens[: end + included]
            assert row.text == model.tokenizer.decode(text_tokens, skip_special_tokens=True)
    with pytest.raises(SamplingError, match="stop_token_ids: token 999, expected 0 to"):
        rows_of(engine, SamplingParams(1, stop_token_ids=(999,)))


def test_ignored_end_tokens_end_no_row(directory, free, write_ids):
    ends = [free[0].tokens[20], free[1].tokens[9], free[2].tokens[5]]
    write_ids(ends, 7)
    ending = Engine(load_model(directory), num_slots=3, speculation="off")
    assert all(row.end_token in ends for row in rows_of(ending, SamplingParams(LENGTH)))
    ignored = rows_of(ending, SamplingParams(LENGTH, ignore_eos=True))
    assert [row.tokens for row in ignored] == [row.tokens for row in free]
    assert {(row.finish_reason, row.end_token) for row in ignored} == {("length", None)}


def test_special_tokens_are_shown_on_request(engine, model):
    params = SamplingParams(240, temperature=3.0, seed=1, skip_special_tokens=False)
    rows = rows_of(engine, params)
    assert any("<|endoftext|>" in row.text for row in rows)
    for row in rows:
        assert row.text == model.tokenizer.decode(row.tokens, skip_special_tokens=False)
    asked = dataclasses.replace(params, stop=("\x00<|endoftext|>",))  # such a text may come now
    assert [row.tokens for row in rows_of(engine, asked)] == [row.tokens for row in rows]


def test_the_stop_string_is_shown_on_request(engine, free):
    text = free[0].text
    stop = text[len(text) // 2 :][:3]
    (cut, *_), (shown, *_) = (
        rows_of(engine, SamplingParams(LENGTH, stop=(stop, "never"), include_stop=included))
        for included in (False, True)
    )
    assert cut.text == text[: text.index(stop)]
    assert shown.text == cut.text + stop and shown.tokens == cut.tokens


TOKENIZER = byte_tokenizer()


@given(st.lists(st.sampled_from([*MARKS, "x", " ", "<", "é", "    "]), max_size=6).map("".join))
def test_a_prompt_is_its_bytes_whatever_it_spells(text):
    ids = TOKENIZER.get_vocab()
    bos, *found = encode_prompt(TOKENIZER, text)
    assert bos == ids["<s>"]
    assert not set(found) & {ids[mark] for mark in MARKS}
    assert TOKENIZER.decode(found) == text


def test_other_prompts_keep_their_tokens(model):
    text = "def f(x):\n    return x < 3 and '</p>'\n"
    expected = model.tokenizer.encode(text, add_special_tokens=False)
    assert encode_prompt(model.tokenizer, text) == [model.tokenizer.bos_token_id, *expected]
