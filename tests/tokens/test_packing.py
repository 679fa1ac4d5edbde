"""Compares packing with upstream's tokenization, best-fit's definition and a layout by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data_pipeline.tokens.packing import (
    PackingError,
    Packs,
    encode,
    encode_table,
    lay_out,
    plan_packs,
)


def byte_tokenizer(**special) -> PreTrainedTokenizerFast:
    """One token a byte (ids in byte-level order), <s> and </s> after them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<s>", "</s>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def test_prompt_and_response_are_encoded_apart_between_bos_and_eos(tokenizer):
    example = encode("ab ", "ç\n", tokenizer)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    vocabulary = tokenizer.get_vocab()
    # Byte-level spelling of " ", "ç" (two bytes) and newline: Ġ, Ã §, Ċ.
    prompt = [vocabulary[token] for token in "abĠ"]
    response = [vocabulary[token] for token in "Ã§Ċ"]
    assert example.tokens.tolist() == [bos, *prompt, *response, eos]
    assert example.loss_mask.tolist() == [False] * 4 + [True] * 4
    assert (example.tokens.dtype, example.loss_mask.dtype) == (np.int32, bool)


def test_deepseekcoders_tokenizer_gives_upstreams_ids(shared_data):
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer")
    # Pairs that would merge over the seam if they were encoded as one text.
    rows = [("def f", "oo():\n    return 1\n", 1), ("x \n", "\n y", 2), ("Übung", "é", 3)]
    table = encode_table(rows, tokenizer)
    for record, (prompt, response, _) in enumerate(rows):
        prompt_ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(prompt))
        response_ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(response))
        expected = [32013, *prompt_ids, *response_ids, tokenizer.eos_token_id]
        assert table[record].tokens.tolist() == expected
        assert table[record].loss_mask.sum() == len(response_ids) + 1
    joint = tokenizer("def foo():\n    return 1\n", add_special_tokens=False)["input_ids"]
    assert table[0].tokens[1:-1].tolist() != joint


def test_many_records_are_encoded_as_one_by_one(tokenizer):
    rng = np.random.default_rng(0)
    pairs = [("p" * rng.integers(0, 30), "r" * rng.integers(1, 30)) for _ in range(2500)]
    for max_length in (None, 20):
        table = encode_table(((*pair, 1) for pair in pairs), tokenizer, max_length)
        assert len(table) == len(pairs)
        for record in rng.integers(0, len(pairs), 200):
            alone = encode(*pairs[record], tokenizer, max_length)
            assert np.array_equal(table[int(record)].tokens, alone.tokens)
            assert np.array_equal(table[int(record)].loss_mask, alone.loss_mask)
        full_lengths = np.array([len(prompt) + len(response) + 2 for prompt, response in pairs])
        assert np.array_equal(table.lengths_R, np.minimum(full_lengths, max_length or 10**6))
        assert np.array_equal(table.cut_R, full_lengths > (max_length or 10**6))


def test_cutting_on_the_right_loses_the_eos_then_the_response(tokenizer):
    whole = encode("abc", "de", tokenizer)
    for max_length in range(2, 9):
        cut = encode("abc", "de", tokenizer, max_length)
        assert cut.tokens.tolist() == whole.tokens[:max_length].tolist()
        assert cut.loss_mask.tolist() == whole.loss_mask[:max_length].tolist()


def test_a_record_cut_in_the_layout_is_the_record_encoded_cut(tokenizer):
    rows = [("a" * n, "b" * m, m % 5 + 1) for n in range(8) for m in range(1, 8)]
    packs = [np.array([record]) for record in range(len(rows))]
    whole = encode_table(rows, tokenizer)
    for max_length in (2, 5, 9, 100):
        later = lay_out(whole, packs, 20, max_length=max_length)
        at_once = lay_out(encode_table(rows, tokenizer, max_length), packs, 20)
        for name, expected in at_once.items():
            assert np.array_equal(later[name], expected) and later[name].dtype == expected.dtype


def test_a_tokenizer_without_bos_has_none_in_its_records():
    """As Qwen's; the first token is never a target, because nothing stands before it."""
    tokenizer = byte_tokenizer(bos_token=None)
    a, b, eos = (tokenizer.get_vocab()[token] for token in ("a", "b", "</s>"))
    example = encode("aa", "b", tokenizer)
    assert example.tokens.tolist() == [a, a, b, eos]
    assert example.loss_mask.tolist() == [False, False, True, True]
    assert encode("", "b", tokenizer).loss_mask.tolist() == [False, True]


def test_a_tokenizer_without_eos_is_refused():
    with pytest.raises(PackingError, match="eos_token_id is not set"):
        encode("a", "b", byte_tokenizer(eos_token=None), 10)
    with pytest.raises(PackingError, match="max_length: expected at least 2"):
        encode("a", "b", byte_tokenizer(), 1)


def replay(plan: Packs, lengths: np.ndarray, capacity: int, window: int) -> None:
    """Places the records again by the definition: each must lie in one of the fullest packs that
    have room for it, or in a new one where none has; windows in order, their longest first."""
    pack_of = np.empty(len(lengths), int)
    for number, pack in enumerate(plan):
        pack_of[pack] = number
    left: dict[int, int] = {}
    for start in range(0, len(lengths), window):
        numbers = range(start, min(start + window, len(lengths)))
        for record in sorted(numbers, key=lambda r: -lengths[r]):
            pack, length = pack_of[record], lengths[record]
            enough = [room for room in left.values() if room >= length]
            assert left.get(pack) == min(enough) if enough else pack not in left
            left[pack] = left.get(pack, capacity) - length


@given(st.data(), st.integers(1, 30))
def test_plans_are_best_fit(data, capacity):
    lengths = data.draw(st.lists(st.integers(1, capacity), min_size=1, max_size=200))
    window = data.draw(st.integers(1, len(lengths) + 1))
    replay(plan_packs(np.array(lengths), capacity, window), np.array(lengths), capacity, window)


def test_best_fit_by_hand():
    lengths = np.array([4, 7, 3, 6, 5, 5])
    # 4 opens 0; 7 opens 1; 3 fits 1 best; 6 fits 0 best; 5 and 5 share 2.
    assert [p.tolist() for p in plan_packs(lengths, 10)] == [[0, 3], [1, 2], [4, 5]]
    # By threes, longest first: 7 4 3: 7 opens 0, 4 opens 1, 3 fills 0; 6 fills 1; 5 5 share 2.
    assert [p.tolist() for p in plan_packs(lengths, 10, 3)] == [[1, 2], [0, 3], [4, 5]]
    # All: 7 6 5 5 4 3.
    assert [p.tolist() for p in plan_packs(lengths, 10, 6)] == [[1, 2], [0, 3], [4, 5]]


def pyx_like_lengths(records: int, longest: int) -> np.ndarray:
    """Token counts as measured of PyX: monologues (75 %) of median 650 and 99th percentile 2,300,
    the rest of median 250."""
    rng = np.random.default_rng(2)
    medians = np.where(rng.random(records) < 0.75, 650, 250)
    return np.clip(medians * np.exp(0.543 * rng.standard_normal(records)), 20, longest).astype(int)


@pytest.mark.parametrize(("window", "least"), [(1, 0.98), (1024, 0.995)])
def test_no_record_is_lost_no_pack_overfull_and_packs_are_full(window, least):
    lengths = pyx_like_lengths(20_000, 2048)
    plan = plan_packs(lengths, 2048, window)
    assert np.array_equal(np.sort(plan.records), np.arange(len(lengths)))
    loads = np.add.reduceat(lengths[plan.records], plan.starts[:-1])
    assert loads.max() <= 2048 and loads.sum() == lengths.sum()
    assert loads.sum() / (2048 * len(plan)) >= least
    assert all(np.all(np.diff(pack) > 0) for pack in plan)  # in the order in which they came


def test_plans_can_be_reordered_and_may_be_empty():
    plan = plan_packs(np.array([3, 4, 2, 1]), 5)
    assert [pack.tolist() for pack in plan] == [[0, 2], [1, 3]]
    assert [pack.tolist() for pack in plan.reorder(np.array([1, 0]))] == [[1, 3], [0, 2]]
    whole = plan_packs(np.arange(1, 30), 40)
    order = np.random.default_rng(0).permutation(len(whole))
    turned = whole.reorder(order)
    assert [pack.tolist() for pack in turned] == [whole[place].tolist() for place in order]
    assert len(plan_packs(np.array([], int), 5)) == len(Packs.of([])) == 0


def test_records_that_do_not_fit_a_pack_are_refused():
    with pytest.raises(
        PackingError, match=r"record 1: expected 1 to 5 input tokens; got 6 \(2 of 3"
    ):
        plan_packs(np.array([1, 6, 0]), 5)
    with pytest.raises(PackingError, match="capacity"):
        plan_packs(np.array([1]), 0)
    with pytest.raises(PackingError, match="window"):
        plan_packs(np.array([1]), 5, 0)


def test_layout_by_hand(tokenizer):
    table = encode_table([("a", "bc", 3), ("", "d", 5), ("ef", "g", 1)], tokenizer)
    s, e = tokenizer.bos_token_id, tokenizer.eos_token_id
    a, b, c, d, f, g = (tokenizer.get_vocab()[token] for token in "abcdfg")
    rows = lay_out(table, [np.array([0, 1]), np.array([2]), np.array([], int)], 7, pad_id=1)
    e_ = tokenizer.get_vocab()["e"]
    assert rows["tokens"].tolist() == [
        [s, a, b, c, s, d, 1],
        [s, e_, f, g, 1, 1, 1],
        [1] * 7,
    ]
    assert rows["targets"].tolist() == [
        [a, b, c, e, d, e, 1],
        [e_, f, g, e, 1, 1, 1],
        [1] * 7,
    ]
    assert rows["loss_mask"].astype(int).tolist() == [
        [0, 1, 1, 1, 1, 1, 0],
        [0, 0, 1, 1, 0, 0, 0],
        [0] * 7,
    ]
    assert rows["segment_ids"].tolist() == [[1, 1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 0, 0, 0], [0] * 7]
    assert rows["positions"].tolist() == [[0, 1, 2, 3, 0, 1, 0], [0, 1, 2, 3, 0, 0, 0], [0] * 7]
    assert rows["kinds"].tolist() == [[3, 3, 3, 3, 5, 5, 0], [1, 1, 1, 1, 0, 0, 0], [0] * 7]
    assert {name: array.dtype for name, array in rows.items()} == {
        "tokens": np.int32,
        "targets": np.int32,
        "loss_mask": bool,
        "segment_ids": np.int32,
        "positions": np.int32,
        "kinds": np.int32,
    }


def test_records_come_back_out_of_the_layout(tokenizer):
    rng = np.random.default_rng(3)
    rows = [("p" * rng.integers(0, 40), "r" * rng.integers(1, 40), 1 + n % 5) for n in range(300)]
    table = encode_table(rows, tokenizer, 50)
    plan = plan_packs(table.lengths_R - 1, 64)
    rows = lay_out(table, list(plan), 64)
    for row, pack in enumerate(plan):
        for segment, record in enumerate(pack, start=1):
            here = rows["segment_ids"][row] == segment
            inputs, targets = rows["tokens"][row][here], rows["targets"][row][here]
            example = table[int(record)]
            assert np.array_equal(np.append(inputs, targets[-1]), example.tokens)
            assert np.array_equal(inputs[1:], targets[:-1])
            assert np.array_equal(rows["loss_mask"][row][here], example.loss_mask[1:])
            assert np.array_equal(rows["positions"][row][here], np.arange(len(inputs)))
            assert set(rows["kinds"][row][here].tolist()) == {1 + record % 5}
    assert not rows["loss_mask"][rows["segment_ids"] == 0].any()
    assert (rows["segment_ids"] > 0).sum() == (table.lengths_R - 1).sum()
    with pytest.raises(PackingError, match="pack 0: expected at most 8"):
        lay_out(table, [np.array([0, 1, 2, 3])], 8)
