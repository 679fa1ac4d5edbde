"""Tests which files of prepared tokens a process of a run opens: those of its own rows' records.

Open files are read from /proc, records from what each process was given.
"""

import contextlib
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.pyx.records import make_record, write_jsonl
from data_pipeline.tokens.batches import InputConfig, TrainInput
from data_pipeline.tokens.store import open_tokens
from data_pipeline.tokens.tokenize import prepare
from data_pipeline.toy.vocabulary import train_tokenizer

SHARDS, PER_SHARD, PROCESSES = 12, 4, 4

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared records whose response tells their number, a few to a shard."""
    home = tmp_path_factory.mktemp("tokens")
    words = [f"w{number}" for number in range(SHARDS * PER_SHARD)]
    records = [make_record(f"r{n}", "nl", "say it", word) for n, word in enumerate(words)]
    write_jsonl(home / "train.jsonl", records)
    train_tokenizer([*words, "say it"], 200).save_pretrained(home / "tokenizer")
    prepare([home / "train.jsonl"], home / "tokenizer", home / "made", shard_records=PER_SHARD)
    return home / "made"


@pytest.fixture(scope="module")
def numbers(folder):
    """The number of each record by its input tokens, read apart from the tests' sources."""
    source = open_tokens({"made": folder}, "train")
    tokens = source.tokens(np.arange(len(source)))
    return {tuple(one[:-1].tolist()): number for number, one in enumerate(tokens)}


def open_shards() -> Counter:
    """The shards that this process has open, and how often."""
    links = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            links.append(Path(os.readlink(f"/proc/self/fd/{entry}")).name)
    return Counter(name for name in links if name.endswith(".array_record"))


def read_as(process: int, folder: Path, numbers: dict, steps: int) -> tuple[list[int], set[str]]:
    """(numbers of the records given to a process, shards that it opened)."""
    before = open_shards()
    source = open_tokens({"made": folder}, "train")
    config = InputConfig(
        sequence_length=max(map(len, numbers)),  # a record a row
        global_batch_size=PROCESSES,
        seed=5,
        num_epochs=1,
        process_index=process,
        process_count=PROCESSES,
    )
    made = TrainInput(source, config)
    assert open_shards() == before  # neither opening nor planning reads a shard
    given = []
    for step in range(steps):
        batch = made.batch(step)
        for tokens, segments in zip(batch["tokens"], batch["segment_ids"], strict=True):
            given.append(numbers[tuple(tokens[segments == 1].tolist())])
    return given, set(open_shards() - before)


def shard_of(number: int) -> str:
    return f"train-{number // PER_SHARD:05d}-of-{SHARDS:05d}.array_record"


def test_a_process_opens_the_shards_of_its_own_rows_and_no_others(folder, numbers):
    """In a few steps: the batch's other rows lie in other shards."""
    for process in range(PROCESSES):
        given, opened = read_as(process, folder, numbers, steps=2)
        assert len(given) == 2
        assert opened == {shard_of(number) for number in given}


def test_over_an_epoch_every_record_is_read_by_one_process(folder, numbers):
    read = Counter()
    for process in range(PROCESSES):
        given, opened = read_as(process, folder, numbers, steps=len(numbers) // PROCESSES)
        assert opened == {shard_of(number) for number in given}
        read.update(given)
    assert read == Counter(range(SHARDS * PER_SHARD))
