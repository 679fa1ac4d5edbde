"""Tests batches: equal steps for any number of processes, resumed anywhere, without losses."""

import json
from collections import Counter

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import PyXRecord
from data_pipeline.tokens.batches import (
    BatchIterator,
    InputConfig,
    InputError,
    TrainInput,
    tokenize_records,
)
from data_pipeline.tokens.packing import TokenTable

LENGTH = 32


def make_train_iterator(source, tokenizer=None, **options) -> BatchIterator:
    return TrainInput(source, InputConfig(**options), tokenizer).iterator()


def make_eval_iterator(source, tokenizer=None, **options) -> BatchIterator:
    """One pass over the records in their own order; the last batch ends in rows without loss."""
    return make_train_iterator(source, tokenizer, seed=0, num_epochs=1, shuffle=False, **options)


def numbered_table(records: int = 200, seed: int = 0) -> TokenTable:
    """Records of random length whose every token is the record's number plus 1."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, LENGTH + 2, records)
    return TokenTable(
        np.repeat(np.arange(1, records + 1, dtype=np.int32), lengths),
        np.concatenate([[0], np.cumsum(lengths)]),
        rng.integers(1, lengths).astype(np.int32),
        np.zeros(records, bool),
        rng.integers(1, 6, records).astype(np.int32),
    )


@pytest.fixture(scope="module")
def table():
    return numbered_table()


def options(**changes) -> dict:
    return {"sequence_length": LENGTH, "global_batch_size": 8, "seed": 3} | changes


def seen(batches) -> Counter:
    """How often each record's tokens came by, over batches of numbered records."""
    return sum(
        (Counter(batch["tokens"][batch["segment_ids"] > 0].tolist()) for batch in batches),
        Counter(),
    )


def assert_equal_batches(ours, expected):
    ours, expected = list(ours), list(expected)
    assert len(ours) == len(expected)
    for batch, other in zip(ours, expected, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert np.array_equal(batch[name], other[name])


def take(iterator, count: int) -> list:
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize("epochs", [1, 3])
def test_every_record_comes_once_an_epoch_and_the_last_batch_is_filled_up(table, epochs):
    train = TrainInput(table, InputConfig(**options(num_epochs=epochs)))
    batches = list(train.iterator())
    assert len(batches) == train.num_steps()
    sizes = table.lengths_R - 1
    assert seen(batches) == {r + 1: epochs * int(size) for r, size in enumerate(sizes)}
    targets = (table.lengths_R - table.prompt_lengths_R).sum()
    assert sum(batch["loss_mask"].sum() for batch in batches) == epochs * targets
    assert all(batch["tokens"].shape == (8, LENGTH) for batch in batches)
    used_rows = [batch["segment_ids"].any(axis=1) for batch in batches]
    assert all(used.all() for used in used_rows[:-1])
    last = used_rows[-1]
    assert last.any() and not np.any(np.diff(last.astype(int)) > 0)  # empty rows come last
    assert not batches[-1]["loss_mask"][~last].any()


def test_epochs_flow_into_one_another_in_new_orders(table):
    train = TrainInput(table, InputConfig(**options()))
    one_epoch = TrainInput(table, InputConfig(**options(num_epochs=1)))
    packs = sum(int(batch["segment_ids"].any(axis=1).sum()) for batch in one_epoch.iterator())
    assert packs % 8, "the fixture must end an epoch within a batch"
    rows = [row for batch in take(train.iterator(), 60) for row in batch["tokens"]]
    first = seen([{"tokens": row, "segment_ids": row} for row in rows[:packs]])
    assert first == {r + 1: int(size) for r, size in enumerate(table.lengths_R - 1)}
    assert all(row.any() for row in rows)
    assert train.num_steps() is None
    second = rows[packs : packs + 20]
    assert not np.array_equal(rows[:20], second)


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_a_step_is_the_same_packs_for_any_number_of_processes(table, processes):
    alone = TrainInput(table, InputConfig(**options()))
    shares = [
        TrainInput(table, InputConfig(**options(), process_index=p, process_count=processes))
        for p in range(processes)
    ]
    for step in (0, 1, 13, 40):
        parts = [share.batch(step) for share in shares]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        assert_equal_batches([joined], [alone.batch(step)])


def test_the_seed_decides(table):
    batches = take(make_train_iterator(table, **options()), 3)
    assert_equal_batches(take(make_train_iterator(table, **options()), 3), batches)
    other = take(make_train_iterator(table, **options(seed=4)), 3)
    assert not np.array_equal(other[0]["tokens"], batches[0]["tokens"])


def pcg64(entropy: list[int]):
    """The PCG XSL-RR 128/64 generator (O'Neill 2014), seeded as numpy documents it."""
    multiplier, mask = 47026247687942121848144207491837523525, 2**128 - 1
    high, low, stream_high, stream_low = map(
        int, np.random.SeedSequence(entropy).generate_state(4, np.uint64)
    )
    increment = ((stream_high << 64 | stream_low) << 1 | 1) & mask
    state = (increment + (high << 64 | low)) * multiplier + increment & mask
    while True:
        state = state * multiplier + increment & mask
        word, turn = (state >> 64 ^ state) & 2**64 - 1, state >> 122
        yield (word >> turn | word << (64 - turn)) & 2**64 - 1


def test_the_order_of_records_is_fixed_for_good():
    # A run begun with one version of numpy must go on with another.
    lengths = np.full(6, LENGTH + 1)
    table = TokenTable(
        np.repeat(np.arange(6, dtype=np.int32), lengths),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.ones(6, np.int32),
        np.zeros(6, bool),
        np.ones(6, np.int32),
    )
    iterator = make_train_iterator(table, **options(global_batch_size=6, seed=7))
    for epoch in range(3):
        random = pcg64([7, epoch])
        order, packs = (
            sorted(range(6), key=[next(random) for _ in range(6)].__getitem__) for _ in range(2)
        )
        rows = next(iterator)["tokens"][:, 0]
        assert rows.tolist() == [order[pack] for pack in packs]


@pytest.mark.parametrize("stop", [0, 1, 7, 37])
def test_a_run_resumes_exactly_through_orbax(table, tmp_path, stop):
    uninterrupted = take(make_train_iterator(table, **options()), stop + 10)
    iterator = make_train_iterator(table, **options())
    assert_equal_batches(take(iterator, stop), uninterrupted[:stop])
    with ocp.CheckpointManager(tmp_path) as manager:
        data = grain.checkpoint.CheckpointSave(iterator)
        manager.save(stop, args=ocp.args.Composite(data=data))
        next(iterator)  # what is drawn while the saving goes on is not in the checkpoint
        manager.wait_until_finished()
    resumed = make_train_iterator(table, **options())
    with ocp.CheckpointManager(tmp_path) as manager:
        data = grain.checkpoint.CheckpointRestore(resumed)
        manager.restore(stop, args=ocp.args.Composite(data=data))
    assert resumed.step == stop
    assert_equal_batches(take(resumed, 10), uninterrupted[stop:])


def test_the_state_is_small_and_fits_any_number_of_processes(table):
    iterator = make_train_iterator(table, **options())
    take(iterator, 5)
    state = json.loads(json.dumps(iterator.get_state()))
    assert state["step"] == 5 and len(json.dumps(state)) < 1000
    alone = next(iterator)
    for process in range(2):
        half = make_train_iterator(table, **options(), process_index=process, process_count=2)
        next(half)
        half.set_state(state)
        batch = next(half)
        assert np.array_equal(batch["tokens"], alone["tokens"][4 * process : 4 * process + 4])
    started = TrainInput(table, InputConfig(**options())).iterator(start_step=5)
    assert_equal_batches([next(started)], [alone])


def test_a_state_of_other_data_or_options_is_refused(table):
    state = make_train_iterator(table, **options()).get_state()
    cases = {
        "records": make_train_iterator(numbered_table(seed=1), **options()),
        "seed": make_train_iterator(table, **options(seed=4)),
        "global_batch_size": make_train_iterator(table, **options(global_batch_size=4)),
        "sequence_length": make_train_iterator(
            table, **options(sequence_length=40, max_length=LENGTH + 1)
        ),
    }
    for name, iterator in cases.items():
        with pytest.raises(InputError, match=f"saved position: expected {name} "):
            iterator.set_state(state)
        next(iterator)
    with pytest.raises(InputError, match="expected a step number"):
        cases["seed"].set_state({"seed": 4})


def test_an_iterator_ends_and_stays_at_its_end(table):
    train = TrainInput(table, InputConfig(**options(num_epochs=1)))
    iterator = train.iterator()
    count = sum(1 for _ in iterator)
    assert count == iterator.step == train.num_steps()
    with pytest.raises(StopIteration):
        next(iterator)
    resumed = train.iterator()
    resumed.set_state(iterator.get_state())
    with pytest.raises(StopIteration):
        next(resumed)
    resumed.close()
    with pytest.raises(ValueError, match="closed"):
        next(resumed)
    assert isinstance(resumed, BatchIterator) and isinstance(resumed, grain.DatasetIterator)


def test_evaluation_is_one_pass_in_order(table):
    whole = list(make_eval_iterator(table, sequence_length=LENGTH, global_batch_size=8))
    assert seen(whole) == {r + 1: int(size) for r, size in enumerate(table.lengths_R - 1)}
    assert whole[0]["tokens"][0, 0] == 1
    halves = [
        make_eval_iterator(
            table, sequence_length=LENGTH, global_batch_size=8, process_index=p, process_count=2
        )
        for p in range(2)
    ]
    for batch, *parts in zip(whole, *halves, strict=True):
        joined = np.concatenate([part["tokens"] for part in parts])
        assert np.array_equal(joined, batch["tokens"])


def long_table() -> TokenTable:
    """Lengths 10, 50, 60, 33; prompts 5, 5, 40, 32. LENGTH + 1 is 33."""
    lengths = np.array([10, 50, 60, 33])
    return TokenTable(
        np.repeat(np.arange(1, 5, dtype=np.int32), lengths),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array([5, 5, 40, 32], np.int32),
        np.zeros(4, bool),
        np.ones(4, np.int32),
    )


def test_long_records_are_cut_dropped_or_refused_and_counted():
    cut = TrainInput(long_table(), InputConfig(**options(num_epochs=1)))
    counts = cut.counts
    assert (counts.records, counts.packed, counts.cut) == (4, 3, 1)
    assert (counts.dropped_overlong, counts.dropped_without_target) == (0, 1)
    assert (counts.tokens, counts.loss_tokens) == (9 + 32 + 32, 5 + 28 + 1)
    assert seen(cut.iterator()) == {1: 9, 2: 32, 4: 32}
    assert sum(batch["loss_mask"].sum() for batch in cut.iterator()) == counts.loss_tokens

    dropped = TrainInput(long_table(), InputConfig(**options(num_epochs=1, overlong="drop")))
    assert (dropped.counts.dropped_overlong, dropped.counts.dropped_without_target) == (2, 0)
    assert seen(dropped.iterator()) == {1: 9, 4: 32}
    with pytest.raises(InputError, match=r"2 of 4 records: expected at most 33 .* record 2 has 60"):
        TrainInput(long_table(), InputConfig(**options(overlong="refuse")))
    shorter = TrainInput(long_table(), InputConfig(**options(num_epochs=1, max_length=8)))
    assert seen(shorter.iterator()) == {1: 7, 2: 7}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence_length": 0}, "sequence_length: expected at least 1; got 0"),
        ({"global_batch_size": 0}, "global_batch_size: expected at least 1"),
        ({"process_count": 3}, "global_batch_size: expected a multiple of the 3 processes; got 8"),
        ({"process_index": 1}, "process_index: expected 0 to 0; got 1"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"num_epochs": 0}, "num_epochs: expected at least 1, or None"),
        ({"max_length": LENGTH + 2}, "max_length: expected 2 to 33"),
        ({"overlong": "wrap"}, "overlong: expected truncate, drop or refuse; got 'wrap'"),
        ({"max_length": 2}, "expected records with a response to learn; got none of 1"),
    ],
)
def test_bad_options_are_refused(changes, message):
    table = TokenTable(
        np.ones(9, np.int32),
        np.array([0, 9]),
        np.array([4], np.int32),
        np.zeros(1, bool),
        np.ones(1, np.int32),
    )
    with pytest.raises(InputError, match=message):
        TrainInput(table, InputConfig(**options(**changes)))


class CharacterTokenizer:
    """An independent stand-in for a transformers tokenizer: a token is a code point."""

    bos_token_id = 1
    eos_token_id = 2

    def __call__(self, text, **_):
        return {"input_ids": [[ord(character) for character in one] for one in text]}


def test_records_are_asked_in_upstreams_prompts():
    records = [PyXRecord(str(i), "", f"call {i}", "", f"answer {i}") for i in range(300)]
    table = tokenize_records(records, CharacterTokenizer())
    for number in (0, 255, 256, 299):
        tokens = table[number].tokens.tolist()
        prompt, response = training_prompt(records[number]), f"answer {number}"
        assert tokens == [1, *map(ord, prompt), *map(ord, response), 2]
    assert table.kinds_R.tolist() == [2] * 300  # forward
    batch = next(make_train_iterator(records, CharacterTokenizer(), **options(sequence_length=512)))
    answers = "".join(map(chr, batch["targets"][batch["loss_mask"]])).split("\x02")[:-1]
    assert len(answers) == batch["segment_ids"].max(axis=1).sum()
    assert set(answers) <= {f"answer {i}" for i in range(300)}
    with pytest.raises(InputError, match="tokenizer"):
        TrainInput(records, InputConfig(**options()))
