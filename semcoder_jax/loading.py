"""Any directory becomes a model: an HF directory or a training workdir, with adapters merged into
their base, and the weights as int8 if asked."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding
from tqdm import tqdm

from semcoder_jax import hf
from semcoder_jax.checkpoints import (
    CHECKPOINTS,
    MODEL,
    CheckpointError,
    abstract_model,
    check_base,
    checksum,
    restored_latest,
    with_shardings,
)
from semcoder_jax.config import QUANTIZED_BASES, Compute, DecoderConfig, LoRAConfig, parse_run
from semcoder_jax.model import sharding
from semcoder_jax.model.lora import (
    adapted,
    freeze_leaf,
    initial_adapters,
    merge_leaf,
)
from semcoder_jax.model.quantization import abstract_quantized, quantize_params


@dataclasses.dataclass(frozen=True)
class Model:
    """A model ready for pure jitted functions over (graphdef, params), and its tokenizer."""

    config: DecoderConfig
    graphdef: nnx.GraphDef
    params: nnx.State
    tokenizer: Any


def load_model(
    directory: str | Path,
    *,
    mesh: Mesh | None = None,
    dtype: str = "float32",
    compute: Compute | None = None,
    quantize: bool = False,
) -> Model:
    """The model in an HF directory, or the latest one of a training workdir (parameters only).

    Adapters come merged into their base, as training saw it: with the rounding of its quantization.
    Parameters are read as `dtype` into their shards on `mesh` (None: the first device).
    `compute` defaults to computing in `dtype`. `quantize`: weights as int8 (see
    quantization), made in the host's memory, so that no accelerator holds more than the integers.
    Raises CheckpointError, or hf.HFError.
    """
    directory = Path(directory)
    compute = compute or Compute(dtype=dtype)
    if quantize:
        host = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
        model = load_model(directory, mesh=host, dtype=dtype, compute=compute)
        shapes = abstract_quantized(model.params)
        mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
        places = sharding.parameter_shardings(shapes, mesh)
        return dataclasses.replace(model, params=quantize_params(model.params, places))
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such directory")
    if (directory / CHECKPOINTS).is_dir():
        config = hf.read_config(directory / MODEL)
        tokenizer = hf.read_tokenizer(directory / MODEL)
        mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
        graphdef, params = nnx.split(abstract_model(config, compute))
        shapes = nnx.to_pure_dict(params)
        places = sharding.parameter_shardings(shapes, mesh)
        if adapters := load_adapters(directory, mesh=mesh):
            pure = _merged(adapters, mesh, places, dtype)
        else:
            pure = restored_latest(directory, with_shardings(shapes, places, dtype)).params
        nnx.replace_by_pure_dict(params, pure)
        return Model(config, graphdef, params, tokenizer)
    if not (directory / "config.json").is_file():
        raise CheckpointError(
            f"{directory}: neither an HF directory (config.json) nor a training workdir "
            f"({CHECKPOINTS}/)"
        )
    config, params = hf.load(directory, mesh=mesh, dtype=dtype)
    graphdef, _ = nnx.split(abstract_model(config, compute))
    return Model(config, graphdef, params, hf.read_tokenizer(directory))


@dataclasses.dataclass(frozen=True)
class Adapters:
    """The adapters of a training workdir: float32 plain dicts (see lora.initial_adapters).

    `base` is the HF directory or workdir that they were trained over and `base_checksum` that
    of its parameters as `lora` froze them.
    """

    lora: LoRAConfig
    params: dict
    base: Path
    base_checksum: str


def load_adapters(workdir: str | Path, *, mesh: Mesh | None = None) -> Adapters | None:
    """The latest adapters of a training workdir, None where it trains, or is, a whole model.

    Raises CheckpointError.
    """
    workdir = Path(workdir)
    record = workdir / "config.json"
    if not record.is_file():  # an imported model
        return None
    try:
        fields = json.loads(record.read_text(encoding="utf-8"))
        if fields.get("lora") is None:
            return None
        run = parse_run(fields)
    except ValueError as error:
        raise CheckpointError(f"{record}: not the config of a training run ({error})") from None
    mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
    model = abstract_model(hf.read_config(workdir / MODEL), run.compute)
    base = nnx.to_pure_dict(nnx.state(model))
    shapes = jax.eval_shape(lambda: initial_adapters(run.lora, base, run.seed))
    places = sharding.parameter_shardings(shapes, mesh)
    read = restored_latest(workdir, with_shardings(shapes, places), meta=ocp.args.JsonRestore())
    return Adapters(run.lora, read.params, Path(run.model["init_from"]), read.meta["base"])


def load_base(lora: LoRAConfig, directory: str | Path, mesh: Mesh) -> dict:
    """The parameters (plain dicts) of `directory`, an HF directory or a workdir, frozen in their
    places on `mesh`.

    What is quantized is read as bfloat16 and quantized in the host's memory, a parameter at a
    time: no accelerator ever holds more of it than what it keeps.
    """
    if lora.base not in QUANTIZED_BASES:
        return nnx.to_pure_dict(load_model(directory, mesh=mesh, dtype=lora.base).params)
    host = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
    flat = flatten_dict(nnx.to_pure_dict(load_model(directory, mesh=host, dtype="bfloat16").params))
    frozen = {}
    shown = {"desc": "quantizing", "unit": " parameters", "delay": 2}
    for path in tqdm(sorted(flat), disable=jax.process_index() != 0, **shown):
        leaf = jax.jit(freeze_leaf, static_argnums=(0, 1))(lora, path, flat.pop(path))
        places = sharding.parameter_shardings(unflatten_dict({path: leaf}), mesh)
        frozen[path] = jax.tree.map(_moved, leaf, flatten_dict(places)[path])
    return unflatten_dict(frozen)


def _moved(array: jax.Array, place: NamedSharding) -> jax.Array:
    """An array of this host as part of a global one; every process has the same."""
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, place, lambda index: host[index])


def _merged(adapters: Adapters, mesh: Mesh, places: dict, dtype: str) -> dict:
    base = load_base(adapters.lora, adapters.base, mesh)
    check_base(adapters.base, checksum(base), adapters.base_checksum)
    flat = flatten_dict(adapted(adapters.lora, adapters.params, base))
    del base
    params = {}
    for path, place in flatten_dict(places).items():
        merge = jax.jit(merge_leaf, static_argnums=(0, 2), out_shardings=place)
        params[path] = merge(path, flat.pop(path), dtype)
    return unflatten_dict(params)
