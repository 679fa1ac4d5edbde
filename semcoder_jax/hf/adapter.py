"""Reads and writes LoRA adapters for `peft`: adapter_config.json and one file of tensors.

Format: peft's LoraConfig and its checkpoint format: a module's `lora_A.weight` is
[rank, in], `lora_B.weight` [out, rank], heads and head size merged as in the model's own.
"""

import functools
import math
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from data_pipeline.files import as_path, local_copy, write_bytes, write_text
from semcoder_jax.config import DecoderConfig, LoRAConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.adapter_config import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    adapter_config,
    check_adapter_config,
    lora_of_adapter,
)
from semcoder_jax.hf.config import read_json, write_json
from semcoder_jax.hf.directory import CARD_FILE, copy_license, rename_when_complete
from semcoder_jax.hf.layout import abstract_params
from semcoder_jax.model.lora import TARGETS, initial_adapters


def export_adapter(
    directory: str | Path,
    config: DecoderConfig,
    lora: LoRAConfig,
    params: dict,
    *,
    base_model: str,
    license_directory: Path,
    card: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the adapters `params` (plain dicts, see lora.initial_adapters) in float32.

    `base_model` is the hub id or HF directory that `peft` loads as their base. Copies a licence
    file from `license_directory`. The directory appears under its name only when complete. The
    first process writes. Raises HFError if the directory exists (without `overwrite`).
    """
    directory = as_path(directory)
    with rename_when_complete(directory, overwrite=overwrite) as partial:
        if jax.process_index() == 0:
            tensors = save(adapter_tensors(config, params), {"format": "pt"})
            write_bytes(partial / ADAPTER_FILE, tensors)
            copy_license(license_directory, partial)
            if card is not None:
                write_text(partial / CARD_FILE, card)
            write_json(partial / ADAPTER_CONFIG_FILE, adapter_config(lora, base_model))
    return directory


def read_adapter_lora(directory: str | Path) -> LoRAConfig:
    """Returns the `lora` section of adapters in peft's format. Raises HFError."""
    path = as_path(directory) / ADAPTER_CONFIG_FILE
    return lora_of_adapter(read_json(path), str(path))


def read_adapter(directory: str | Path, config: DecoderConfig, lora: LoRAConfig) -> dict:
    """Reads adapters that `peft` or `export_adapter` wrote, as float32 plain dicts.

    Raises HFError if their config describes other adapters than `lora` does, or if files or tensors
    are missing, misshapen or unexpected.
    """
    directory = as_path(directory)
    path = directory / ADAPTER_CONFIG_FILE
    check_adapter_config(read_json(path), lora, str(path))
    try:
        tensors = load_file(local_copy(directory / ADAPTER_FILE))
    except (OSError, SafetensorError) as error:
        raise HFError(f"{directory / ADAPTER_FILE}: cannot be read ({error})") from None
    base = nnx.to_pure_dict(abstract_params(config))
    shapes = jax.eval_shape(functools.partial(initial_adapters, lora, seed=0), base)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wanted = _tensor_shapes(config, shapes)
    for name in sorted(found.keys() ^ wanted.keys()) or wanted:
        if found.get(name) != wanted.get(name):
            raise HFError(
                f"{directory / ADAPTER_FILE}: {name} has shape {found.get(name)}, expected "
                f"{wanted.get(name)}"
            )
    params = {}
    for path, modules, arrays in _weights_with_adapters(config, shapes):
        for array_name, part in zip(arrays, ("A", "B"), strict=True):
            layers = [tensors[f"{module}.lora_{part}.weight"].T for module in modules]
            stacked = np.stack(layers).astype(np.float32)
            params[(*path, array_name)] = stacked.reshape(arrays[array_name].shape)
    return unflatten_dict(params)


def adapter_tensors(config: DecoderConfig, params: dict) -> dict[str, np.ndarray]:
    """Returns every adapter's tensors by name."""
    tensors = {}
    for _, modules, arrays in _weights_with_adapters(config, params):
        a_LxIxR, b_LxRxO = map(np.asarray, arrays.values())
        for layer, module in enumerate(modules):
            a_IxR = a_LxIxR[layer].reshape(-1, a_LxIxR.shape[-1])
            b_RxO = b_LxRxO[layer].reshape(b_LxRxO.shape[1], -1)
            tensors[f"{module}.lora_A.weight"] = np.ascontiguousarray(a_IxR.T)
            tensors[f"{module}.lora_B.weight"] = np.ascontiguousarray(b_RxO.T)
    return tensors


def _tensor_shapes(config: DecoderConfig, params: dict) -> dict[str, tuple[int, int]]:
    """Returns the shapes of every adapter's tensors by name; `params` may be shapes."""
    shapes = {}
    for _, modules, arrays in _weights_with_adapters(config, params):
        a, b = (array.shape for array in arrays.values())
        for module in modules:
            shapes[f"{module}.lora_A.weight"] = (a[-1], math.prod(a[1:-1]))
            shapes[f"{module}.lora_B.weight"] = (math.prod(b[2:]), b[1])
    return shapes


def _weights_with_adapters(config: DecoderConfig, params: dict) -> Iterator[tuple]:
    """Yields (parameter path, module names by layer, two arrays by name) of each adapted weight."""
    arrays = flatten_dict(params)
    for parameter in TARGETS.values():
        paths = {name: (*parameter.path, name) for name in parameter.adapter}
        own = {name: arrays[path] for name, path in paths.items() if path in arrays}
        if own:
            stem = f"base_model.model.{parameter.module}"
            modules = [stem.format(layer=layer) for layer in range(config.num_layers)]
            yield parameter.path, modules, own
