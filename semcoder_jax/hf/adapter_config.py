"""Writes peft's adapter_config.json, and checks that one describes the adapters of a run.

Format: peft's LoraConfig. Each of its fields is honoured, has no effect on what the adapters
compute, or is refused by name: an adapter is never read as another model.
"""

from collections.abc import Mapping

from semcoder_jax.config import LORA_TARGETS, LoRAConfig
from semcoder_jax.errors import HFError

ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_FILE = "adapter_model.safetensors"
# Fields that must be those of the `lora` section, with peft's defaults.
_HONOURED = {"peft_type": None, "r": 8, "lora_alpha": 8, "use_rslora": False}
# Names, versions, and settings of peft's own training.
_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "lora_dropout",
        "megatron_core",  # of megatron_config, which is refused
        "peft_version",
        "qalora_group_size",  # of use_qalora, which is refused
        "revision",
        "task_type",
    }
)
# Initializations of a and b alone; others, such as "pissa", also change the base's weights.
_INITIALIZATIONS = (True, False, None, "gaussian", "eva", "orthogonal")
_NEUTRAL = (None, False, 0, "", "none", [], {})  # of all other fields, also of later versions


def adapter_config(lora: LoRAConfig, base_model: str) -> dict:
    """Returns the fields of peft's LoraConfig; missing fields keep peft's default."""
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


def check_adapter_config(fields: Mapping, lora: LoRAConfig, where: str) -> None:
    """Raises HFError, which begins with `where`, unless `fields` describe adapters of `lora`."""
    expected = adapter_config(lora, "")
    for name, default in _HONOURED.items():
        _check_equal(where, name, fields.get(name, default), expected[name])
    targets = _read_targets(fields.get("target_modules"), where)
    _check_equal(where, "target_modules", targets, sorted(expected["target_modules"]))
    if fields.get("init_lora_weights") not in _INITIALIZATIONS:
        _refuse(where, "init_lora_weights", fields["init_lora_weights"], "true")
    known = {*_HONOURED, *_WITHOUT_EFFECT, "target_modules", "init_lora_weights"}
    for name in sorted(fields.keys() - known):
        if fields[name] not in _NEUTRAL:
            _refuse(where, name, fields[name], "none")


def lora_of_adapter(fields: Mapping, where: str) -> LoRAConfig:
    """Returns the `lora` section of the adapters that `fields` describe.

    Raises HFError, which begins with `where`, for adapters that no such section describes.
    """
    targets = _read_targets(fields.get("target_modules"), where)
    for target in targets:
        if target not in LORA_TARGETS:
            _refuse(where, "target_modules", targets, f"a list of {', '.join(LORA_TARGETS)}")
    rank, alpha = (fields.get(name, _HONOURED[name]) for name in ("r", "lora_alpha"))
    if type(rank) is not int or type(alpha) not in (int, float):
        raise HFError(
            f"{where}: r is {rank!r:.100} and lora_alpha {alpha!r:.100}, expected numbers"
        )
    try:
        lora = LoRAConfig(
            rank, float(alpha), tuple(targets), rank_stabilized=fields.get("use_rslora") is True
        )
    except ValueError as error:
        raise HFError(f"{where}: {error}") from None
    check_adapter_config(fields, lora, where)
    return lora


def _read_targets(targets, where: str) -> list[str]:
    """Returns names of modules; peft also takes a pattern, or all linear ones."""
    if targets == "all-linear":
        return sorted(LORA_TARGETS)
    if not isinstance(targets, list | None) or not all(isinstance(t, str) for t in targets or ()):
        _refuse(where, "target_modules", targets, f"a list of {', '.join(LORA_TARGETS)}")
    return sorted(targets or ())


def _check_equal(where: str, name: str, found, expected) -> None:
    if found != expected:
        raise HFError(
            f"{where}: {name} is {found!r:.200}, expected {expected!r} as in the config's lora "
            f"section"
        )


def _refuse(where: str, name: str, value, expected: str) -> None:
    raise HFError(f"{where}: {name} is {value!r:.100}, which is not supported; expected {expected}")
