"""Checks names and types of config fields and builds dataclasses from mappings."""

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Callable, Mapping

from semcoder_jax.config.sections import ConfigError


def check_arguments(function: Callable, arguments: Mapping, section: str) -> None:
    """Raises ConfigError unless `arguments` are keyword arguments of `function`."""
    hints = typing.get_type_hints(function)
    keywords = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    check_names(arguments, keywords, f"{section}.")
    for name, value in arguments.items():
        check_type(value, hints[name], f"{section}.{name}")


def suggest_name(name: str, known) -> str:
    """Returns a clause with the known name closest to `name`, or with all known names."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"


def parse_section(kind: type, fields: Mapping, name: str):
    """Returns `kind(**fields)` after checking names and types. Raises ConfigError."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    check_names(fields, known, f"{name}.")
    hints = typing.get_type_hints(kind)
    for field in known.values():
        if field.name in fields:
            check_type(fields[field.name], hints[field.name], f"{name}.{field.name}")
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"config: {name}.{field.name} is missing")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        return kind(**fields)
    except ValueError as error:
        text = str(error)
        named = text.startswith(f"{name}.")
        raise ConfigError(f"config: {text if named else f'{name}.{text}'}") from None


def check_names(fields: Mapping, known, prefix: str) -> None:
    for name in fields:
        if name not in known:
            raise ConfigError(f"config: unknown field {prefix}{name}; {suggest_name(name, known)}")


def check_type(value, hint, name: str) -> None:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    allowed = tuple(typing.get_origin(kind) or kind for kind in allowed)
    if tuple in allowed:
        allowed += (list,)  # JSON stores tuples as lists
    if float in allowed:
        allowed += (int,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        expected = " or ".join("None" if k is type(None) else k.__name__ for k in allowed)
        raise ConfigError(f"config: {name} is {value!r}, expected {expected}")


def plain_record(record) -> dict:
    """Returns ConfigDicts as dicts and tuples as lists, as JSON would read them back."""
    if hasattr(record, "to_dict"):
        record = record.to_dict()
    if isinstance(record, Mapping):
        return {key: plain_record(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [plain_record(value) for value in record]
    return record


def flat_record(record: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= flat_record(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
