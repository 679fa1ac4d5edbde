"""The tokenizer and the batches that a training config names; made first where it asks for it."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.tokens import store as prepared
from data_pipeline.tokens.batches import BatchIterator, TrainInput
from data_pipeline.toy import corpus as synthetic
from data_pipeline.toy import vocabulary
from semcoder_jax import hf
from semcoder_jax.config import ConfigError, RunConfig, check_arguments
from semcoder_jax.training.workdir import check_tokenizer

PLANS_KEPT_FROM = 10_000  # records: fewer are planned in milliseconds, and have many epochs


@dataclasses.dataclass(frozen=True)
class Data:
    """The opened data: training batches from step 0 on, held-out batches if there are any.

    ``record_ids(step)``: the ids of the records that update ``step`` (from 1) learns from, of all
    processes' rows. ``mixture``: what an epoch is made of, a table for people.
    """

    tokenizer: Any
    train: BatchIterator
    eval: TrainInput | None
    num_steps: int
    record_ids: Callable[[int], list[str]]
    mixture: str


def open_data(run: RunConfig, workdir: Path) -> Data:
    """Tokenizer and batches; builds the synthetic corpus or a tokenizer first if the config asks
    for it. Raises a UserError."""
    if run.data.source == "tokens":
        opened = _open_tokens(run)
    else:
        opened = _open_records(*_prepared(run, workdir))
    tokenizer, train_source, held_out_source, ids = opened
    check_tokenizer(run, workdir, tokenizer)
    shared = {
        "tokenizer": tokenizer,
        "sequence_length": run.data.sequence_length,
        "global_batch_size": run.data.global_batch_size,
        "overlong": run.data.overlong,
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }
    train_input = TrainInput(
        train_source,
        seed=run.seed,
        num_epochs=run.data.num_epochs,
        mixture=run.data.mixture,
        window=run.data.packing_window,
        plan_directory=workdir / "packs" if len(train_source) >= PLANS_KEPT_FROM else None,
        **shared,
    )
    if jax.process_index() == 0:  # the others read what it plans
        train_input.plan(run.train.num_steps)
    _barrier("packs")
    held_out = None
    if held_out_source is not None:
        held_out = TrainInput(held_out_source, seed=0, num_epochs=1, shuffle=False, **shared)
    num_steps = run.train.num_steps
    if num_steps is None:
        num_steps = train_input.num_steps()

    def record_ids(step: int) -> list[str]:
        return ids(train_input.records(step - 1))

    mixture = train_input.mixture_table()
    return Data(tokenizer, train_input.iterator(), held_out, num_steps, record_ids, mixture)


def _open_tokens(run: RunConfig):
    """(tokenizer, training source, held-out source or None, ids of records by number)."""
    folders = {name: Path(path) for name, path in run.data.datasets.items()}
    first = folders[min(folders)]
    prepared.read_manifest(first)  # a clearer message than one about its tokenizer
    tokenizer = hf.read_tokenizer(run.data.tokenizer or first / prepared.TOKENIZER)
    expected = tokenizer if run.data.tokenizer else None  # else one another's
    train = prepared.open_tokens(folders, "train", expected)
    held_out = None
    if "eval" in prepared.splits(folders):
        held_out = prepared.open_tokens(folders, "eval", expected)
    return tokenizer, train, held_out, train.ids


def _open_records(data_dir: Path, tokenizer_path: Path):
    """As `_open_tokens`, of a dataset that is tokenized now."""
    train = pyx.load(data_dir, "train")
    held_out = pyx.load(data_dir, "eval") if "eval" in pyx.splits(data_dir) else None

    def ids(numbers: np.ndarray) -> list[str]:
        return [record.id for record in train.__getitems__(numbers.tolist())]

    return hf.read_tokenizer(tokenizer_path), train, held_out, ids


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
