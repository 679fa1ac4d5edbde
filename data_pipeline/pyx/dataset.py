"""Builds TFDS datasets of PyX and PyX-R from JSONL in upstream's schema, without TensorFlow.

`prepare` writes `data_dir/name/version/` in ArrayRecord, again only if the JSONL changed; `load`
returns a split as a random-access sequence of records, in the order of its file.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, overload

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer
from tqdm import tqdm

from data_pipeline.errors import UserError
from data_pipeline.files import as_path, hold_lock, local_copy
from data_pipeline.pyx.folders import NAME, VERSION, fingerprint_of, folder_of, metadata_of
from data_pipeline.pyx.records import KINDS, Record, RecordError, make_record, read_jsonl
from data_pipeline.source.fingerprints import explain_mismatch

_SPLIT_BY = "function_fingerprint"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class PyxError(UserError):
    """Reports a dataset that cannot be prepared or loaded; the message is one line."""


class Pyx(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes examples of four texts: `id`, `kind` (a name in KINDS), `prompt_field`, `response`.

    Args:
      jsonl_by_split: split name -> JSONL file.
      records_by_split: split name -> number of records in the file.
      fingerprint: hash of the sources, stored in the metadata.
    """

    VERSION = tfds.core.Version(VERSION)
    # Skips TFDS's search for download checksums, which needs an undeclared package
    # (importlib_resources).
    code_path = None

    def __init__(
        self,
        *,
        jsonl_by_split: Mapping[str, Path],
        records_by_split: Mapping[str, int],
        fingerprint: str,
        **options: Any,
    ):
        self._jsonl_by_split = dict(jsonl_by_split)
        self._records_by_split = dict(records_by_split)
        self._fingerprint = fingerprint
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        # Training shuffles the records, so a split keeps the order of its file.
        return dataset_info(self, self._fingerprint, disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split) for split in self._jsonl_by_split}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, str]]]:
        records = tqdm(
            read_jsonl(self._jsonl_by_split[split]),
            desc=f"write {split}",
            total=self._records_by_split[split],
            unit="record",
            disable=None,
        )
        for number, record in enumerate(records):
            yield number, example(record)


class _OwnInfo(tfds.core.DatasetInfo):
    """Describes a dataset that TFDS does not publish."""

    def initialize_from_bucket(self) -> None:
        """Does nothing: TFDS would look for published metadata and leave an empty folder behind."""


def dataset_info(
    builder: tfds.core.DatasetBuilder,
    fingerprint: str,
    *,
    disable_shuffling: bool,
    split_by: str | None = None,
) -> tfds.core.DatasetInfo:
    """Describes a dataset to TFDS.

    Args:
      fingerprint: hash of the dataset's sources.
      split_by: name of the function fingerprint that chose the held-out functions; None if the
        input files were already split.
    """
    metadata = {"fingerprint": fingerprint}
    if split_by is not None:
        metadata[_SPLIT_BY] = split_by
    return _OwnInfo(
        builder=builder,
        description=f"PyX and PyX-R training records; kinds: {', '.join(KINDS)}.",
        features=tfds.features.FeaturesDict(
            {name: tfds.features.Text() for name in ("id", "kind", "prompt_field", "response")}
        ),
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=disable_shuffling,
    )


def example(record: Record) -> dict[str, str]:
    """Converts a record to an example of the dataset."""
    return {
        "id": record.id,
        "kind": record.kind,
        "prompt_field": record.prompt_field,
        "response": record.response,
    }


class RecordSource(Sequence[Record]):
    """Reads the records of a prepared split by number, on demand, from ArrayRecord."""

    def __init__(self, data_source: Sequence[Mapping[str, bytes]]):
        self._data_source = data_source

    def __len__(self) -> int:
        return len(self._data_source)

    @overload
    def __getitem__(self, number: int) -> Record: ...
    @overload
    def __getitem__(self, number: slice) -> list[Record]: ...
    def __getitem__(self, number):
        if isinstance(number, slice):
            return self.__getitems__(range(len(self))[number])
        if not -len(self) <= number < len(self):
            raise IndexError(f"record {number} of {len(self)}")
        return _record(self._data_source[number % len(self)])

    def __getitems__(self, numbers: Sequence[int]) -> list[Record]:
        """Reads several records in one request, as grain does."""
        return [_record(example) for example in self._data_source.__getitems__(list(numbers))]


def prepare(
    jsonl_by_split: Mapping[str, str | os.PathLike],
    data_dir: str | os.PathLike,
    name: str = NAME,
) -> Path:
    """Writes the dataset `name` from JSONL files and returns its folder.

    Writes nothing if the dataset was made from the same bytes. Otherwise builds a new one beside
    it and replaces the old one once the new one is complete. Processes that prepare the same
    `data_dir` (a local or shared file system) wait for one another.

    Raises RecordError (file, line, field) before anything is written, and PyxError.
    """
    _check_name("name", name)
    if not jsonl_by_split:
        raise PyxError('jsonl_by_split: expected at least one split, e.g. {"train": "train.jsonl"}')
    for split in jsonl_by_split:
        _check_name("split", split)
    paths = {split: as_path(path) for split, path in jsonl_by_split.items()}
    fingerprint = _fingerprint(paths)
    folder = folder_of(data_dir, name)
    if fingerprint_of(folder) == fingerprint:
        return folder
    counts = {split: _count(path) for split, path in paths.items()}
    with staging_folder(Path(data_dir), name) as into:
        if fingerprint_of(folder) != fingerprint:  # another process may have made it meanwhile
            _build(paths, counts, fingerprint, into, name)
            move_into_place(into, folder)
    return folder


def move_into_place(into: Path, folder: Path) -> None:
    """Moves the finished dataset from the staging folder `into` to `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(into / "replaced")
    (into / folder.parent.name / folder.name).rename(folder)


def splits(data_dir: str | os.PathLike, name: str = NAME) -> tuple[str, ...]:
    """Returns the split names of a prepared dataset. Raises PyxError if there is no dataset."""
    return tuple(_builder(data_dir, name).info.splits)


def load(data_dir: str | os.PathLike, split: str, name: str = NAME) -> RecordSource:
    """Opens the records of a prepared split. Raises PyxError if dataset or split is missing."""
    folder = folder_of(data_dir, name)
    builder = _builder(data_dir, name, split)
    if split not in builder.info.splits:
        raise PyxError(
            f"{folder}: split {split!r}: expected one of {', '.join(builder.info.splits)}"
        )
    return RecordSource(builder.as_data_source(split))


def _builder(
    data_dir: str | os.PathLike, name: str, split: str | None = None
) -> tfds.core.DatasetBuilder:
    """Opens a dataset; of one in a store, copies the records of `split` alone to this machine."""
    folder = folder_of(data_dir, name)
    if fingerprint_of(folder) is None:
        raise PyxError(
            f"{data_dir}: expected the --output of a build; there is no dataset {name} in it "
            "(python -m data_pipeline.build makes one)"
        )
    if mismatch := explain_mismatch(metadata_of(folder).get(_SPLIT_BY), folder):
        raise PyxError(mismatch)
    return tfds.builder_from_directory(local_copy(folder, wanted=_without_other_splits(split)))


def _without_other_splits(split: str | None) -> Callable[[str], bool]:
    """Returns whether a file of a dataset is needed to read `split` (None: the metadata alone)."""
    mark = ".array_record-"  # pyx-train.array_record-00000-of-00001
    return lambda name: mark not in name or f"-{split}{mark}" in name


def _build(
    paths: Mapping[str, Path], counts: Mapping[str, int], fingerprint: str, into: Path, name: str
) -> None:
    # TFDS names a dataset after its class.
    named = type("NamedPyx", (Pyx,), {"name": name, "__module__": __name__}, skip_registration=True)
    builder = named(
        jsonl_by_split=paths, records_by_split=counts, fingerprint=fingerprint, data_dir=into
    )
    tfds.disable_progress_bar()  # our own bar shows rate and remaining time
    # TFDS prints the path in `into`, which is temporary.
    with redirect_stdout(StringIO()), repeatable_bytes():
        builder.download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )


def _record(example: Mapping[str, bytes]) -> Record:
    text = {name: value.decode() for name, value in example.items()}
    return make_record(text["id"], text["kind"], text["prompt_field"], text["response"])


def _check_name(what: str, name: str) -> None:
    # TFDS reads "all" as the name of all splits together.
    if not _NAME.fullmatch(name) or name == "all":
        raise PyxError(
            f"{what} {name!r}: expected lower-case letters, digits and underscores, and not 'all'"
        )


def _count(path: Path) -> int:
    """Checks every record of a file and returns their number."""
    count = sum(1 for _ in tqdm(read_jsonl(path), desc=f"check {path.name}", disable=None))
    if count == 0:
        raise RecordError(f"{path}: expected at least one record; the file is empty")
    return count


def _fingerprint(paths: Mapping[str, Path]) -> str:
    """Returns a SHA-256 of the split names and the bytes of their files."""
    digests = {}
    for split, path in paths.items():
        try:
            with path.open("rb") as file:
                digests[split] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise RecordError(f"{path}: cannot read the file: {error.strerror}") from None
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


@contextmanager
def staging_folder(data_dir: Path, name: str = NAME) -> Iterator[Path]:
    """Locks the dataset against other processes and yields an empty folder to build in.

    Removes what a killed build left in that folder, which is safe while the lock is held.
    """
    with hold_lock(data_dir / f".{name}.lock", wait=True):
        into = data_dir / f".{name}.building"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        try:
            yield into
        finally:
            shutil.rmtree(into, ignore_errors=True)


@contextmanager
def repeatable_bytes() -> Iterator[None]:
    """Lets TFDS write the same bytes for the same examples in the block.

    It writes the features of an example in the order of a hash table, which each process chooses
    anew.
    """

    def serialize(self: ExampleSerializer, example: Any) -> bytes:
        return self.get_tf_example(example).SerializeToString(deterministic=True)

    original = ExampleSerializer.serialize_example
    ExampleSerializer.serialize_example = serialize
    try:
        yield
    finally:
        ExampleSerializer.serialize_example = original
