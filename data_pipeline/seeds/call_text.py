"""Writes calls and values as source text with literal arguments."""

from data_pipeline.source.calls import Call, CallError, parse_call
from data_pipeline.source.constructed import Constructed
from data_pipeline.source.literals import MAX_CHARACTERS, LiteralError, parse_literal, same_value

MAX_CALL = 200  # characters
_PLAIN = (int, str, bool, type(None))  # their `repr` is always read as they are


def literal_call(name: str, text: str) -> str | None:
    """Rewrites a call so that every argument is a literal; returns None if that is impossible.

    Ranges become lists; other constructors of plain values become the values that they construct.
    """
    try:
        call = parse_call(text)
    except CallError:
        return None
    return call_text(name, call)


def call_text(name: str, call: Call) -> str | None:
    """Writes `call` as `name(...)`; returns None if an argument has no literal form."""
    parts = [literal_text(value) for value in call.args]
    texts = {key: literal_text(value) for key, value in call.kwargs.items()}
    if None in parts or None in texts.values() or not all(map(str.isidentifier, texts)):
        return None
    text = f"{name}({', '.join([*parts, *(f'{key}={value}' for key, value in texts.items())])})"
    return text if len(text) <= MAX_CALL else None


def literal_text(value: object) -> str | None:
    """Writes a value as a literal: a range as a list, a set sorted by the texts of its items."""
    kind = type(value)
    if kind in _PLAIN:
        try:
            text = repr(value)
        except ValueError:  # an integer too long to be written
            return None
        return text if len(text) <= MAX_CHARACTERS else None
    if kind is range:
        if len(value) > 60:  # type: ignore[arg-type]
            return None
        return repr(list(value))  # type: ignore[call-overload]
    if kind in (list, tuple):
        parts = [literal_text(item) for item in value]  # type: ignore[attr-defined]
        if None in parts:
            return None
        inner = ", ".join(parts)  # type: ignore[arg-type]
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    if kind is dict:
        pairs = [(literal_text(k), literal_text(v)) for k, v in value.items()]  # type: ignore[attr-defined]
        if any(None in pair for pair in pairs):
            return None
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    if kind in (set, frozenset):
        parts = [literal_text(item) for item in value]  # type: ignore[attr-defined]
        if None in parts:
            return None
        inner = "{" + ", ".join(sorted(parts)) + "}" if parts else ""  # type: ignore[type-var]
        if kind is set:
            return inner or "set()"
        return f"frozenset({inner})"
    if kind is Constructed:
        return _constructed_text(value)  # type: ignore[arg-type]
    try:
        text = repr(value)
        return text if same_value(parse_literal(text), value) else None
    except (LiteralError, ValueError):  # an integer too long to be written
        return None


def _constructed_text(value: Constructed) -> str | None:
    if value.args is None:
        return value.name
    parts = [literal_text(item) for item in value.args]
    named = [(name, literal_text(item)) for name, item in value.kwargs]
    if None in parts or any(text is None for _, text in named):
        return None
    passed = [*map(str, parts), *(f"{name}={text}" for name, text in named)]
    return f"{value.name}({', '.join(passed)})"
