"""Writes ArrayRecord shards and the description of a dataset as TFDS does, one shard at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer
from tensorflow_datasets.core.file_adapters import ArrayRecordFileAdapter
from tensorflow_datasets.core.hashing import Hasher
from tensorflow_datasets.core.splits import SplitDict, SplitInfo
from tensorflow_datasets.core.utils.shard_utils import ShardConfig, get_shard_boundaries

from data_pipeline.builder.dataset import PyxOfGroups
from data_pipeline.pyx import dataset as pyx

HASH_BITS = 128


def example_serializer() -> Callable[[Mapping[str, str]], bytes]:
    """Returns a function that serializes an example to the same bytes in every process."""
    features = tfds.features.FeaturesDict(
        {name: tfds.features.Text() for name in ("id", "kind", "prompt_field", "response")}
    )
    serializer = ExampleSerializer(features.get_serialized_info())

    def serialize(example: Mapping[str, str]) -> bytes:
        encoded = features.encode_example(example)
        return serializer.get_tf_example(encoded).SerializeToString(deterministic=True)

    return serialize


def hash_id(record_id: str, split: str) -> int:
    """Returns the number of HASH_BITS bits by which a split's records are ordered."""
    return Hasher(split).hash_key(record_id)


def shard_ends(records: int, num_bytes: int) -> Sequence[int]:
    """Returns the number of records up to the end of each shard."""
    return get_shard_boundaries(records, ShardConfig.calculate_number_shards(num_bytes, records))


def shard_name(split: str, number: int, shards: int) -> str:
    return f"{pyx.NAME}-{split}.array_record-{number:05d}-of-{shards:05d}"


def write_shard(path: Path, examples: Iterable[bytes]) -> None:
    """Writes a local file."""
    ArrayRecordFileAdapter.write_examples(path, ((None, example) for example in examples))


def write_description(folder: Path, fingerprint: str, splits: Mapping[str, Any]) -> None:
    """Writes what TFDS writes beside the shards to a local folder.

    splits: name -> {"shard_lengths", "num_bytes"}.
    """
    builder = PyxOfGroups(
        files=(), splits=(), fingerprint=fingerprint, without=(), data_dir=str(folder)
    )
    infos = [
        SplitInfo(name=name, filename_template=builder._get_filename_template(name), **found)
        for name, found in splits.items()
    ]
    builder.info.set_file_format("array_record", override=True)
    builder.info.set_splits(SplitDict(infos))
    builder.info.download_size = 0
    with redirect_stdout(StringIO()):
        builder.info.write_to_directory(folder)
