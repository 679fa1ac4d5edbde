"""Reads and atomically writes model directories for transformers, vLLM and others."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from transformers import PreTrainedTokenizerBase

from data_pipeline.files import (
    AnyPath,
    as_path,
    built_folder,
    is_remote,
    is_same_place,
    is_unfinished,
    mark_finished,
    mark_unfinished,
    partial_folder,
    replace_folder,
    write_bytes,
    write_text,
)
from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.adapter_config import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from semcoder_jax.hf.config import (
    CONFIG_FILE,
    DTYPES,
    config_fields,
    read_config,
    read_json,
    write_json,
)
from semcoder_jax.hf.generation import GENERATION_CONFIG_FILE, with_end_token
from semcoder_jax.hf.layout import parameter_count, tensor_shapes
from semcoder_jax.hf.shards import DEFAULT_SHARD_BYTES, ShardWriter, check_space
from semcoder_jax.hf.tokenizer import check_vocabulary, is_small_file, write_tokenizer
from semcoder_jax.hf.weights import read_params, tensors

CARD_FILE = "README.md"
_WEIGHTS = re.compile(r"model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json")
TOKEN_ID_FIELDS = ("bos_token_id", "eos_token_id")


def load(
    directory: str | Path,
    *,
    mesh: Mesh | None = None,
    dtype: str = "float32",
    progress: bool = False,
) -> tuple[DecoderConfig, nnx.State]:
    """Returns architecture and parameters of a local model directory.

    Casts parameters to `dtype` and shards them over `mesh` by sharding.parameter_shardings (None:
    unsharded on this process's first device). Raises HFError if a file or tensor is missing or does
    not fit.
    """
    directory = as_path(directory)
    config = read_config(directory)
    return config, read_params(directory, config, mesh=mesh, dtype=dtype, progress=progress)


def write_model_directory(
    directory: str | Path,
    config: DecoderConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: str = "float32",
    origin: str | None = None,
    end_token: int | None = None,
) -> None:
    """Writes all but the weights: config.json, generation_config.json and the tokenizer's files.

    Takes special token ids, generation settings and `_name_or_path` (the model that a Hugging Face
    config derives from) from the config files beside the tokenizer. `origin` overrides
    `_name_or_path`; without config files the ids are the tokenizer's. `end_token`, which training
    puts after every record, ends generations beside those of the files. Copies a licence file that
    lies beside the tokenizer.
    """
    check_vocabulary(tokenizer, config.vocab_size, str(directory))
    source = Path(str(tokenizer.name_or_path))
    with built_folder(directory, last=CONFIG_FILE) as here:
        _write_small_files(here, source, config, tokenizer, dtype, origin, end_token)


def _write_small_files(
    directory: Path,
    source: Path,
    config: DecoderConfig,
    tokenizer: PreTrainedTokenizerBase,
    dtype: str,
    origin: str | None,
    end_token: int | None,
) -> None:
    """Writes what `write_model_directory` says to a local directory."""
    ids = {name: getattr(tokenizer, name) for name in TOKEN_ID_FIELDS}
    if (source / CONFIG_FILE).is_file():
        fields = read_json(source / CONFIG_FILE)
        ids |= {name: fields[name] for name in TOKEN_ID_FIELDS if fields.get(name) is not None}
        origin = origin or fields.get("_name_or_path")
    generation = ids
    if (source / GENERATION_CONFIG_FILE).is_file():
        generation = ids | read_json(source / GENERATION_CONFIG_FILE)
    write_tokenizer(tokenizer, directory)
    copy_license(source, directory)
    fields = config_fields(config, dtype=dtype, token_ids=ids)
    write_json(directory / CONFIG_FILE, ({"_name_or_path": origin} if origin else {}) | fields)
    write_json(directory / GENERATION_CONFIG_FILE, with_end_token(generation, end_token))


def export(
    directory: str | Path,
    config: DecoderConfig,
    params: nnx.State,
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: str = "bfloat16",
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    card: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> AnyPath:
    """Writes the full model to `directory`: weights in `dtype`, config, tokenizer, `card`.

    The directory appears only when complete: files are written to a hidden directory beside it,
    which is then renamed. In an object store they are uploaded one by one, config.json last.
    Parameters may lie on any mesh; all processes must call, the first
    writes. Raises HFError if the directory exists (without `overwrite`; with it, if it holds no
    model, or files that no export writes) or the disk is full.
    """
    directory = as_path(directory)
    if dtype not in DTYPES:
        raise HFError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    check_vocabulary(tokenizer, config.vocab_size, str(directory))
    with rename_when_complete(directory, overwrite=overwrite) as partial:
        writer = None
        if jax.process_index() == 0:
            check_space(partial, parameter_count(config) * jnp.dtype(dtype).itemsize)
            writer = ShardWriter(partial, tensor_shapes(config), dtype, shard_bytes)
        for name, tensor in tensors(config, params, dtype, progress=progress):
            if writer is not None:
                writer.write(name, tensor)
        if writer is not None:
            writer.close()
            if card is not None:
                write_text(partial / CARD_FILE, card)
            # The config last: without it not even the partial directory can be taken for a model.
            write_model_directory(partial, config, tokenizer, dtype=dtype)
    return directory


@contextlib.contextmanager
def rename_when_complete(directory: AnyPath, *, overwrite: bool) -> Iterator[AnyPath]:
    """Yields an empty hidden directory, renames it to `directory` on success, else removes it.

    In an object store it is `directory` itself. All processes of a run must enter; the first one
    creates, renames and removes. With `overwrite` it replaces a model or an adapter, never another
    directory, nor one with files that no export writes. Raises HFError.
    """
    check_writable(directory, overwrite=overwrite)
    if is_remote(directory):
        with _write_in_place(directory):
            yield directory
        return
    partial = partial_folder(directory)
    first = jax.process_index() == 0
    try:
        if first:
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed export
            _make(partial)
        _sync(f"begun {directory}")
        yield partial
        _sync(f"written {directory}")
        if first:
            replace_folder(partial, directory, is_ours=_may_replace)
    except BaseException:
        if first:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(f"renamed {directory}")


def check_writable(directory: AnyPath, *, overwrite: bool = False) -> None:
    """Raises HFError if there is something that a model may not replace."""
    if not directory.exists() or is_unfinished(directory):
        return
    if not directory.is_dir():
        raise HFError(f"{directory}: expected a directory; it is a file")
    if is_same_place(directory, "."):  # the shell would be left in a folder that is gone
        raise HFError(
            f"{directory}: is the current folder, which a new one would replace; name one in it"
        )
    if not any(directory.iterdir()):
        return
    if not overwrite:
        raise HFError(f"{directory}: already exists and is not empty")
    if not _is_model(directory):
        raise HFError(f"{directory}: holds no model and is therefore not overwritten")
    if name := _foreign_name(directory):
        raise HFError(
            f"{directory}: holds {name}, which no export writes, and is therefore not overwritten; "
            "move it away or name another directory"
        )


@contextlib.contextmanager
def _write_in_place(directory: AnyPath) -> Iterator[None]:
    """Empties a directory in an object store, which renames nothing, for the block to write to.

    An object marks it until it is complete, so that after a kill the next attempt may replace it.
    """
    first = jax.process_index() == 0
    try:
        if first:
            directory.rmtree(missing_ok=True)
            mark_unfinished(directory)
        _sync(f"begun {directory}")
        yield
        _sync(f"written {directory}")
        if first:
            mark_finished(directory)
    except BaseException:
        if first:
            directory.rmtree(missing_ok=True)
        raise
    _sync(f"complete {directory}")


def copy_license(source: AnyPath, directory: AnyPath) -> None:
    """Copies LICENSE files: DeepSeek's license must accompany every derivative of its weights."""
    for path in source.glob("LICENSE*"):
        if source.resolve() != directory.resolve():
            write_bytes(directory / path.name, path.read_bytes())


def _make(partial: Path) -> None:
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise HFError(f"{partial}: cannot be created ({error.strerror})") from error


def _sync(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _is_model(directory: AnyPath) -> bool:
    """Returns whether it holds a config and weights; a training workdir holds only a config."""
    configs = (directory / name for name in (CONFIG_FILE, ADAPTER_CONFIG_FILE))
    weights = (path for pattern in ("*.safetensors", "*.bin") for path in directory.glob(pattern))
    return any(path.is_file() for path in configs) and any(weights)


def _may_replace(directory: AnyPath) -> bool:
    return _is_model(directory) and _foreign_name(directory) is None


def _foreign_name(directory: AnyPath) -> str | None:
    """Returns the name of the first file or folder there that no export writes, if any."""
    names = sorted(path.name for path in directory.iterdir() if not _is_exported(path))
    return names[0] if names else None


def _is_exported(path: AnyPath) -> bool:
    name = path.name
    ours = is_small_file(name) or name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE)
    return path.is_file() and (ours or _WEIGHTS.fullmatch(name) is not None)
