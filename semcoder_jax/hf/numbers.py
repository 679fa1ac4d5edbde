"""Reads numbers of a config.json; an absurd one is refused before memory is taken for it."""

from collections.abc import Mapping

from semcoder_jax.errors import HFError

_MAX_LAYERS = 10_000
_MAX_SIZE = 2**31 - 1
_TINY, _LARGE = 1e-30, 1e12


def positive_int(fields: Mapping, name: str, where: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise HFError(f"{where}: {name}={value!r:.100}, expected a positive integer")
    most = _MAX_LAYERS if name == "num_hidden_layers" else _MAX_SIZE
    if value > most:
        raise HFError(f"{where}: {name}={value!r:.100}, expected at most {most:,}")
    return value


def positive_number(fields: Mapping, name: str, where: str, default: float | None = None) -> float:
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


def flag(fields: Mapping, name: str, where: str) -> bool:
    value = fields.get(name)
    if value not in (None, True, False) or not isinstance(value, bool | None):
        raise HFError(f"{where}: {name}={value!r:.100}, expected true or false")
    return bool(value)
