"""Encodes values that leave the sandbox as tagged JSON, which keeps every exact type.

    null true false "text" 42          None, bool, str, int of at most 63 bits
    ["i", "0x..."]                     a longer int
    ["f", "nan"]                       float, by repr (exact; -0.0 and NaN kept)
    ["c", re, im]                      complex, two float texts
    ["b", hex] ["B", hex]              bytes, bytearray
    ["l", ...] ["t", ...]              list, tuple
    ["s", ...] ["z", ...]              set, frozenset, members sorted by their JSON
    ["d", k, v, k, v, ...]             dict, in its order
    ["m", name, k, v, ...]             Counter, OrderedDict, defaultdict (whose factory is dropped)
    ["q", ...]                         deque
    ["r", start, stop, step] ["e"]     range, Ellipsis
    ["~", n]                           a container inside itself: the n-th level from outside
    ["k", name, [k, v, ...], ...]      an object as its text, `Point(1, y=2)`, with the keyword
                                       arguments first; ["k", name] is an attribute, `Color.RED`
    ["o", "module.Type"]               anything else, subclasses of builtins included

Encodes the parts of exact builtin types and those of `collections` only. Compares types by identity
and calls no method that a program can define or replace, so that no code of the program runs.
Does not use pickle, because reading one runs code that its untrusted writer chose.
Standard library only: this file also runs inside the sandbox.
"""

import contextlib
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from typing import Any

from data_pipeline.execution.guest.messages import json_text
from data_pipeline.source.calls import parse_value
from data_pipeline.source.constructed import Constructed
from data_pipeline.tracing.rendering import render

MAX_TEXT = 10_000  # characters of an object's text
MAX_DEPTH = 100  # levels of nesting
MAX_NODES = 200_000  # values in one result
MAX_SHARING = 64  # keys of one container with the same hash; more are a deliberate collision

_SMALL = 1 << 63
# By identity, because the hash and equality of a type are those of its metaclass.
_SEQUENCES = {id(list): "l", id(tuple): "t", id(deque): "q"}
_SETS = {id(set): "s", id(frozenset): "z"}
_MAPPINGS = {
    id(Counter): "Counter",
    id(OrderedDict): "OrderedDict",
    id(defaultdict): "defaultdict",
}
_CONTAINERS = {id(dict), *_SEQUENCES, *_SETS, *_MAPPINGS}
_SAME_IN_JSON = frozenset(map(id, (str, bool, type(None))))
_INT, _FLOAT = frozenset([id(int)]), frozenset([id(float)])
# Keys whose hash and equality are Python's own: ordering an OrderedDict compares its keys.
_PLAIN_KEYS = {id(kind) for kind in (str, int, float, bool, bytes, type(None))}
_PLAIN_TREES = frozenset([str, int, bool, type(None)])
_dict_items, _ordered_items = dict.items, OrderedDict.items
_type_name = type.__dict__["__name__"].__get__
_type_module = type.__dict__["__module__"].__get__


class TooLarge(Exception):
    """A value exceeds MAX_DEPTH or MAX_NODES."""


class Malformed(ValueError):
    """JSON is not a valid tagged value."""


@dataclass(frozen=True)
class Opaque:
    """Replaces a value of a type that cannot be encoded; equals nothing, not even itself."""

    type: str

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Cycle:
    """Replaces a container inside itself; `level` counts from the outermost container, 0."""

    level: int


def encode(value: Any, max_nodes: int = MAX_NODES, objects: bool = False) -> Any:
    """Returns the tagged tree of `value`. Raises TooLarge.

    objects: whether to write objects by the text that traces show, if that reads as the call of a
             class. It shows attributes and runs no code of the program.
    """
    kind = type(value)
    if id(kind) in _SAME_IN_JSON or (kind is int and -_SMALL <= value < _SMALL):
        return value
    return _Encoder(max_nodes, objects).encode(value, 0)


class _Encoder:
    def __init__(self, max_nodes: int, objects: bool) -> None:
        self.nodes, self.max_nodes, self.objects = 0, max_nodes, objects
        self.open: dict[int, int] = {}  # id of a container being encoded -> its level

    def count(self, values: int) -> None:
        self.nodes += values
        if self.nodes > self.max_nodes:
            raise TooLarge(f"more than {self.max_nodes} values")

    def encode(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise TooLarge(f"more than {self.max_nodes} values")
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return value if -_SMALL <= value < _SMALL else ["i", hex(value)]
        if kind is float:
            return ["f", repr(value)]
        if id(kind) in _CONTAINERS:
            level = self.open.get(id(value))
            if level is not None:
                return ["~", level]
            if depth >= MAX_DEPTH:
                raise TooLarge(f"nested deeper than {MAX_DEPTH}")
            self.open[id(value)] = depth
            tree = self.container(value, kind, depth + 1)
            del self.open[id(value)]
            return tree
        if kind is bytes:
            return ["b", value.hex()]
        if kind is bytearray:
            return ["B", value.hex()]
        if kind is complex:
            return ["c", repr(value.real), repr(value.imag)]
        if kind is range:
            return ["r", *(self.encode(n, depth) for n in (value.start, value.stop, value.step))]
        if value is ...:
            return ["e"]
        if kind is Constructed:
            return self.constructed(value, depth + 1)
        made = _read_object(value) if self.objects else None
        return ["o", _full_name(kind)] if made is None else self.constructed(made, depth + 1)

    def constructed(self, value: Constructed, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise TooLarge(f"nested deeper than {MAX_DEPTH}")
        if value.args is None:
            return ["k", value.name]
        named = [self.encode(part, depth) for pair in value.kwargs for part in pair]
        return ["k", value.name, named, *(self.encode(item, depth) for item in value.args)]

    def container(self, value: Any, kind: type, depth: int) -> list[Any]:
        if kind is dict or id(kind) in _MAPPINGS:
            tree: list[Any] = ["d"] if kind is dict else ["m", _MAPPINGS[id(kind)]]
            for key, item in _items(value, kind):
                tree.append(self.encode(key, depth))
                tree.append(self.encode(item, depth))
            return tree
        members = self.members(value, depth)
        if id(kind) in _SEQUENCES:
            return [_SEQUENCES[id(kind)], *members]
        return [_SETS[id(kind)], *sorted(members, key=json_text)]

    def members(self, value: Any, depth: int) -> Any:
        """Returns the trees of the members; those of many plain values of one type at once."""
        kinds = set(map(id, map(type, value)))
        if kinds <= _SAME_IN_JSON or (kinds == _INT and _are_small(value)):
            self.count(len(value))
            return value
        if kinds == _FLOAT:
            self.count(len(value))
            return [["f", text] for text in map(repr, value)]
        return [self.encode(item, depth) for item in value]


def _are_small(numbers: Any) -> bool:
    return min(numbers) >= -_SMALL and max(numbers) < _SMALL


def _items(value: Any, kind: type) -> Any:
    if kind is OrderedDict and all(id(type(key)) in _PLAIN_KEYS for key in dict.keys(value)):
        return _ordered_items(value)
    return _dict_items(value)


def _read_object(value: Any) -> Constructed | None:
    """Reads an object from its text in traces; returns None if that is not the call of a class."""
    try:
        made = parse_value(render(value, MAX_TEXT))
    except Exception:  # LiteralError, or anything where the program has replaced builtins
        return None
    return made if type(made) is Constructed else None


def _full_name(kind: type) -> str:
    name = _type_name(kind)
    try:
        module = _type_module(kind)
    except AttributeError:
        module = None
    if type(module) is not str or module in ("builtins", "program", "__main__"):
        return name[:200]
    return f"{module}.{name}"[:200]


def decode(tree: Any) -> Any:
    """Returns the Python value of a tagged tree, with Opaque and Cycle for inexact parts.

    Trees come from untrusted processes. Raises Malformed for trees that `encode` never writes, and
    for keys that were chosen to collide.
    """
    return _decode(tree, 0)


def _decode(tree: Any, depth: int) -> Any:
    if tree is None or type(tree) in (bool, str, int):
        return tree
    if type(tree) is not list or not tree or type(tree[0]) is not str or depth > MAX_DEPTH:
        raise Malformed("expected a tagged tree, got another value")
    tag = tree[0]
    if tag == "f" and len(tree) == 2:
        return _decode_float(tree[1])
    parts = tree[1:]
    if tag in ("l", "t"):
        if not _PLAIN_TREES.issuperset(map(type, parts)):
            parts = [_decode(part, depth + 1) for part in parts]
        return parts if tag == "l" else tuple(parts)
    if tag in ("s", "z"):
        members = [_decode(part, depth + 1) for part in parts]
        _check_hashes(members)
        return set(members) if tag == "s" else frozenset(members)
    if tag == "k" and parts and type(parts[0]) is str:
        return _decode_constructed(parts, depth)
    if tag == "d" and len(parts) % 2 == 0:
        return _decode_pairs(parts, depth)
    if tag == "q":
        return deque(_decode(part, depth + 1) for part in parts)
    if tag == "m" and len(parts) % 2 == 1:
        pairs = _decode_pairs(parts[1:], depth)
        match parts[0]:
            case "Counter":
                return Counter(pairs)
            case "OrderedDict":
                return OrderedDict(pairs)
            case "defaultdict":
                return defaultdict(None, pairs)
    try:
        match tag, parts:
            case "i", [str(text)]:
                return int(text, 16)
            case "b", [str(text)]:
                return bytes.fromhex(text)
            case "B", [str(text)]:
                return bytearray.fromhex(text)
            case "c", [str(real), str(imaginary)]:
                return complex(float(real), float(imaginary))
            case "r", [start, stop, step]:
                return range(*(_decode(n, depth) for n in (start, stop, step)))
            case "e", []:
                return ...
            case "~", [int(level)]:
                return Cycle(level)
            case "o", [str(name)]:
                return Opaque(name)
    except (ValueError, TypeError) as error:
        raise Malformed(f"a value tagged {tag!r} is malformed") from error
    raise Malformed(f"unknown tag {tag[:20]!r}")


def _decode_float(text: Any) -> float:
    if type(text) is str:
        with contextlib.suppress(ValueError):
            return float(text)
    raise Malformed("a value tagged 'f' is malformed")


def _decode_constructed(parts: list[Any], depth: int) -> Constructed:
    name, *rest = parts
    if not rest:
        return Constructed(name)
    named = rest[0]
    if type(named) is not list or len(named) % 2 or not all(type(k) is str for k in named[::2]):
        raise Malformed("the named arguments of an object are malformed")
    values = [_decode(part, depth + 1) for part in named[1::2]]
    args = tuple(_decode(part, depth + 1) for part in rest[1:])
    return Constructed(name, args, tuple(zip(named[::2], values, strict=True)))


def _decode_pairs(parts: list[Any], depth: int) -> dict[Any, Any]:
    keys = [_decode(part, depth + 1) for part in parts[::2]]
    _check_hashes(keys)
    return dict(zip(keys, (_decode(part, depth + 1) for part in parts[1::2]), strict=True))


def _check_hashes(keys: list[Any]) -> None:
    try:
        hashes = sorted(hash(key) for key in keys)
    except TypeError as error:
        raise Malformed("a key is not hashable") from error
    step = MAX_SHARING
    if any(one == other for one, other in zip(hashes, hashes[step:], strict=False)):
        raise Malformed(f"more than {MAX_SHARING} keys of a container share one hash")


def has_opaque(tree: Any) -> bool:
    """Returns whether the tree contains an inexact part (opaque, or a cycle)."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if type(node) is list and node:
            if node[0] in ("o", "~"):
                return True
            waiting.extend(node[1:])
    return False
