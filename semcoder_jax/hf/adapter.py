"""LoRA adapters as the ``peft`` library reads them: adapter_config.json and one file of tensors.

Format: peft's LoraConfig and its checkpoint format: a module's ``lora_A.weight`` is
[rank, in], ``lora_B.weight`` [out, rank], heads and head size merged as in the model's own.
"""

from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

from semcoder_jax.hf.config import write_json
from semcoder_jax.hf.directory import CARD_FILE, copy_license, renamed_when_complete
from semcoder_jax.hf.layout import layouts
from semcoder_jax.lora import LoRAConfig, adapter_axes
from semcoder_jax.model import DecoderConfig

ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_FILE = "adapter_model.safetensors"


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
    """Write the adapters ``params`` (plain dicts, see lora.initial_adapters) in float32.

    ``base_model``: the hub id or HF directory that ``peft`` is to put them on. A licence file in
    ``license_directory`` is copied. The directory appears under its name only when complete; raises
    HFError if it exists (without ``overwrite``). The first process writes.
    """
    directory = Path(directory)
    with renamed_when_complete(directory, overwrite=overwrite) as partial:
        if jax.process_index() == 0:
            save_file(adapter_tensors(config, params), partial / ADAPTER_FILE, {"format": "pt"})
            copy_license(license_directory, partial)
            if card is not None:
                (partial / CARD_FILE).write_text(card, encoding="utf-8")
            write_json(partial / ADAPTER_CONFIG_FILE, adapter_config(lora, base_model))
    return directory


def adapter_config(lora: LoRAConfig, base_model: str) -> dict:
    """The fields of peft's LoraConfig; what is left out keeps peft's default."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "use_rslora": lora.rank_stabilized,
        "target_modules": list(lora.targets),
        "bias": "none",
        "fan_in_fan_out": False,
    }


def adapter_tensors(config: DecoderConfig, params: dict) -> dict[str, np.ndarray]:
    """Name and tensor of every adapter, layer by layer."""
    tensors = {}
    for kind in layouts(config):
        block, name = kind.path[-2:] if kind.stacked else ("", "")
        arrays = params["layers"].get(block, {}).get(name)
        if arrays is None:
            continue
        a_LxIxR, b_LxRxO = (np.asarray(arrays[part]) for part in adapter_axes(name))
        for layer in range(config.num_layers):
            module = "base_model.model." + kind.name.format(layer=layer).removesuffix(".weight")
            a_IxR = a_LxIxR[layer].reshape(-1, a_LxIxR.shape[-1])
            b_RxO = b_LxRxO[layer].reshape(b_LxRxO.shape[1], -1)
            tensors[f"{module}.lora_A.weight"] = np.ascontiguousarray(a_IxR.T)
            tensors[f"{module}.lora_B.weight"] = np.ascontiguousarray(b_RxO.T)
    return tensors
