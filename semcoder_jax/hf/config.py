"""Reads and writes Hugging Face's config.json so that every version of transformers can read it.

RoPE scaling has two spellings: `rope_theta` beside `rope_scaling: {"type", "factor"}` (before
transformers 5) and `rope_parameters: {"rope_type", "factor", "rope_theta"}` (since). Both are
read; the old one is written, because transformers 4 and 5 both take it as linear scaling (4.36
accepts exactly these two keys), whereas `{"factor": 4.0}` alone is silently unscaled in 5.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from data_pipeline.files import parse_json
from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError

ARCHITECTURE = "LlamaForCausalLM"
CONFIG_FILE = "config.json"
DTYPES = ("float32", "bfloat16", "float16")
_LARGEST_FILE = 64 << 20  # bytes; the index of a model of thousands of tensors has less than one MB
# Larger values are refused before any memory is taken for what they describe.
_MAX_LAYERS = 10_000
_MAX_SIZE = 2**31 - 1
_TINY, _LARGE = 1e-30, 1e12

# Fields that change the computation of a Llama, and the only value that this decoder supports.
_FIXED_FIELDS = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
    "sliding_window": None,
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

    Raises HFError for a missing or malformed file, an architecture other than
    LlamaForCausalLM, a RoPE type other than default or linear, or a feature the decoder lacks.
    """
    path = Path(directory) / CONFIG_FILE
    return decoder_config(read_json(path), str(path))


def stored_dtype(directory: str | Path) -> str:
    """Returns the dtype of the stored weights from config.json; float32 if it names none."""
    path = Path(directory) / CONFIG_FILE
    fields = read_json(path)
    dtype = fields.get("dtype") or fields.get("torch_dtype") or "float32"
    if dtype not in DTYPES:
        raise HFError(f"{path}: dtype {dtype!r} is not supported, expected {', '.join(DTYPES)}")
    return dtype


def decoder_config(fields: Mapping, where: str = CONFIG_FILE) -> DecoderConfig:
    """Returns the DecoderConfig of a parsed config.json; `where` names it in errors."""
    architectures = fields.get("architectures") or [fields.get("model_type")]
    if not isinstance(architectures, list):
        raise HFError(f"{where}: architectures={architectures!r:.100}, expected a list of names")
    if architectures not in ([ARCHITECTURE], ["llama"]) or fields.get("model_type") != "llama":
        raise HFError(
            f"{where}: architecture {architectures[0]!r} (model_type "
            f"{fields.get('model_type')!r}) is not supported, expected {ARCHITECTURE} / 'llama'"
        )
    for name, only in _FIXED_FIELDS.items():
        if fields.get(name, only) not in (only, None):
            raise HFError(
                f"{where}: {name}={fields[name]!r} is not supported, expected {json.dumps(only)}"
            )
    sizes = {name: _positive_int(fields, name, where) for name in _SIZE_FIELDS}
    theta, factor = _parse_rope(fields, where)
    num_heads = sizes["num_attention_heads"]
    if fields.get("head_dim") is None and sizes["hidden_size"] % num_heads:
        raise HFError(
            f"{where}: hidden_size={sizes['hidden_size']} is not a multiple of "
            f"num_attention_heads={num_heads}, and head_dim is not given"
        )
    optional = {
        name: _positive_int(fields, name, where) if fields.get(name) is not None else default
        for name, default in {
            "num_key_value_heads": num_heads,
            "head_dim": sizes["hidden_size"] // num_heads,
            "max_position_embeddings": 2048,  # transformers' own default
        }.items()
    }
    try:
        return DecoderConfig(
            vocab_size=sizes["vocab_size"],
            hidden_size=sizes["hidden_size"],
            intermediate_size=sizes["intermediate_size"],
            num_layers=sizes["num_hidden_layers"],
            num_heads=num_heads,
            num_kv_heads=optional["num_key_value_heads"],
            head_dim=optional["head_dim"],
            max_positions=optional["max_position_embeddings"],
            rope_theta=theta,
            rope_scaling_factor=factor,
            rms_norm_eps=_positive_number(fields, "rms_norm_eps", where, default=1e-6),
            tie_embeddings=_flag(fields, "tie_word_embeddings", where),
            initializer_range=_initializer_range(fields, where),
        )
    except ValueError as error:
        raise HFError(f"{where}: {error}") from error


def config_fields(config: DecoderConfig, *, dtype: str, token_ids: Mapping[str, int]) -> dict:
    """Returns the fields of a config.json for `config` with weights stored in `dtype`.

    `token_ids` holds `bos_token_id` and `eos_token_id`.
    """
    scaling = None
    if config.rope_scaling_factor != 1.0:
        scaling = {"type": "linear", "factor": config.rope_scaling_factor}
    return {
        "architectures": [ARCHITECTURE],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": config.initializer_range,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.num_kv_heads,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": scaling,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_embeddings,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": config.vocab_size,
    } | dict(token_ids)


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


def _parse_rope(fields: Mapping, where: str) -> tuple[float, float]:
    """Returns RoPE theta and the linear scaling factor."""
    for name in ("rope_parameters", "rope_scaling"):
        if not isinstance(fields.get(name, {}), Mapping | None):
            raise HFError(f"{where}: {name}={fields[name]!r:.100}, expected an object or null")
    for name in ("rope_parameters", "rope_scaling"):
        if fields.get(name):
            rope, source = fields[name], f"{where}: {name}"
            break
    else:
        rope, source = {}, where
    kind = rope.get("rope_type", rope.get("type"))
    if kind is None and rope.get("factor") is not None:
        raise HFError(
            f"{source} has a factor but no rope_type (or type), expected 'default' or 'linear'"
        )
    if kind not in (None, "default", "linear"):
        raise HFError(f"{source}: RoPE type {kind!r} is not supported, expected default or linear")
    partial = rope.get("partial_rotary_factor", 1.0)
    if partial != 1.0:
        raise HFError(f"{source}: partial_rotary_factor={partial!r} is not supported, expected 1.0")
    theta_owner = rope if "rope_theta" in rope else fields
    theta = _positive_number(theta_owner, "rope_theta", where, default=10_000.0)
    factor = _positive_number(rope, "factor", source) if kind == "linear" else 1.0
    return theta, factor


def _positive_int(fields: Mapping, name: str, where: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise HFError(f"{where}: {name}={value!r:.100}, expected a positive integer")
    most = _MAX_LAYERS if name == "num_hidden_layers" else _MAX_SIZE
    if value > most:
        raise HFError(f"{where}: {name}={value!r:.100}, expected at most {most:,}")
    return value


def _positive_number(fields: Mapping, name: str, where: str, default: float | None = None) -> float:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # float32 is what the model computes with; NaN fails both comparisons.
    if not is_number or not _TINY <= value <= _LARGE:
        raise HFError(
            f"{where}: {name}={value!r:.100}, expected a positive number, at most {_LARGE:g}"
        )
    return float(value)


def _initializer_range(fields: Mapping, where: str) -> float:
    """Returns the deviation of initial weights; 0 is harmless, for weights are read."""
    if fields.get("initializer_range") == 0:
        return 0.0
    return _positive_number(fields, "initializer_range", where, default=0.02)


def _flag(fields: Mapping, name: str, where: str) -> bool:
    value = fields.get(name)
    if value not in (None, True, False) or not isinstance(value, bool | None):
        raise HFError(f"{where}: {name}={value!r:.100}, expected true or false")
    return bool(value)
