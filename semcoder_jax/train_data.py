"""The tokenizer and the batches that a training config names; made first where it asks for it."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from data_pipeline import pyx, synthetic, vocabulary
from data_pipeline.input import BatchIterator, TrainInput
from data_pipeline.prompts import training_prompt
from semcoder_jax import hf
from semcoder_jax.config import ConfigError, RunConfig, check_arguments


@dataclasses.dataclass(frozen=True)
class Data:
    """The opened data: training batches from step 0 on, held-out batches if there are any.

    ``record_ids(step)``: the ids of the records that update ``step`` (from 1) learns from, of all
    processes' rows.
    """

    tokenizer: Any
    train: BatchIterator
    eval: TrainInput | None
    num_steps: int
    record_ids: Callable[[int], list[str]]


def open_data(run: RunConfig, workdir: Path) -> Data:
    """Tokenizer and batches; builds the synthetic corpus or a tokenizer first if the config asks
    for it."""
    data_dir, tokenizer_path = _prepared(run, workdir)
    tokenizer = hf.read_tokenizer(tokenizer_path)
    shared = {
        "tokenizer": tokenizer,
        "sequence_length": run.data.sequence_length,
        "global_batch_size": run.data.global_batch_size,
        "overlong": run.data.overlong,
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }
    train_records = pyx.load(data_dir, "train")
    train_input = TrainInput(train_records, seed=run.seed, num_epochs=run.data.num_epochs, **shared)
    held_out = None
    if "eval" in pyx.splits(data_dir):
        records = pyx.load(data_dir, "eval")
        held_out = TrainInput(records, seed=0, num_epochs=1, shuffle=False, **shared)
    num_steps = run.train.num_steps
    if num_steps is None:
        num_steps = train_input.num_steps()

    def record_ids(step: int) -> list[str]:
        return [train_records[int(number)].id for number in train_input.records(step - 1)]

    return Data(tokenizer, train_input.iterator(), held_out, num_steps, record_ids)


def _prepared(run: RunConfig, workdir: Path) -> tuple[Path, Path]:
    """(folder of the prepared dataset, tokenizer directory), both whole."""
    if run.data.source == "pyx":
        return Path(run.data.directory), _tokenizer_of(run, workdir)
    jsonl_by_split, tokenizer_path = _data_paths(run, workdir)
    pyx.prepare(jsonl_by_split, workdir / "data")
    return workdir / "data", tokenizer_path


def _tokenizer_of(run: RunConfig, workdir: Path) -> Path:
    """The tokenizer that the config names, or one of the dataset's own words."""
    if run.data.tokenizer:
        return Path(run.data.tokenizer)
    folder = workdir / "tokenizer"
    records = pyx.load(run.data.directory, "train")
    if jax.process_index() == 0:
        texts = itertools.chain.from_iterable(
            (training_prompt(record), record.response) for record in records
        )
        vocabulary.train_tokenizer(texts, run.data.vocabulary_words).save_pretrained(folder)
    _barrier("tokenizer")
    return folder


def _data_paths(run: RunConfig, workdir: Path) -> tuple[dict[str, Path], Path]:
    """JSONL by split ("train", perhaps "eval"), tokenizer directory."""
    data = run.data
    if data.source == "jsonl":
        paths = {"train": data.train, "eval": data.eval}
        paths = {split: Path(path) for split, path in paths.items() if path}
        for split, path in paths.items():
            if not path.is_file():
                raise ConfigError(f"config: data.{split}: {path}: no such file")
        return paths, Path(data.tokenizer)

    check_arguments(synthetic.build, data.synthetic, "data.synthetic")
    if jax.process_index() == 0:
        synthetic.build(workdir / "corpus", **data.synthetic)
    _barrier("corpus")
    corpus = synthetic.build(workdir / "corpus", **data.synthetic)  # made: only says where
    return {"train": Path(corpus.train), "eval": Path(corpus.heldout)}, Path(corpus.tokenizer)


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
