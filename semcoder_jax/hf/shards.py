"""Reads weight files of a model directory by slice, checks them, and writes them in a stream.

Safetensors (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON header
of names, dtypes, shapes and byte ranges, the data. A model is one `model.safetensors`, or many
files beside `model.safetensors.index.json`. `pytorch_model.bin` likewise, through torch.
"""

import contextlib
import errno
import json
import math
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from data_pipeline.files import AnyPath, as_path, is_remote, local_copy, open_atomically
from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import configured_dtype, read_json, write_json

SAFETENSORS = "model.safetensors"
PICKLED = "pytorch_model.bin"
DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
DEFAULT_SHARD_BYTES = 5_000_000_000


class ShardReader:
    """Reads the tensors of a model directory by name.

    Opening reads headers only, after copying files in an object store to this machine. Each read
    opens its file anew, so that the memory map of a file (which counts as this process's memory)
    lives no longer than one tensor's copy.
    """

    def __init__(self, directory: AnyPath):
        self.directory = directory
        names = _weight_files(directory)
        here = local_copy(directory, wanted=set(names).__contains__)
        self.files = [here / name for name in names]
        self._tensors: dict[str, tuple[Path, tuple[int, ...]]] = {}
        self._pickled: dict[Path, dict] = {}
        for path in self.files:
            self._read_header(path)
        self._check_index()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, (_, shape) in self._tensors.items()}

    def dtypes(self) -> set[str]:
        """Returns the names of the tensors' dtypes, as far as they can be read."""
        codes = {code: str(dtype) for code, dtype in DTYPES.items()}
        found = {
            str(tensor.dtype).removeprefix("torch.")
            for tensors in self._pickled.values()
            for tensor in tensors.values()
        }
        for path in self.files:
            if path not in self._pickled:
                with _open(path) as file:
                    names = tuple(file.keys())
                    found |= {codes.get(file.get_slice(name).get_dtype(), "") for name in names}
        return found & set(codes.values())

    def read(self, name: str, index: tuple[slice, ...] | None = None) -> np.ndarray:
        """Returns a copy of a tensor's slice.

        A slice of rows reads only its bytes; a slice of columns may read more, but keeps only its
        own.
        """
        path, shape = self._tensors[name]
        index = tuple(slice(None) for _ in shape) if index is None else index
        if path in self._pickled:
            return _to_numpy(self._pickled[path][name][index], path, name)
        with _open(path) as file:
            part = file.get_slice(name)
            if part.get_dtype() not in DTYPES:
                raise HFError(
                    f"{path}: {name} has dtype {part.get_dtype()}, expected {', '.join(DTYPES)}"
                )
            return part[tuple(slice(*s.indices(n)[:2]) for s, n in zip(index, shape, strict=True))]

    def check(self, expected: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()) -> None:
        """Raises one HFError that lists every missing, misshapen and unexpected tensor."""
        found, ignored = self.shapes, set(ignored)
        problems = [f"missing {name} {list(expected[name])}" for name in expected.keys() - found]
        problems += [
            f"unexpected {name} {list(found[name])}"
            for name in found.keys() - expected.keys() - ignored
            if not name.endswith("rotary_emb.inv_freq")  # a constant that old exports carry
        ]
        problems += [
            f"{name} has shape {list(found[name])}, expected {list(shape)}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ]
        if problems:
            raise HFError(
                f"{self.directory}: {len(problems)} tensors do not fit config.json: "
                + "; ".join(sorted(problems))
            )

    def _read_header(self, path: Path) -> None:
        if path.suffix == ".bin":
            tensors = self._pickled[path] = _load_pickled(path)
            shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        else:
            with _open(path) as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        for name, shape in shapes.items():
            if name in self._tensors:
                raise HFError(f"{path}: {name} is also in {self._tensors[name][0].name}")
            self._tensors[name] = (path, shape)

    def _check_index(self) -> None:
        """Raises HFError unless every tensor is in the file that the index names."""
        index = _index_path(self.directory)
        if index is None:
            return
        weight_map = _weight_map(index)
        wrong = [
            f"{name} is not in {file}"
            for name, file in weight_map.items()
            if name not in self._tensors or self._tensors[name][0].name != file
        ]
        if wrong:
            raise HFError(f"{index}: {'; '.join(sorted(wrong))}")


def stored_dtype(directory: str | Path) -> str:
    """Returns the dtype that config.json names, or else that of the weights themselves.

    Weights of several dtypes are float32, which holds the values of all.
    """
    dtype = configured_dtype(directory)
    if dtype is not None:
        return dtype
    found = ShardReader(as_path(directory)).dtypes()
    return found.pop() if len(found) == 1 else "float32"


class ShardWriter:
    """Writes a known list of tensors, one at a time in order, as safetensors shards.

    One shard is `model.safetensors`; several are numbered and an index is written beside them.
    """

    def __init__(
        self,
        directory: AnyPath,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: str,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
    ):
        self._directory = directory
        self._dtype = np.dtype(dtype)
        self._shapes = dict(shapes)
        self._shards = plan_shards(self._shapes, self._dtype.itemsize, shard_bytes)
        self._waiting = [(file, name) for file, names in self._shards.items() for name in names]
        self._open = contextlib.ExitStack()
        self._name = ""  # of the shard that is open
        self._file: BinaryIO | None = None

    def write(self, name: str, tensor: np.ndarray) -> None:
        """Writes the next tensor of the list."""
        file, expected = self._waiting.pop(0)
        if (name, tensor.shape, tensor.dtype) != (expected, self._shapes[name], self._dtype):
            raise AssertionError(f"{name} {tensor.shape} {tensor.dtype} where {expected} was due")
        with _translate_disk_errors(self._directory):
            if self._file is None or self._name != file:
                self._name, self._file = file, self._open_shard(file)
            self._file.write(np.ascontiguousarray(tensor).view(np.uint8).data)

    def close(self) -> None:
        if self._waiting:
            raise AssertionError(f"{len(self._waiting)} tensors were not written")
        with _translate_disk_errors(self._directory):
            self._open.close()
            if len(self._shards) > 1:
                write_json(self._directory / f"{SAFETENSORS}.index.json", self._index())

    def _index(self) -> dict:
        weight_map = {name: file for file, names in self._shards.items() for name in names}
        total = sum(math.prod(shape) for shape in self._shapes.values()) * self._dtype.itemsize
        return {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}

    def _open_shard(self, name: str) -> BinaryIO:
        self._open.close()  # the shard before is complete
        file = self._open.enter_context(open_atomically(self._directory / name, durable=True))
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for tensor in self._shards[name]:
            end = offset + math.prod(self._shapes[tensor]) * self._dtype.itemsize
            header[tensor] = {
                "dtype": _CODES[self._dtype],
                "shape": list(self._shapes[tensor]),
                "data_offsets": [offset, end],
            }
            offset = end
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 8)  # the data begins aligned
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        return file


def plan_shards(
    shapes: Mapping[str, tuple[int, ...]], itemsize: int, shard_bytes: int
) -> dict[str, list[str]]:
    """Assigns tensors to files in order, up to `shard_bytes` each; returns file name → tensors.

    A larger tensor gets its own file.
    """
    groups, filled = [[]], 0
    for name, shape in shapes.items():
        size = math.prod(shape) * itemsize
        if groups[-1] and filled + size > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    if len(groups) == 1:
        return {SAFETENSORS: groups[0]}
    count = len(groups)
    return {f"model-{i:05d}-of-{count:05d}.safetensors": g for i, g in enumerate(groups, 1)}


def check_space(directory: AnyPath, needed: int) -> None:
    """Raises HFError if the disk of `directory` has fewer than `needed` bytes free.

    An object store always has room.
    """
    if is_remote(directory):
        return
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise HFError(f"{directory}: needs {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB")


def _weight_files(directory: AnyPath) -> list[str]:
    """Returns the names of the files that hold the weights."""
    index = _index_path(directory)
    if index is not None:
        names = sorted(set(_weight_map(index).values()))
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            raise HFError(
                f"{directory}: {len(missing)} of {len(names)} shards named in {index.name} are "
                f"missing: {', '.join(missing)}"
            )
        return names
    for name in (SAFETENSORS, PICKLED):
        if (directory / name).is_file():
            return [name]
    raise HFError(
        f"{directory}: no weights, expected {SAFETENSORS}, {SAFETENSORS}.index.json or {PICKLED}"
    )


def _index_path(directory: AnyPath) -> AnyPath | None:
    """Returns the index file, preferring safetensors; None if one file holds all weights."""
    for name in (SAFETENSORS, PICKLED):
        if (directory / f"{name}.index.json").is_file():
            return directory / f"{name}.index.json"
        if (directory / name).is_file():
            return None
    return None


def _weight_map(index: AnyPath) -> dict[str, str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise HFError(f"{index}: weight_map is missing or empty")
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise HFError(f"{index}: {name} lies in {file!r}, expected a file name")
    return weight_map


def _open(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        size = path.stat().st_size
        raise HFError(
            f"{path}: truncated or not a safetensors file ({size} bytes on disk; {error})"
        ) from error
    except OSError as error:
        raise HFError(f"{path}: {error.strerror or error}") from error


def _load_pickled(path: Path) -> dict:
    try:
        import torch  # an optional dependency, only for checkpoints that have no safetensors
    except ImportError:
        raise HFError(f"{path}: reading .bin files needs torch: pip install torch") from None
    try:
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HFError(f"{path}: truncated or not a torch checkpoint ({first})") from error
    if not isinstance(found, Mapping):
        raise HFError(f"{path}: holds a {type(found).__name__}, expected tensors by name")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            kind = type(tensor).__name__
            raise HFError(f"{path}: {name!r:.100} is a {kind}, expected a tensor with a name")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise HFError(f"{path}: {name} is sparse, quantized or empty, expected a dense tensor")
    return dict(found)


def _to_numpy(tensor, path: Path, name: str) -> np.ndarray:
    """Copies a torch tensor to a NumPy array."""
    import torch

    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.uint16).numpy().copy().view(ml_dtypes.bfloat16)
    if tensor.dtype not in (torch.float32, torch.float16):
        raise HFError(f"{path}: {name} has dtype {tensor.dtype}, expected float32 or a half")
    return tensor.numpy().copy()


class _translate_disk_errors:
    """Turns a full disk or quota into an HFError."""

    def __init__(self, directory: Path):
        self._directory = directory

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError) and error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        ):
            raise HFError(f"{self._directory}: {error.strerror}, nothing was kept") from error
