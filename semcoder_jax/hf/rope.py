"""Reads and writes the RoPE of a config.json.

It has two spellings: `rope_theta` beside `rope_scaling: {"type", "factor"}` (before transformers 5)
and `rope_parameters: {"rope_type", "factor", "rope_theta"}` (since). Both are read. If a file has
both, transformers takes `rope_scaling`, and so does this. The old one is written, because
transformers 4 and 5 both take it as linear scaling (4.36 accepts exactly these two keys), whereas
`{"factor": 4.0}` alone is silently unscaled in 5. Llama 3's scaling is written as Meta's own files
have it, under `rope_scaling`.
"""

from collections.abc import Mapping

from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.numbers import positive_int, positive_number

TYPES = ("default", "linear", "llama3")
_ORIGINAL = "original_max_position_embeddings"


def read_rope(fields: Mapping, where: str) -> dict[str, float]:
    """Returns the `rope_` fields of a DecoderConfig from those of a config.json.

    Raises HFError, which begins with `where`, for a type or a value that is not supported.
    """
    rope, source = _rope_object(fields, where)
    kind = rope.get("rope_type", rope.get("type"))
    if kind is None and rope.get("factor") is not None:
        raise HFError(
            f"{source} has a factor but no rope_type (or type), expected {_alternatives()}"
        )
    if kind not in (None, *TYPES):
        raise HFError(f"{source}: RoPE type {kind!r} is not supported, expected {_alternatives()}")
    partial = rope.get("partial_rotary_factor", 1.0)
    if partial != 1.0:
        raise HFError(f"{source}: partial_rotary_factor={partial!r} is not supported, expected 1.0")
    owner = rope if "rope_theta" in rope else fields
    found = {"rope_theta": positive_number(owner, "rope_theta", where, default=10_000.0)}
    if kind in ("linear", "llama3"):
        found["rope_scaling_factor"] = positive_number(rope, "factor", source)
    return found | (_read_llama3(fields, rope, source) if kind == "llama3" else {})


def rope_fields(config: DecoderConfig) -> dict:
    """Returns the fields of a config.json."""
    scaling = None
    if config.rope_original_positions:
        scaling = {
            "factor": config.rope_scaling_factor,
            "high_freq_factor": config.rope_high_turns,
            "low_freq_factor": config.rope_low_turns,
            _ORIGINAL: config.rope_original_positions,
            "rope_type": "llama3",
        }
    elif config.rope_scaling_factor != 1.0:
        scaling = {"type": "linear", "factor": config.rope_scaling_factor}
    return {"rope_scaling": scaling, "rope_theta": config.rope_theta}


def describe_rope(config: DecoderConfig) -> str:
    """Returns theta and scaling in words."""
    factor = f"{config.rope_scaling_factor:g}"
    if config.rope_original_positions:
        scaling = f"Llama 3's scaling × {factor} of {config.rope_original_positions:,} positions"
    else:
        scaling = "unscaled" if factor == "1" else f"linear scaling × {factor}"
    return f"theta {config.rope_theta:g}, {scaling}"


def _rope_object(fields: Mapping, where: str) -> tuple[Mapping, str]:
    """Returns the object that counts, and where it stands."""
    names = ("rope_scaling", "rope_parameters")
    for name in names:
        if not isinstance(fields.get(name, {}), Mapping | None):
            raise HFError(f"{where}: {name}={fields[name]!r:.100}, expected an object or null")
    for name in names:
        if fields.get(name):
            return fields[name], f"{where}: {name}"
    return {}, where


def _read_llama3(fields: Mapping, rope: Mapping, source: str) -> dict[str, float]:
    low, high = (
        positive_number(rope, name, source) for name in ("low_freq_factor", "high_freq_factor")
    )
    owner = fields if fields.get(_ORIGINAL) is not None else rope
    original = positive_int(owner, _ORIGINAL, source)
    return {
        "rope_original_positions": original,
        "rope_low_turns": low,
        "rope_high_turns": high,
    }


def _alternatives() -> str:
    return f"{', '.join(TYPES[:-1])} or {TYPES[-1]}"
