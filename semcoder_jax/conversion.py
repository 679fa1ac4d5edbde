"""Converts between Hugging Face directories and training workdirs, and compares the two.

Import, export and verification read weights in pieces, so no model is in memory twice.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import Mesh

from data_pipeline.files import (
    AnyPath,
    as_path,
    built_folder,
    is_remote,
    is_same_place,
    local_copy,
)
from semcoder_jax import checkpoints, hf
from semcoder_jax.config import DecoderConfig
from semcoder_jax.hf import card, hub, verification
from semcoder_jax.hf.adapter import export_adapter as write_adapter
from semcoder_jax.hf.config import CONFIG_FILE, read_json
from semcoder_jax.hf.directory import CARD_FILE, check_writable, rename_when_complete
from semcoder_jax.hf.layout import parameter_count, tensor_shapes
from semcoder_jax.hf.rope import describe_rope, rope_fields
from semcoder_jax.hf.shards import DEFAULT_SHARD_BYTES, ShardReader, check_space, stored_dtype
from semcoder_jax.hf.weights import tensor_by_name
from semcoder_jax.loading import Adapters, load_adapters, load_model
from semcoder_jax.model import sharding

IMPORTED_STEP = 0
FILE_BYTES = 1 << 26  # size of an imported checkpoint's files and of the chunks in them


@dataclasses.dataclass(frozen=True)
class ConvertedModel:
    """A written model directory, its number of parameters, and their dtype."""

    directory: AnyPath
    parameters: int
    dtype: str


@dataclasses.dataclass(frozen=True)
class Description:
    """Facts for the model card that the checkpoint does not record.

    Attributes:
      name: the model's name; None: the directory's name.
      base_model: hub id of the model that training started from; None: the imported model's.
      data: sources of the training data.
      scores: measured results by name, such as {"HumanEval pass@1": 0.5}, or a JSON file of them.
      license: an SPDX-like name of hf.card.LICENSES; None: the base model's, else the default.

    What is not given is taken from the card of an export, if that is exported again; but scores
    are not, since they were measured on the numbers as that one stores them.
    """

    name: str | None = None
    base_model: str | None = None
    data: Sequence[str] = ()
    scores: Mapping[str, float] | str | Path | None = None
    license: str | None = None


def import_hf(
    source: str | Path,
    output: str | Path,
    *,
    dtype: str | None = None,
    revision: str | None = None,
    tensor: int = 1,
    progress: bool = True,
) -> ConvertedModel:
    """Converts a Hugging Face model into a workdir for training and sampling.

    Args:
      source: HF directory, or hub id "owner/name" (`revision`: its branch, tag or commit).
      output: new directory: model/ (config, tokenizer) and checkpoints/ (Orbax).
      dtype: "float32" or "bfloat16" of the written parameters; None: as stored.
      tensor: devices that split a layer's width; all others split its parameters.
      progress: whether a bar is shown.

    Raises HFError if the source cannot be read or the output is not empty, MeshError if the
    devices do not divide.
    """
    source, output = str(source), as_path(output)
    check_writable(output)
    directory = hub.find_source(source, revision=revision)
    config, tokenizer = hf.read_config(directory), hf.read_tokenizer(directory)
    dtype = dtype or stored_dtype(directory)
    with rename_when_complete(output, overwrite=False) as partial:
        if jax.process_index() == 0:
            check_space(partial, parameter_count(config) * np.dtype(dtype).itemsize)
        _, params = hf.load(directory, mesh=_make_mesh(tensor), dtype=dtype, progress=progress)
        _save(partial, params)
        if jax.process_index() == 0:  # last: without it no directory can be taken for a model
            model = partial / checkpoints.MODEL
            origin = None if as_path(source).is_dir() else source
            hf.write_model_directory(model, config, tokenizer, dtype=dtype, origin=origin)
    return ConvertedModel(output, parameter_count(config), dtype)


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    dtype: str | None = None,
    step: int | str | None = None,
    description: Description | None = None,
    overwrite: bool = False,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    tensor: int = 1,
    progress: bool = True,
) -> ConvertedModel:
    """Writes a model of a workdir as a Hugging Face directory with a model card.

    Merges adapters into their base (`export_adapter` writes them alone).

    Args:
      checkpoint: training workdir, imported workdir, or HF directory.
      output: new HF directory: config, safetensors, tokenizer, README.md.
      dtype: "float32" or "bfloat16"; None: as in the workdir's model/config.json.
      step: of the checkpoint, or "best", the one with the least held-out loss; None: the latest.
      description: name, data and scores for the model card.
      overwrite: replaces an existing directory.
      shard_bytes: most bytes of one safetensors file.
      tensor: devices that split a layer's width; all others split its parameters.
      progress: whether a bar is shown.

    Raises HFError or CheckpointError if the checkpoint cannot be read, HFError if the output is
    there already or the checkpoint itself, MeshError if the devices do not divide.
    """
    checkpoint, output = as_path(checkpoint), as_path(output)
    model_directory = find_model_directory(checkpoint)
    if is_same_place(checkpoint, output):
        raise hf.HFError(f"{output}: is the checkpoint itself; expected another directory to write")
    check_writable(output, overwrite=overwrite)
    dtype = dtype or stored_dtype(model_directory)
    content = _card_content(description or Description(), output, checkpoint, model_directory)
    model = load_model(checkpoint, mesh=_make_mesh(tensor), dtype=dtype, step=step)
    count = parameter_count(model.config)
    hf.export(
        output,
        model.config,
        model.params,
        model.tokenizer,
        dtype=dtype,
        shard_bytes=shard_bytes,
        card=card.model_card(content, model.config, count, dtype),
        overwrite=overwrite,
        progress=progress,
    )
    return ConvertedModel(output, count, dtype)


def export_adapter(
    checkpoint: str | Path,
    output: str | Path,
    *,
    step: int | str | None = None,
    description: Description | None = None,
    overwrite: bool = False,
) -> tuple[ConvertedModel, str]:
    """Writes the adapters of a LoRA run for `peft`; also returns the base that peft will load.

    `checkpoint` is the workdir of the run, `output` a new directory; `step` and `description` are
    as in `export`. Raises HFError or CheckpointError.
    """
    checkpoint, output = as_path(checkpoint), as_path(output)
    description = description or Description()
    model_directory = find_model_directory(checkpoint)
    check_writable(output, overwrite=overwrite)
    adapters = _read_adapters(checkpoint, model_directory, step)
    config = hf.read_config(model_directory)
    _check_same_rope(config, adapters.base)
    base_model = description.base_model or _find_peft_base(adapters.base)
    content = _card_content(description, output, checkpoint, model_directory)
    if not content.base_model and hub.is_hub_id(base_model):
        content = dataclasses.replace(content, base_model=base_model)
    content = dataclasses.replace(content, adapter=True)
    write_adapter(
        output,
        config,
        adapters.lora,
        adapters.params,
        base_model=base_model,
        license_directory=find_model_directory(adapters.base),
        card=card.model_card(content, config, parameter_count(config), adapters.lora.base),
        overwrite=overwrite,
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(adapters.params))
    return ConvertedModel(output, count, "float32"), base_model


def _read_adapters(
    checkpoint: AnyPath, model_directory: AnyPath, step: int | str | None
) -> Adapters:
    adapters = load_adapters(checkpoint, step=step) if model_directory != checkpoint else None
    if adapters is None:
        raise hf.HFError(f"{checkpoint}: --adapter expects the workdir of a run with lora")
    return adapters


def _check_same_rope(config: DecoderConfig, base: AnyPath) -> None:
    """Raises HFError if peft would load the base with another RoPE than the run trained with."""
    theirs = hf.read_config(find_model_directory(base))
    if rope_fields(config) != rope_fields(theirs):
        raise hf.HFError(
            f"{base}: the adapters were trained with RoPE of {describe_rope(config)}, their base "
            f"has {describe_rope(theirs)}; export without --adapter, which writes the whole model"
        )


def _find_peft_base(base: AnyPath) -> str:
    """Returns the base for `peft`: an HF directory, or the hub id that a workdir came from."""
    directory = find_model_directory(base)
    if directory == base and is_remote(base):
        raise hf.HFError(
            f"{base}: the adapters' base is in a store, which peft does not read; pass its hub id "
            "or a local directory as --base_model"
        )
    if directory == base:
        return str(base.absolute())
    origin = read_json(directory / CONFIG_FILE).get("_name_or_path")
    if not hub.is_hub_id(origin):
        raise hf.HFError(
            f"{base}: the adapters' base is a workdir without a known hub id; export it and pass "
            f"that directory as --base_model"
        )
    return origin


def verify_export(
    source: str | Path,
    checkpoint: str | Path,
    *,
    revision: str | None = None,
    rows: int = 2,
    tokens: int = 256,
    tensor: int = 1,
    progress: bool = True,
) -> verification.Verification:
    """Compares two copies of a model: every tensor by its bits, and logits on sample prompts.

    Args:
      source: HF directory or hub id, computed by transformers.
      checkpoint: workdir or HF directory, computed by JAX.
      revision: branch, tag or commit of a hub id.
      rows: number of prompts.
      tokens: length of each prompt.
      tensor: devices that split a layer's width; all others split its parameters.
      progress: whether a bar is shown.

    Returns a report: `report.passed` is True if the copies are equal, `str(report)` is a table.
    Raises HFError or CheckpointError if a copy cannot be read or the architectures differ, and
    HFError without torch.
    """
    verification.import_torch()  # before anything is read
    checkpoint = as_path(checkpoint)
    directory = local_copy(hub.find_source(str(source), revision=revision))
    config = hf.read_config(directory)
    model_directory = find_model_directory(checkpoint)
    if config != hf.read_config(model_directory):
        raise hf.HFError(
            f"{source} and {checkpoint} are of different architecture: {config} and "
            f"{hf.read_config(model_directory)}"
        )
    if model_directory == checkpoint:
        shards = ShardReader(checkpoint)
        shards.check(tensor_shapes(config), ignored=("lm_head.weight",))
        tensor_of = shards.read
    else:
        dtype = stored_dtype(model_directory)
        model = load_model(checkpoint, mesh=_make_mesh(tensor), dtype=dtype)
        tensor_of = functools.partial(tensor_by_name, config, model.params, dtype)
    tokens_BxT = _sample_tokens(directory, rows, min(tokens, config.max_positions))
    return verification.verify(directory, config, tensor_of, tokens_BxT, progress=progress)


def _sample_tokens(directory: Path, rows: int, length: int) -> np.ndarray:
    """Returns `rows` prompts of `length` ids from Python source text."""
    text = Path(verification.__file__).read_text(encoding="utf-8")
    ids = hf.read_tokenizer(directory).encode(text, add_special_tokens=False)[: rows * length]
    return np.resize(np.array(ids), (rows, length))


def find_model_directory(checkpoint: AnyPath) -> AnyPath:
    """Returns the directory of a checkpoint's config.json and tokenizer. Raises HFError."""
    if (checkpoint / checkpoints.CHECKPOINTS).is_dir():
        return checkpoint / checkpoints.MODEL
    if not (checkpoint / CONFIG_FILE).is_file():
        raise hf.HFError(
            f"{checkpoint}: neither a workdir ({checkpoints.CHECKPOINTS}/) nor an HF directory "
            f"({CONFIG_FILE})"
        )
    return checkpoint


def _card_content(
    description: Description, output: AnyPath, checkpoint: AnyPath, model_directory: AnyPath
) -> card.CardContent:
    stored_name = read_json(model_directory / CONFIG_FILE).get("_name_or_path")
    kept = card.CardFacts()
    if model_directory == checkpoint and (path := checkpoint / CARD_FILE).is_file():
        kept = card.read_card(path.read_text(encoding="utf-8", errors="replace"))
    origin = description.base_model or kept.base_model or stored_name
    run_record = checkpoint / "config.json"
    recipe = kept.recipe
    if model_directory != checkpoint and run_record.is_file():
        recipe = read_json(run_record)
    return card.CardContent(
        name=description.name or output.name,
        license=description.license
        or (None if description.base_model else kept.license)
        or card.default_license(
            origin, hf.read_config(model_directory), trained_here=recipe is not None
        ),
        base_model=origin if hub.is_hub_id(origin) else None,
        data=tuple(description.data) or kept.data,
        recipe=recipe,
        scores=_read_scores(description.scores),
    )


def _read_scores(given: Mapping[str, float] | str | Path | None) -> Mapping[str, float]:
    scores = read_json(as_path(given)) if isinstance(given, str | Path) else dict(given or {})
    place = given if isinstance(given, str | Path) else "scores"
    for name, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise hf.HFError(f"{place}: {name}={value!r}, expected a number")
    return scores


def _save(workdir: AnyPath, params: nnx.State) -> None:
    """Writes an Orbax checkpoint without holding the model twice.

    Orbax copies no more bytes at once than the largest array has, and buffers one file of them.
    """
    pure = nnx.to_pure_dict(params)
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    limit = checkpoints.largest_gigabytes(pure)
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(
        "params", ocp.args.PyTreeSave, ocp.PyTreeCheckpointHandler(save_concurrent_gb=limit)
    )
    saved = ocp.args.PyTreeSave(
        pure,
        save_args=jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=FILE_BYTES), pure),
        ocdbt_target_data_file_size=FILE_BYTES,
    )
    with (
        _checkpoint_folder(workdir) as directory,
        checkpoints.quiet_logs(),
        ocp.CheckpointManager(directory, options=options, handler_registry=registry) as manager,
    ):
        manager.save(IMPORTED_STEP, args=ocp.args.Composite(params=saved))


def _checkpoint_folder(workdir: AnyPath) -> AbstractContextManager[AnyPath]:
    """Returns the folder that Orbax writes to; for s3://, which it does not know, a local one.

    Raises HFError if several processes would each upload theirs.
    """
    folder = (workdir / checkpoints.CHECKPOINTS).absolute()
    if not str(folder).startswith("s3://"):
        return contextlib.nullcontext(folder)
    if jax.process_count() > 1:
        raise hf.HFError(f"{workdir}: several processes write checkpoints to gs:// or a disk only")
    return built_folder(folder)


def _make_mesh(tensor: int) -> Mesh:
    """Returns a mesh of all devices that splits layer widths over `tensor` of them."""
    return sharding.make_mesh({"fsdp": -1, "tensor": tensor})
