"""Opens the tokenizer and the batches that the `data` section names."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from data_pipeline.files import AnyPath, as_path, hold_lock, is_remote, write_bytes
from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.tokens import store as prepared
from data_pipeline.tokens.batches import BatchIterator, InputConfig, TrainInput
from data_pipeline.toy import corpus as synthetic
from data_pipeline.toy import vocabulary
from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import ConfigError, DataConfig, check_arguments
from semcoder_jax.training.workdir import check_tokenizer, machine_folder

PLANS_KEPT_FROM = 10_000  # records: fewer are planned in milliseconds, and have many epochs


@dataclasses.dataclass(frozen=True)
class Data:
    """Holds the opened data: training batches from step 0 on, and held-out batches or None.

    `record_ids(step)` returns the ids of the records in update `step` (from 1), over all
    processes. `mixture` is a printable table of the records of an epoch.
    """

    tokenizer: Any
    train: BatchIterator
    eval: TrainInput | None
    num_steps: int
    record_ids: Callable[[int], list[str]]
    mixture: str


def open_data(
    config: DataConfig,
    workdir: AnyPath,
    *,
    seed: int,
    num_steps: int | None,
    init_from: str | None = None,
) -> Data:
    """Opens the tokenizer and the batches; first makes the toy corpus or a tokenizer if needed.

    `num_steps` None: as many as `config.num_epochs` take. Raises a UserError if the data cannot be
    read, or if the tokenizer differs from that of WORKDIR's run or of the model in `init_from`.
    """
    if config.source == "tokens":
        opened = _open_tokens(config)
    else:
        opened = _open_records(*_prepare_records(config, workdir))
    tokenizer, train_source, held_out_source, ids = opened
    check_tokenizer(tokenizer, workdir, init_from)
    shared = _shared_options(config)
    train_options = dataclasses.replace(
        shared,
        seed=seed,
        num_epochs=config.num_epochs,
        mixture=config.mixture,
        window=config.packing_window,
        plan_directory=workdir / "packs" if len(train_source) >= PLANS_KEPT_FROM else None,
    )
    train = TrainInput(train_source, train_options, tokenizer)
    if jax.process_index() == 0:  # the others read its plan
        train.plan(num_steps)
    _barrier("packs")
    held_out = None
    if held_out_source is not None:
        one_pass = dataclasses.replace(shared, num_epochs=1, shuffle=False)
        held_out = TrainInput(held_out_source, one_pass, tokenizer)

    def record_ids(step: int) -> list[str]:
        return ids(train.records(step - 1))

    return Data(
        tokenizer=tokenizer,
        train=train.iterator(),
        eval=held_out,
        num_steps=train.num_steps() if num_steps is None else num_steps,
        record_ids=record_ids,
        mixture=train.mixture_table(),
    )


def open_records(
    config: DataConfig, workdir: AnyPath, init_from: str | None
) -> tuple[Any, pyx.RecordSource]:
    """Returns (tokenizer, training records as text), after making the toy corpus if needed.

    The tokenizer is that of the model in `init_from`, if there is one. Raises a UserError if the
    records cannot be read.
    """
    if config.source == "tokens":
        raise ConfigError(
            "config: data.source 'tokens': expected records as text: 'jsonl', 'pyx' or 'synthetic'"
        )
    folder, tokenizer_path = _prepare_records(config, workdir)
    if init_from is not None:
        model = as_path(init_from)
        tokenizer_path = model / MODEL if (model / MODEL).is_dir() else model
    tokenizer = hf.read_tokenizer(tokenizer_path)
    check_tokenizer(tokenizer, workdir, None)
    return tokenizer, pyx.load(folder, "train")


def _publish_problems(corpus: Path, target: AnyPath) -> None:
    """Copies the held-out problems to the workdir, where evaluations look for them."""
    for name in ("problems.jsonl", "corpus.json"):
        write_bytes(target / name, (corpus / name).read_bytes())


def _shared_options(config: DataConfig) -> InputConfig:
    """Returns the options that training and held-out batches share."""
    return InputConfig(
        sequence_length=config.sequence_length,
        global_batch_size=config.global_batch_size,
        seed=0,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        overlong=config.overlong,
    )


def _open_tokens(config: DataConfig):
    """Returns (tokenizer, training source, held-out source or None, function to record ids)."""
    folders = {name: as_path(path) for name, path in config.datasets.items()}
    first = folders[min(folders)]
    prepared.read_manifest(first)  # a clearer message than one about its tokenizer
    tokenizer = hf.read_tokenizer(config.tokenizer or first / prepared.TOKENIZER)
    expected = tokenizer if config.tokenizer else None  # None: only compared with each other
    train = prepared.open_tokens(folders, "train", expected)
    held_out = None
    if "eval" in prepared.splits(folders):
        held_out = prepared.open_tokens(folders, "eval", expected)
    return tokenizer, train, held_out, train.ids


def _open_records(data_dir: AnyPath, tokenizer_path: AnyPath):
    """Returns the same as `_open_tokens`, for a dataset that is tokenized on the fly."""
    train = pyx.load(data_dir, "train")
    held_out = pyx.load(data_dir, "eval") if "eval" in pyx.splits(data_dir) else None

    def ids(numbers: np.ndarray) -> list[str]:
        return [record.id for record in train.__getitems__(numbers.tolist())]

    return hf.read_tokenizer(tokenizer_path), train, held_out, ids


def _prepare_records(config: DataConfig, workdir: AnyPath) -> tuple[AnyPath, AnyPath]:
    """Prepares the dataset; returns (its folder, tokenizer directory).

    What it makes for a workdir in an object store lies on each machine's disk.
    """
    here, is_shared = machine_folder(workdir), not is_remote(workdir)
    if config.source == "pyx":
        return as_path(config.directory), _make_tokenizer(config, here, is_shared)
    jsonl_by_split, tokenizer_path = _data_paths(config, here, is_shared)
    pyx.prepare(jsonl_by_split, here / "data")
    if config.source == "synthetic" and not is_shared and jax.process_index() == 0:
        _publish_problems(here / "corpus", workdir / "corpus")
    return here / "data", tokenizer_path


def _make_tokenizer(config: DataConfig, workdir: Path, is_shared: bool) -> AnyPath:
    """Returns the tokenizer directory in `config`, or trains a tokenizer on the dataset."""
    if config.tokenizer:
        return as_path(config.tokenizer)
    folder = workdir / "tokenizer"
    records = pyx.load(config.directory, "train")

    def make() -> None:
        texts = itertools.chain.from_iterable(
            (training_prompt(record), record.response) for record in records
        )
        vocabulary.train_tokenizer(texts, config.vocabulary_words).save_pretrained(folder)

    _make_once("tokenizer", workdir, is_shared, make)
    return folder


def _data_paths(
    config: DataConfig, workdir: Path, is_shared: bool
) -> tuple[dict[str, AnyPath], AnyPath]:
    """Returns (JSONL file by split, tokenizer directory); the split "eval" is optional."""
    if config.source == "jsonl":
        paths = {"train": config.train, "eval": config.eval}
        paths = {split: as_path(path) for split, path in paths.items() if path}
        for split, path in paths.items():
            if not path.is_file():
                raise ConfigError(f"config: data.{split}: {path}: no such file")
        return paths, as_path(config.tokenizer)

    check_arguments(synthetic.build, config.synthetic, "data.synthetic")

    def build() -> synthetic.Corpus:
        return synthetic.build(workdir / "corpus", **config.synthetic)

    _make_once("corpus", workdir, is_shared, build)
    corpus = build()  # exists by now: returns its paths
    paths = {"train": Path(corpus.train), "eval": Path(corpus.heldout)}
    for split, path in paths.items():
        if not path.stat().st_size:
            raise ConfigError(
                f"config: data.synthetic.functions: of {corpus.functions:,} none is for {split}; "
                f"expected more"
            )
    return paths, Path(corpus.tokenizer)


def _make_once(name: str, folder: Path, is_shared: bool, make: Callable[[], object]) -> None:
    """Lets the first process make files in `folder`; one on each machine if it is not shared."""
    if is_shared and jax.process_index() == 0:
        make()
    elif not is_shared:
        with hold_lock(folder / f".{name}.lock", wait=True):
            make()
    _barrier(name)


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
