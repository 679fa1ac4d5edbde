"""Reads and writes prepared tokens: a tokenized dataset on disk, accessed by record number.

`data_pipeline.tokens.tokenize` writes a folder with:

- `manifest.json`: the tokenizer's digest, the sources, and for each split the numbers of records,
  tokens and kinds, and the shards with their sizes;
- `SPLIT-00000-of-00012.array_record`, ...: one ArrayRecord entry per record: prompt length
  (uint32), kind number and size of the id (uint16 each), the id (UTF-8), the tokens (uint16 if the
  vocabulary fits, else int32), uncut, with BOS and EOS; little-endian;
- `SPLIT.index.npz`: `lengths`, `prompt_lengths` (uint32) and `kinds` (uint8) of all records, which
  suffice for planning and are the only part held in memory;
- `tokenizer/`: the tokenizer, for training.

Axes: R record.
"""

import hashlib
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource

from data_pipeline.errors import UserError
from data_pipeline.files import as_path, is_remote, local_copy, place_of_copy, write_bytes
from data_pipeline.tokens.packing import Tokenizer
from data_pipeline.tokens.tokenizer_identity import tokenizer_digest

FORMAT = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"

_HEADER = struct.Struct("<IHH")


class PreparedError(UserError):
    """Reports prepared tokens that cannot be used; the message is one line."""


def token_dtype(tokenizer: Any) -> np.dtype:
    """Returns uint16 if all ids of the tokenizer fit, else int32; little-endian."""
    return np.dtype("<u2" if max(tokenizer.get_vocab().values()) < 2**16 else "<i4")


# --- entries and files ----------------------------------------------------------------------------


def pack_entry(tokens: np.ndarray, prompt_length: int, kind: int, record_id: str) -> bytes:
    """Encodes a record as an ArrayRecord entry; `tokens` have the folder's dtype."""
    name = record_id.encode()
    return _HEADER.pack(prompt_length, kind, len(name)) + name + tokens.tobytes()


def unpack_entry(entry: bytes, dtype: np.dtype) -> tuple[np.ndarray, str]:
    """Decodes an entry to (tokens, record id). Raises ValueError if it is malformed."""
    if len(entry) < _HEADER.size:
        raise ValueError(f"expected an entry of at least {_HEADER.size} bytes; got {len(entry)}")
    _, _, name_size = _HEADER.unpack_from(entry)
    end = _HEADER.size + name_size
    return np.frombuffer(entry, dtype, offset=end), entry[_HEADER.size : end].decode()


def write_index(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Writes an .npz atomically; returns its hexadecimal SHA-256."""
    content = BytesIO()
    np.savez(content, **arrays)
    write_bytes(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def read_index(path: Path, sha256: str | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz. Raises PreparedError if it is damaged or its hash differs."""
    try:
        content = path.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("expected the SHA-256 in the manifest; got another")
        with np.load(BytesIO(content)) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PreparedError(f"{path}: cannot be read: {reason}; prepare the tokens anew") from None


def read_manifest(directory: Path) -> dict:
    """Reads the manifest of a folder of prepared tokens. Raises PreparedError."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise PreparedError(
            f"{directory}: expected prepared tokens ({MANIFEST}); make them: python -m "
            f"data_pipeline.prepare --data=… --tokenizer=… --output={directory}"
        ) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise PreparedError(f"{path}: cannot be read: {reason}; prepare the tokens anew") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise PreparedError(f"{path}: expected format {FORMAT}; got {found}: prepare them anew")
    missing = {"tokenizer", "token_dtype", "splits"} - manifest.keys()
    if missing:
        raise PreparedError(f"{path}: {', '.join(sorted(missing))}: missing; prepare them anew")
    return manifest


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shard:
    """Describes a shard to ArrayRecordDataSource, so that it opens files only to read them."""

    filename: str
    take: int
    examples_in_shard: int
    skip: int = 0


class PreparedTokens:
    """Reads one split of one or several prepared datasets; a packing.TokenSource. Thread-safe.

    Concatenates the datasets. Sizes and kinds are in memory, 20 bytes per record; tokens are read
    on demand.
    """

    def __init__(self, datasets: Mapping[str, tuple[Path, Mapping]], dtype: np.dtype):
        """`datasets` maps names to the folder and the split's part of the manifest."""
        self.dataset_names = tuple(datasets)
        self._dtype = dtype
        self._shards: list[_Shard] = []
        self._absent: dict[int, str] = {}  # shards in a store that are not copied here yet
        indexes = []
        for directory, split in datasets.values():
            indexes.append(_read_split_index(directory, split))
            for shard in split["shards"]:
                if is_remote(directory):
                    self._absent[len(self._shards)] = str(directory / shard["file"])
                self._shards.append(_check_shard(directory, shard))
        self._ends = np.cumsum([shard.take for shard in self._shards])
        sizes = [len(index["lengths"]) for index in indexes]
        lengths, prompt_lengths, kinds = (
            np.concatenate([index[name] for index in indexes])
            for name in ("lengths", "prompt_lengths", "kinds")
        )
        self.lengths_R = lengths.astype(np.int64)
        self.prompt_lengths_R = prompt_lengths.astype(np.int32)
        self.kinds_R = kinds.astype(np.int32)
        self.cut_R = np.zeros(len(lengths), bool)
        self.datasets_R = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        self._digest = hashlib.sha256(
            json.dumps([(name, split["digest"]) for name, (_, split) in datasets.items()]).encode()
        ).hexdigest()
        self._source = ArrayRecordDataSource(self._shards)

    def __len__(self) -> int:
        return len(self.lengths_R)

    def tokens(self, records: np.ndarray) -> list[np.ndarray]:
        """Reads the tokens of these records, in order. uint16 or int32. Raises PreparedError."""
        return [tokens for tokens, _ in self._entries(records)]

    def ids(self, records: np.ndarray) -> list[str]:
        """Reads the ids of these records, in order. Raises PreparedError."""
        return [record_id for _, record_id in self._entries(records)]

    def digest(self) -> str:
        """Returns a hexadecimal SHA-256 of the datasets' names and all their entries."""
        return self._digest

    def _entries(self, records: np.ndarray) -> list[tuple[np.ndarray, str]]:
        numbers = np.asarray(records).tolist()
        if not numbers:
            return []
        self._copy_shards(numbers)
        try:
            entries = [
                unpack_entry(entry, self._dtype) for entry in self._source.__getitems__(numbers)
            ]
        except (RuntimeError, ValueError, IndexError) as error:
            raise PreparedError(self._damage(numbers, error)) from None
        for number, (tokens, _) in zip(numbers, entries, strict=True):
            if len(tokens) != self.lengths_R[number]:
                raise PreparedError(
                    f"{self._shard_of(number)}: record {number}: expected "
                    f"{self.lengths_R[number]} tokens, as the index says; got {len(tokens)}"
                )
        return entries

    def _damage(self, numbers: Sequence[int], error: Exception) -> str:
        """Names the damaged shard, in one line."""
        for number in numbers:
            try:
                unpack_entry(self._source[number], self._dtype)
            except (RuntimeError, ValueError, IndexError) as found:
                reason = " ".join(str(found).split())[:120]
                shard = self._shard_of(number)
                return f"{shard}: damaged ({reason}); prepare the tokens anew"
        return f"prepared tokens cannot be read: {' '.join(str(error).split())}"

    def _copy_shards(self, numbers: Sequence[int]) -> None:
        """Copies the shards that hold these records to this machine, unless they are here.

        So a host reads those shards alone that its own records are in.
        """
        if not self._absent:
            return
        wanted = set(np.searchsorted(self._ends, numbers, side="right").tolist())
        urls = {shard: self._absent.get(shard) for shard in wanted}
        absent = {shard: url for shard, url in urls.items() if url is not None}
        if absent:
            with ThreadPoolExecutor(len(absent)) as pool:
                list(pool.map(local_copy, absent.values()))
        for shard in absent:  # another thread may have copied it too
            self._absent.pop(shard, None)

    def _shard_of(self, number: int) -> str:
        return self._shards[int(np.searchsorted(self._ends, number, side="right"))].filename


def open_tokens(
    datasets: Mapping[str, Path], split: str, tokenizer: Tokenizer | None = None
) -> PreparedTokens:
    """Opens a split of several prepared datasets, in the order of their names.

    Skips folders without the split. Raises PreparedError if no folder has the split, or if a folder
    is not prepared data, is damaged, or was made with another tokenizer than `tokenizer` (or, if
    that is None, than the first folder).
    """
    manifests = {name: read_manifest(as_path(datasets[name])) for name in sorted(datasets)}
    if not manifests:
        raise PreparedError("expected at least one folder of prepared tokens; got none")
    first = next(iter(manifests))
    ours = manifests[first]["tokenizer"] if tokenizer is None else tokenizer_digest(tokenizer)
    whose = f"{datasets[first]}'s" if tokenizer is None else "the model's"
    for name, manifest in manifests.items():
        if manifest["tokenizer"] != ours:
            raise PreparedError(
                f"{datasets[name]}: expected tokens of {whose} tokenizer ({ours[:12]}); got "
                f"those of another ({manifest['tokenizer'][:12]}): prepare them again with "
                "--tokenizer=DIR of the model"
            )
    having = {
        name: (as_path(datasets[name]), manifest["splits"][split])
        for name, manifest in manifests.items()
        if split in manifest["splits"]
    }
    if not having:
        known = sorted({known for manifest in manifests.values() for known in manifest["splits"]})
        raise PreparedError(
            f"{datasets[first]}: split {split!r}: expected one of {', '.join(known)}"
        )
    return PreparedTokens(having, np.dtype(manifests[first]["token_dtype"]))


def splits(datasets: Mapping[str, Path]) -> set[str]:
    """Returns the names of all splits of the folders. Raises PreparedError."""
    return {split for path in datasets.values() for split in read_manifest(as_path(path))["splits"]}


def _read_split_index(directory: Path, split: Mapping) -> dict[str, np.ndarray]:
    path = directory / split["index"]["file"]
    index = read_index(path, split["index"]["sha256"])
    records = sum(shard["records"] for shard in split["shards"])
    if any(len(array) != records for array in index.values()):
        raise PreparedError(f"{path}: expected {records:,} records, as many as the shards hold")
    return index


def _check_shard(directory: Path, shard: Mapping) -> _Shard:
    path = directory / shard["file"]
    size = path.stat().st_size if path.is_file() else None
    if size != shard["bytes"]:
        got = "no such file" if size is None else f"{size:,}"
        raise PreparedError(
            f"{path}: expected {shard['bytes']:,} bytes, as {MANIFEST} says; got {got}: prepare "
            "the tokens anew"
        )
    return _Shard(str(place_of_copy(path)), shard["records"], shard["records"])
