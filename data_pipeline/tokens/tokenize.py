"""Tokenizes records once and writes them in the format of data_pipeline.tokens.store.

A source is a dataset made by data_pipeline.builder, with its splits, or JSONL rows of PyX, PyX-R
or instruction data ({"instruction" or "problem", "response" or "solution"}). If `prepare` is
stopped, the next call continues with the unfinished shard.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from tqdm import tqdm

from data_pipeline.files import (
    as_path,
    hold_lock,
    is_remote,
    local_copy,
    partial_folder,
    remove_partials,
    replace_folder,
    write_json,
)
from data_pipeline.pyx.instructions import InstructionRecord, is_instruction_row, read_instructions
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import (
    TRAINING_KINDS,
    Record,
    RecordError,
    json_lines,
    kind_number,
    read_jsonl,
)
from data_pipeline.tokens.packing import encode_table
from data_pipeline.tokens.store import (
    FORMAT,
    MANIFEST,
    TOKENIZER,
    PreparedError,
    pack_entry,
    read_index,
    token_dtype,
    write_index,
)
from data_pipeline.tokens.tokenizer_identity import tokenizer_digest

SHARD_RECORDS = 8192

_PROGRESS = "progress.json"  # in an unfinished folder: identity of its sources and options


@dataclass(frozen=True)
class RecordFile:
    """Describes a source of records of one split. `fingerprint` is a hash of its content."""

    path: str
    split: str
    fingerprint: str
    records: int
    read: Callable[[], Iterable[Record | InstructionRecord]]


def prepare(
    data: Sequence[str | os.PathLike],
    tokenizer_directory: str | os.PathLike,
    output: str | os.PathLike,
    *,
    held_out: Sequence[str | os.PathLike] = (),
    shard_records: int = SHARD_RECORDS,
) -> dict:
    """Writes the folder `output` and returns its manifest; does nothing if it is up to date.

    `output` appears only when complete. Until then finished shards are in a folder beside it and
    are reused if sources, tokenizer and shard size are the same. Processes that prepare the same
    folder wait for one another.

    Raises RecordError (file, line, field) and PreparedError before anything is written.
    """
    if shard_records < 1:
        raise PreparedError(f"shard_records: expected at least 1; got {shard_records}")
    tokenizer = _read_tokenizer(as_path(tokenizer_directory))
    given = [(as_path(path), "train") for path in data]
    given += [(as_path(path), "eval") for path in held_out]
    sources = [source for path, split in given for source in _sources(path, split)]
    if not any(source.split == "train" for source in sources):
        raise PreparedError("--data: expected at least one file or dataset; got none")
    identity = {
        "format": FORMAT,
        "tokenizer": tokenizer_digest(tokenizer),
        "token_dtype": token_dtype(tokenizer).str,
        "control_tokens": "as text",  # older versions read them in a record's text
        "shard_records": shard_records,
        "sources": [
            {name: getattr(source, name) for name in ("split", "path", "fingerprint", "records")}
            for source in sources
        ],
    }
    output = as_path(output)
    if output.exists() and not (output / MANIFEST).is_file() and any(output.iterdir()):
        raise PreparedError(
            f"{output}: expected a new folder or prepared tokens; got another folder"
        )
    with hold_lock(output.with_name(f".{output.name}.lock"), wait=True):
        found = _identity_of(output / MANIFEST)
        if found == _without_paths(identity):
            return json.loads((output / MANIFEST).read_text())
        into = output.with_name(f".{output.name}.preparing")
        if is_remote(output):
            into = partial_folder(output)
        if _identity_of(into / MANIFEST) != _without_paths(identity):
            if _identity_of(into / _PROGRESS) != _without_paths(identity):
                shutil.rmtree(into, ignore_errors=True)
                into.mkdir(parents=True)
                write_json(into / _PROGRESS, identity, indent=1)
            splits = _write_splits(into, sources, tokenizer, shard_records)
            tokenizer.save_pretrained(into / TOKENIZER)
            write_json(into / MANIFEST, identity | {"splits": splits}, indent=1)
        _move_into_place(into, output)
        return json.loads((output / MANIFEST).read_text())


# --- sources --------------------------------------------------------------------------------------


def _read_tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer  # slow to import

    if not directory.is_dir():
        raise PreparedError(f"--tokenizer: {directory}: no such folder")
    try:
        return AutoTokenizer.from_pretrained(local_copy(directory))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise PreparedError(f"--tokenizer: {directory}: cannot be read: {reason}") from None


def _sources(path: Path, split: str) -> Iterator[RecordFile]:
    """Yields the sources in `path`, after checking all rows."""
    if path.is_dir():
        yield from _dataset_sources(path, split)
        return
    if not path.is_file():
        name = "--data" if split == "train" else "--eval"
        raise PreparedError(f"{name}: {path}: no such file or folder")
    read = _reader(path)
    with path.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    rows = tqdm(read(), desc=f"check {path.name}", unit="record", disable=None)
    count = sum(1 for _ in rows)
    if count == 0:
        raise RecordError(f"{path}: expected at least one record; the file is empty")
    yield RecordFile(str(path), split, fingerprint, count, read)


def _reader(path: Path) -> Callable[[], Iterable[Record | InstructionRecord]]:
    """Returns a reader of instruction data if the first row is such, else of PyX."""
    first = next((row for _, row in json_lines(path)), None)
    if is_instruction_row(first):
        return lambda: read_instructions(path)
    return lambda: read_jsonl(path)


def _dataset_sources(path: Path, split: str) -> Iterator[RecordFile]:
    from data_pipeline.pyx import dataset as pyx  # slow to import

    try:
        names = pyx.splits(path) if split == "train" else ("eval",)
        fingerprint = pyx.fingerprint_of(pyx.folder_of(path))
        for name in names:
            records = pyx.load(path, name)
            yield RecordFile(str(path), name, fingerprint, len(records), lambda r=records: _each(r))
    except pyx.PyxError as error:
        raise PreparedError(str(error)) from None


def _each(records: Sequence[Record]) -> Iterator[Record]:
    for start in range(0, len(records), 256):  # one read request
        yield from records[start : start + 256]


# --- writing --------------------------------------------------------------------------------------


def _write_splits(
    into: Path, sources: list[RecordFile], tokenizer: Any, shard_records: int
) -> dict:
    """Writes the shards and the index of each split; returns their part of the manifest."""
    splits = {}
    for split in sorted({source.split for source in sources}, reverse=True):  # train first
        of_split = [source for source in sources if source.split == split]
        total = sum(source.records for source in of_split)
        count = -(-total // shard_records)
        records = chain.from_iterable(source.read() for source in of_split)
        paths = [into / f"{split}-{n:05d}-of-{count:05d}.array_record" for n in range(count)]
        indexes = [_read_finished_index(path) for path in paths]
        done = sum(len(index["lengths"]) for index in indexes if index is not None)
        bar = tqdm(desc=f"tokenize {split}", total=total, initial=done, unit="record", disable=None)
        with bar:
            for number, path in enumerate(paths):
                of_shard = islice(records, shard_records)
                if indexes[number] is None:
                    indexes[number] = _write_shard(path, of_shard, tokenizer)
                    bar.update(len(indexes[number]["lengths"]))
                else:
                    for _ in of_shard:  # skip records of a finished shard
                        pass
        shards = [
            {"file": path.name, "records": len(index["lengths"]), "bytes": int(index["bytes"])}
            for path, index in zip(paths, indexes, strict=True)
        ]
        splits[split] = _write_split_manifest(into, split, shards, indexes)
    return splits


def _write_shard(
    path: Path, records: Iterable[Record | InstructionRecord], tokenizer: Any
) -> dict[str, np.ndarray]:
    """Tokenizes records into a shard, then writes its index, which marks it as complete."""
    ids = []

    def rows() -> Iterator[tuple[str, str, int]]:
        for record in records:
            ids.append(record.id)
            yield training_prompt(record), record.response, kind_number(record.kind)

    table = encode_table(rows(), tokenizer)
    dtype = token_dtype(tokenizer)
    digest = hashlib.sha256()
    # group_size 1, because entries are read in random order.
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for number, record_id in enumerate(ids):
        tokens = table.tokens_N[table.offsets[number] : table.offsets[number + 1]].astype(dtype)
        entry = pack_entry(
            tokens, int(table.prompt_lengths_R[number]), int(table.kinds_R[number]), record_id
        )
        digest.update(len(entry).to_bytes(8, "little") + entry)
        writer.write(entry)
    writer.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())
    index = {
        "lengths": table.lengths_R.astype(np.uint32),
        "prompt_lengths": table.prompt_lengths_R.astype(np.uint32),
        "kinds": table.kinds_R.astype(np.uint8),
        "bytes": np.array(path.stat().st_size),
        "digest": np.array(digest.hexdigest()),
    }
    write_index(path.with_suffix(".npz"), index)
    return index


def _read_finished_index(path: Path) -> dict[str, np.ndarray] | None:
    """Reads the index of a shard that an earlier session finished; None if it is not finished."""
    beside = path.with_suffix(".npz")
    if not beside.is_file() or not path.is_file():
        return None
    try:
        index = read_index(beside)
    except PreparedError:
        return None
    return index if path.stat().st_size == int(index["bytes"]) else None


def _write_split_manifest(into: Path, split: str, shards: list[dict], indexes: list[dict]) -> dict:
    arrays = {
        name: np.concatenate([index[name] for index in indexes])
        for name in ("lengths", "prompt_lengths", "kinds")
    }
    path = into / f"{split}.index.npz"
    sha256 = write_index(path, arrays)
    kinds = np.bincount(arrays["kinds"], minlength=len(TRAINING_KINDS) + 1)[1:]
    digest = hashlib.sha256("".join(str(index["digest"]) for index in indexes).encode())
    return {
        "records": len(arrays["lengths"]),
        "tokens": int(arrays["lengths"].sum()),
        "kinds": {n: int(count) for n, count in zip(TRAINING_KINDS, kinds, strict=True) if count},
        "digest": digest.hexdigest(),
        "index": {"file": path.name, "sha256": sha256},
        "shards": shards,
    }


def _move_into_place(into: Path, output: Path) -> None:
    for path in (into / _PROGRESS, *into.glob("*-of-*.npz")):
        path.unlink(missing_ok=True)
    remove_partials(into)
    replace_folder(
        into, output, is_ours=lambda folder: (folder / MANIFEST).is_file(), marker=MANIFEST
    )


def _identity_of(path: Path) -> dict | None:
    try:
        manifest = json.loads(path.read_text())
        manifest.pop("splits", None)
        return _without_paths(manifest)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _without_paths(identity: dict) -> dict:
    """Drops the paths, so that sources are compared by content and may be moved."""
    sources = [
        {name: value for name, value in source.items() if name != "path"}
        for source in identity["sources"]
    ]
    return identity | {"sources": sources}
