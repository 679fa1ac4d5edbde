"""Writes the rows of all groups as a TFDS dataset in ArrayRecord.

The order of a split depends only on the ids of its records. `data_pipeline.pyx.dataset.load` reads
the dataset.
"""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import tensorflow_datasets as tfds

from data_pipeline.builder.groups import read_group
from data_pipeline.files import AnyPath, as_path, is_remote, replace_folder
from data_pipeline.pyx import dataset as pyx
from data_pipeline.source.fingerprints import FINGERPRINT


class PyxOfGroups(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes the examples of `pyx.Pyx` from group files."""

    VERSION = tfds.core.Version(pyx.VERSION)
    name = pyx.NAME
    code_path = None  # see pyx.Pyx

    def __init__(
        self,
        *,
        files: Sequence[AnyPath],
        splits: Sequence[str],
        fingerprint: str,
        without: Collection[str],
        **options: Any,
    ):
        self._files = list(files)
        self._splits = list(splits)
        self._fingerprint = fingerprint
        self._without = without
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return pyx.dataset_info(
            self, self._fingerprint, disable_shuffling=False, split_by=FINGERPRINT
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, str]]]:
        for path in self._files:
            for name, example in examples_of(path, split):
                if name not in self._without:
                    yield name, example


def examples_of(path: AnyPath, split: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (id, example) for each row of a split in a group file."""
    group = read_group(path)
    if group is None:
        raise FileNotFoundError(
            f"{path}: missing; expected a group file of this build: run the same command again"
        )
    for record in group.records(split):
        yield record.id, pyx.example(record)


def write_dataset(
    files: Sequence[AnyPath],
    splits: Sequence[str],
    fingerprint: str,
    data_dir: AnyPath,
    *,
    without: Collection[str] = (),
) -> AnyPath:
    """Writes data_dir/pyx/VERSION, replacing an older dataset, and returns that folder.

    without: ids of records to leave out of the split "train".
    """
    builder = partial(
        PyxOfGroups, files=files, splits=splits, fingerprint=fingerprint, without=without
    )
    folder = as_path(data_dir) / pyx.NAME / pyx.VERSION
    if is_remote(data_dir):
        with tempfile.TemporaryDirectory(prefix="semcoder-dataset-") as into:
            _prepare(builder(data_dir=into))
            replace_folder(pyx.folder_of(into), folder, marker="metadata.json")
        return folder
    with pyx.staging_folder(data_dir) as into:
        _prepare(builder(data_dir=str(into)))
        pyx.move_into_place(into, folder)
    return folder


def _prepare(builder: PyxOfGroups) -> None:
    tfds.disable_progress_bar()
    settings = tfds.download.DownloadConfig(
        ignore_duplicates=True,  # two functions may share a faulty variant
        try_download_gcs=False,
    )
    with redirect_stdout(StringIO()), pyx.repeatable_bytes():
        builder.download_and_prepare(file_format="array_record", download_config=settings)
