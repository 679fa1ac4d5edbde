"""Reads and writes Hugging Face's config.json so that every version of transformers can read it.

See rope for RoPE's part of it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from data_pipeline.files import as_path, parse_json
from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.numbers import flag, positive_int, positive_number
from semcoder_jax.hf.rope import read_rope, rope_fields

# The classes of transformers that this decoder computes, by model type.
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
CONFIG_FILE = "config.json"
DTYPES = ("float32", "bfloat16", "float16")
_LARGEST_FILE = 64 << 20  # bytes; the index of a model of thousands of tensors has less than one MB

# Fields that change the computation, and the only value that this decoder supports.
_FIXED_FIELDS = {
    "hidden_act": "silu",
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
}
_FIXED_FIELDS_OF_TYPE = {
    "llama": {"attention_bias": False, "mlp_bias": False, "sliding_window": None},
    "qwen2": {"use_sliding_window": False},  # without it, sliding_window has no effect
}
# transformers' defaults of fields that a file may leave out; None: as many as query heads.
_DEFAULTS_OF_TYPE = {
    "llama": {"num_key_value_heads": None, "max_position_embeddings": 2048},
    "qwen2": {"num_key_value_heads": 32, "max_position_embeddings": 32_768},
}
_SIZE_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)


def read_config(directory: str | Path) -> DecoderConfig:
    """Returns the architecture in `directory`/config.json.

    Raises HFError for a missing or malformed file, an architecture that is none of ARCHITECTURES,
    a RoPE type that is none of rope.TYPES, or a feature the decoder lacks.
    """
    path = as_path(directory) / CONFIG_FILE
    return decoder_config(read_json(path), str(path))


def configured_dtype(directory: str | Path) -> str | None:
    """Returns the dtype of the stored weights that config.json names, or None."""
    path = as_path(directory) / CONFIG_FILE
    fields = read_json(path)
    dtype = fields.get("dtype") or fields.get("torch_dtype")
    if dtype is not None and dtype not in DTYPES:
        raise HFError(f"{path}: dtype {dtype!r} is not supported, expected {', '.join(DTYPES)}")
    return dtype


def decoder_config(fields: Mapping, where: str = CONFIG_FILE) -> DecoderConfig:
    """Returns the DecoderConfig of a parsed config.json; `where` names it in errors."""
    kind = _model_type(fields, where)
    for name, only in (_FIXED_FIELDS | _FIXED_FIELDS_OF_TYPE[kind]).items():
        if fields.get(name, only) not in (only, None):
            raise HFError(
                f"{where}: {name}={fields[name]!r} is not supported, expected {json.dumps(only)}"
            )
    layer_types = fields.get("layer_types") or []
    if not isinstance(layer_types, list) or set(map(str, layer_types)) - {"full_attention"}:
        raise HFError(f'{where}: layer_types={layer_types!r:.100}, expected "full_attention" only')
    sizes = {name: positive_int(fields, name, where) for name in _SIZE_FIELDS}
    rope = read_rope(fields, where)
    num_heads = sizes["num_attention_heads"]
    if fields.get("head_dim") is None and sizes["hidden_size"] % num_heads:
        raise HFError(
            f"{where}: hidden_size={sizes['hidden_size']} is not a multiple of "
            f"num_attention_heads={num_heads}, and head_dim is not given"
        )
    optional = {
        name: positive_int(fields, name, where) if fields.get(name) is not None else default
        for name, default in (
            {"head_dim": sizes["hidden_size"] // num_heads} | _DEFAULTS_OF_TYPE[kind]
        ).items()
    }
    try:
        return DecoderConfig(
            vocab_size=sizes["vocab_size"],
            hidden_size=sizes["hidden_size"],
            intermediate_size=sizes["intermediate_size"],
            num_layers=sizes["num_hidden_layers"],
            num_heads=num_heads,
            num_kv_heads=optional["num_key_value_heads"] or num_heads,
            head_dim=optional["head_dim"],
            max_positions=optional["max_position_embeddings"],
            **rope,
            rms_norm_eps=positive_number(fields, "rms_norm_eps", where, default=1e-6),
            tie_embeddings=flag(fields, "tie_word_embeddings", where),
            initializer_range=_initializer_range(fields, where),
            qkv_bias=kind == "qwen2",
        )
    except ValueError as error:
        raise HFError(f"{where}: {error}") from error


def config_fields(config: DecoderConfig, *, dtype: str, token_ids: Mapping[str, int]) -> dict:
    """Returns the fields of a config.json for `config` with weights stored in `dtype`.

    `token_ids` holds `bos_token_id` and `eos_token_id`.
    """
    kind = model_type(config)
    of_type = {"attention_bias": False, "mlp_bias": False} if kind == "llama" else {}
    return (
        {
            "architectures": [ARCHITECTURES[kind]],
            "attention_dropout": 0.0,
            "head_dim": config.head_dim,
            "hidden_act": "silu",
            "hidden_size": config.hidden_size,
            "initializer_range": config.initializer_range,
            "intermediate_size": config.intermediate_size,
            "max_position_embeddings": config.max_positions,
            "model_type": kind,
            "num_attention_heads": config.num_heads,
            "num_hidden_layers": config.num_layers,
            "num_key_value_heads": config.num_kv_heads,
            "rms_norm_eps": config.rms_norm_eps,
            "tie_word_embeddings": config.tie_embeddings,
            "torch_dtype": dtype,
            "use_cache": True,
            "vocab_size": config.vocab_size,
        }
        | of_type
        | rope_fields(config)
        | dict(token_ids)
    )


def model_type(config: DecoderConfig) -> str:
    """Returns the key in ARCHITECTURES of the class that computes this architecture."""
    return "qwen2" if config.qkv_bias else "llama"


def _model_type(fields: Mapping, where: str) -> str:
    """Returns the supported model type of a config.json. Raises HFError."""
    kind = fields.get("model_type")
    architectures = fields.get("architectures") or [kind]
    if not isinstance(architectures, list):
        raise HFError(f"{where}: architectures={architectures!r:.100}, expected a list of names")
    known = isinstance(kind, str) and kind in ARCHITECTURES
    if known and architectures in ([ARCHITECTURES[kind]], [kind]):
        return kind
    expected = " or ".join(f"{name} / {kind!r}" for kind, name in ARCHITECTURES.items())
    raise HFError(
        f"{where}: architecture {architectures[0]!r:.100} (model_type {kind!r:.100}) is not "
        f"supported, expected {expected}"
    )


def read_json(path: Path) -> dict:
    """Reads a JSON object, at most 64 MiB long. Raises an HFError that names the file."""
    try:
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise HFError(f"{path}: {size:,} bytes, expected at most {_LARGEST_FILE:,}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise HFError(f"{path}: no such file") from None
    except OSError as error:
        raise HFError(f"{path}: {error.strerror}") from error
    fields = parse_json(content, str(path), raises=HFError)
    if not isinstance(fields, dict):
        raise HFError(f"{path}: expected a JSON object, found {type(fields).__name__}")
    return fields


def write_json(path: Path, fields: Mapping) -> None:
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _initializer_range(fields: Mapping, where: str) -> float:
    """Returns the deviation of initial weights; 0 is harmless, for weights are read."""
    if fields.get("initializer_range") == 0:
        return 0.0
    return positive_number(fields, "initializer_range", where, default=0.02)
