"""Loads a model from an HF directory or a training workdir, with adapters merged into their base.

Quantizes the weights to int8 on request.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding
from tqdm import tqdm

from data_pipeline.files import AnyPath, as_path, local_copy
from data_pipeline.pyx.chat_template import chat_template
from semcoder_jax import hf
from semcoder_jax.checkpoints import (
    CHECKPOINTS,
    MODEL,
    CheckpointError,
    abstract_model,
    check_base,
    checksum,
    restore_step,
    with_shardings,
)
from semcoder_jax.config import QUANTIZED_BASES, Compute, DecoderConfig, LoRAConfig, parse_run
from semcoder_jax.config.sections import COMPUTE_DTYPES
from semcoder_jax.hf.adapter import read_adapter, read_adapter_lora
from semcoder_jax.model import sharding
from semcoder_jax.model.lora import (
    TARGETS,
    attach_adapters,
    freeze_leaf,
    initial_adapters,
    merge_leaf,
)
from semcoder_jax.model.quantization import abstract_quantized, quantize_params


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model ready for pure jitted functions over (graphdef, params), and its tokenizer.

    `end_tokens` are the ids that end a generated row; None: the tokenizer's EOS.
    """

    config: DecoderConfig
    graphdef: nnx.GraphDef
    params: nnx.State
    tokenizer: Any
    end_tokens: tuple[int, ...] | None = None


def load_model(
    directory: str | os.PathLike,
    *,
    mesh: Mesh | None = None,
    dtype: str = "float32",
    compute: Compute | None = None,
    quantize: bool = False,
    step: int | str | None = None,
) -> LoadedModel:
    """Loads the model in an HF directory, or a checkpoint of a training workdir.

    Merges adapters into their base as training saw it, rounded by its quantization.

    Args:
      directory: HF directory or training workdir.
      mesh: where the parameters' shards lie; None: the first device.
      dtype: of the parameters.
      compute: how the decoder computes; None: in `dtype`.
      quantize: stores weights as int8 (see quantization). They are quantized in the host's memory,
        so no accelerator holds more than the integers.
      step: of a workdir's checkpoint, or "best": see checkpoints.restore_step.

    Raises CheckpointError or HFError.
    """
    place = as_path(directory)
    if dtype not in COMPUTE_DTYPES:
        raise CheckpointError(f"dtype {dtype!r}: expected one of {', '.join(COMPUTE_DTYPES)}")
    if not isinstance(quantize, bool):
        raise CheckpointError(f"quantize: expected True (int8) or False; got {quantize!r}")
    compute = compute or Compute(dtype=dtype)
    if quantize:
        return _load_quantized(place, mesh, dtype, compute, step)
    check_model_directory(place)
    if (place / CHECKPOINTS).is_dir():
        if str(place).startswith("s3://"):
            place = local_copy(place)  # Orbax reads local folders and gs:// only
        return _load_workdir(place, mesh, dtype, compute, step)
    if step is not None:
        raise CheckpointError(f"{place}: step {step} of what is not the workdir of a run")
    config, params = hf.load(place, mesh=mesh, dtype=dtype)
    graphdef, _ = nnx.split(abstract_model(config, compute))
    return _with_tokenizer(config, graphdef, params, place)


def check_model_directory(directory: str | os.PathLike) -> None:
    """Raises CheckpointError if no model can lie there; reads nothing."""
    place = as_path(directory)
    if not place.exists():
        raise CheckpointError(f"{place}: no such directory")
    if not place.is_dir():
        raise CheckpointError(f"{place}: expected a directory; it is a file")
    if not (place / CHECKPOINTS).is_dir() and not (place / "config.json").is_file():
        raise CheckpointError(
            f"{place}: neither an HF directory (config.json) nor a training workdir "
            f"({CHECKPOINTS}/)"
        )


def _with_tokenizer(config, graphdef, params, directory: AnyPath) -> LoadedModel:
    tokenizer = hf.read_tokenizer(directory)
    end_tokens = hf.read_end_tokens(directory, tokenizer)
    return LoadedModel(config, graphdef, params, tokenizer, end_tokens)


def _load_quantized(
    directory: AnyPath, mesh: Mesh | None, dtype: str, compute: Compute, step: int | str | None
) -> LoadedModel:
    host = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
    model = load_model(directory, mesh=host, dtype=dtype, compute=compute, step=step)
    shapes = abstract_quantized(model.params)
    mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
    shardings = sharding.parameter_shardings(shapes, mesh)
    return dataclasses.replace(model, params=quantize_params(model.params, shardings))


def _load_workdir(
    directory: AnyPath, mesh: Mesh | None, dtype: str, compute: Compute, step: int | str | None
) -> LoadedModel:
    config = hf.read_config(directory / MODEL)
    mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
    graphdef, params = nnx.split(abstract_model(config, compute))
    shapes = nnx.to_pure_dict(params)
    shardings = sharding.parameter_shardings(shapes, mesh)
    if adapters := load_adapters(directory, mesh=mesh, step=step):
        pure = _merge_adapters(adapters, mesh, shardings, dtype)
    else:
        pure = restore_step(directory, with_shardings(shapes, shardings, dtype), step).params
    nnx.replace_by_pure_dict(params, pure)
    model = _with_tokenizer(config, graphdef, params, directory / MODEL)
    if not model.tokenizer.chat_template and _knows_code_prompt(directory):
        model.tokenizer.chat_template = chat_template()
    return model


def _knows_code_prompt(workdir: AnyPath) -> bool:
    """Returns whether a run trained on records that may ask for code.

    All data but the synthetic corpus may; that one only asks for executions. An imported model has
    no record of a run.
    """
    try:
        fields = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
        return fields["data"]["source"] != "synthetic"
    except (OSError, ValueError, LookupError, TypeError):
        return False


@dataclasses.dataclass(frozen=True)
class Adapters:
    """Holds the adapters of a training workdir: float32 plain dicts (see lora.initial_adapters).

    `base` is the HF directory or workdir they were trained over; `base_checksum` is the checksum
    of its parameters after `lora` froze them.
    """

    lora: LoRAConfig
    params: dict
    base: AnyPath
    base_checksum: str


def load_adapters(
    workdir: str | os.PathLike, *, mesh: Mesh | None = None, step: int | str | None = None
) -> Adapters | None:
    """Returns the adapters of a training workdir, or None if the workdir holds a full model.

    `step` is as in load_model.

    Raises CheckpointError if the workdir's config cannot be read or it has no checkpoint.
    """
    place = as_path(workdir)
    record = place / "config.json"
    if not record.is_file():  # an imported model
        return None
    try:
        fields = json.loads(record.read_text(encoding="utf-8"))
        if fields.get("lora") is None:
            return None
        run = parse_run(fields)
    except ValueError as error:
        raise CheckpointError(f"{record}: not the config of a training run ({error})") from None
    lora = run.lora
    if lora is None:  # excluded above; states it for the type checker
        return None
    mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
    model = abstract_model(hf.read_config(place / MODEL), run.compute)
    base = nnx.to_pure_dict(nnx.state(model))
    shapes = jax.eval_shape(lambda: initial_adapters(lora, base, run.seed))
    shardings = sharding.parameter_shardings(shapes, mesh)
    wanted = with_shardings(shapes, shardings)
    read = restore_step(place, wanted, step, meta=ocp.args.JsonRestore())
    return Adapters(lora, read.params, as_path(run.model["init_from"]), read.meta["base"])


def check_adapters(directories: Mapping[str, str | os.PathLike]) -> None:
    """Raises HFError unless adapters may lie in each directory; reads their configs alone."""
    for directory in directories.values():
        read_adapter_lora(directory)


def load_adapted(
    model: LoadedModel, directories: Mapping[str, str | os.PathLike]
) -> dict[str, dict]:
    """Returns the parameters of `model` with each adapter attached, by name; they share the base.

    `directories` have adapters in peft's format. Ranks and targets are padded with zeros to those
    of all adapters together, so that one compiled program serves them all.

    Raises HFError for an adapter that cannot be read or does not fit the model.
    """
    loras = {name: read_adapter_lora(path) for name, path in directories.items()}
    if not loras:
        return {}
    rank = max(lora.rank for lora in loras.values())
    targets = tuple(t for t in TARGETS if any(t in lora.targets for lora in loras.values()))
    shared = LoRAConfig(rank, float(rank), targets)  # scaling 1: each is scaled by its own here
    base = nnx.to_pure_dict(model.params)
    shapes = jax.eval_shape(
        lambda: initial_adapters(
            shared, nnx.to_pure_dict(nnx.state(abstract_model(model.config, Compute()))), 0
        )
    )
    place = jax.tree.leaves(model.params)[0].sharding
    mesh = place.mesh if isinstance(place, NamedSharding) else None
    placed = sharding.parameter_shardings(shapes, mesh) if mesh else place
    adapted = {}
    for name, lora in loras.items():
        arrays = read_adapter(directories[name], model.config, lora)
        arrays = jax.device_put(_pad_adapters(arrays, lora.scaling, shapes), placed)
        adapted[name] = attach_adapters(shared, arrays, base)
    return adapted


def _pad_adapters(arrays: dict, scaling: float, shapes: dict) -> dict:
    """Returns adapters of the larger `shapes` that compute what `arrays` do with `scaling`."""
    flat, padded = flatten_dict(arrays), {}
    for path, shape in flatten_dict(shapes).items():
        padded[path] = np.zeros(shape.shape, np.float32)
        if path in flat:
            factor = scaling if path[-1].startswith("b_") else 1.0
            padded[path][tuple(map(slice, flat[path].shape))] = flat[path] * factor
    return unflatten_dict(padded)


def load_base(lora: LoRAConfig, directory: str | os.PathLike, mesh: Mesh) -> dict:
    """Loads the frozen parameters (plain dicts) of an HF directory or a workdir onto `mesh`.

    Reads weights that `lora.base` quantizes as bfloat16 and quantizes them in the host's memory,
    one parameter at a time, so no accelerator holds more than its final shards.
    """
    if lora.base not in QUANTIZED_BASES:
        return nnx.to_pure_dict(load_model(directory, mesh=mesh, dtype=lora.base).params)
    host = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
    flat = flatten_dict(nnx.to_pure_dict(load_model(directory, mesh=host, dtype="bfloat16").params))
    frozen = {}
    hidden = jax.process_index() != 0
    for path in tqdm(sorted(flat), "quantizing", unit=" parameters", delay=2, disable=hidden):
        leaf = jax.jit(freeze_leaf, static_argnums=(0, 1))(lora, path, flat.pop(path))
        shardings = sharding.parameter_shardings(unflatten_dict({path: leaf}), mesh)
        frozen[path] = jax.tree.map(_to_global_array, leaf, flatten_dict(shardings)[path])
    return unflatten_dict(frozen)


def _to_global_array(array: jax.Array, sharding: NamedSharding) -> jax.Array:
    """Makes a global array from this host's whole copy; every process holds the same copy."""
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _merge_adapters(adapters: Adapters, mesh: Mesh, shardings: dict, dtype: str) -> dict:
    base = load_base(adapters.lora, adapters.base, mesh)
    check_base(adapters.base, checksum(base), adapters.base_checksum)
    flat = flatten_dict(attach_adapters(adapters.lora, adapters.params, base))
    del base
    params = {}
    for path, leaf_sharding in flatten_dict(shardings).items():
        merge = jax.jit(merge_leaf, static_argnums=(0, 2), out_shardings=leaf_sharding)
        params[path] = merge(path, flat.pop(path), dtype)
    return unflatten_dict(params)
