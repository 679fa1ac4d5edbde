"""Reads a program as fragments: the whole, its functions and methods, and the one asked for.

A fragment has the hashes of its normal form (`fingerprints`) and those of all runs of WINDOW
tokens, whose Jaccard similarity tells how alike two fragments are. MinHash bands (Broder 1997) find
the pairs worth comparing. Values are the same on every Python version.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_pipeline.decontamination.methods import as_function, methods
from data_pipeline.source.fingerprints import normalize_loosely, normalize_program, tree_digest
from data_pipeline.source.tree_text import tree_text

WINDOW = 5  # tokens
MIN_FUNCTION = 20  # tokens; shorter functions are not compared on their own
BANDS, ROWS = 32, 4  # MinHash parameters: finds 99.98 % of pairs at 0.7, 91 % at 0.5

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_TOKEN = re.compile(
    r"[^\W\d]\w*|\d[\w.]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[-+*/%&|^<>=!:]=|\*\*|//|<<|>>"
    r"|->|\S"
)
_OURS = re.compile(r"(v|f|C)\d*")


@dataclass(frozen=True)
class Fragment:
    """Holds the fingerprints and window hashes of a program or of one of its functions.

    strict: digest of the normal form; equal programs do the same
    loose:  digest of the normal form with sorted literal displays
    """

    tokens: int
    strict: str
    loose: str
    windows: frozenset[int]


@lru_cache(maxsize=4096)
def program_fragments(code: str) -> tuple[Fragment, ...]:
    """Returns the whole program, then its functions of MIN_FUNCTION tokens or more.

    Methods of its classes count as functions without `self`.
    """
    if not code.strip():
        return ()
    try:
        tree = ast.parse(code)
        whole = _fragment(code)
    except _UNREADABLE:  # not Python 3, so only its tokens can be compared
        tokens = _TOKEN.findall(code)
        digest = hashlib.sha256(" ".join(tokens).encode("utf-8", "replace")).hexdigest()
        return (Fragment(len(tokens), digest, digest, _windows(tokens)),)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(tree.body) == 1 and functions:
        return (whole,)
    texts = [_source_of(function, code) for function in functions]
    texts += [ast.unparse(as_function(method)) for _, method in methods(tree)]
    parts = (_fragment(text) for text in texts)
    return (whole, *(part for part in parts if part.tokens >= MIN_FUNCTION))


@lru_cache(maxsize=4096)
def entry_windows(code: str, entry: str) -> frozenset[int] | None:
    """Returns the windows of the function `entry` ("f" or "C.f"; "" for the last) alone.

    Names are normalized with the rest of the program, so helpers may have other names. None if
    there is no such function.
    """
    place = entry_place(code, entry)
    if place is None:
        return None
    return _windows(_tokens(_definitions(normalize_loosely(code))[place]))


@lru_cache(maxsize=4096)
def entry_place(code: str, entry: str) -> int | None:
    """Returns the number of the definition `entry` among all of a program; None if it has none."""
    try:
        tree = ast.parse(code)
    except _UNREADABLE:
        return None
    found: ast.AST | None = tree if entry else last_function(tree)
    for name in entry.split(".") if entry else ():
        found = _last_named(getattr(found, "body", ()), name)
    numbers = (number for number, one in enumerate(_definitions(tree)) if one is found)
    return next(numbers, None)


def last_function(tree: ast.Module) -> ast.FunctionDef | None:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return functions[-1] if functions else None


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0


@lru_cache(maxsize=4096)
def bands(windows: frozenset[int]) -> tuple[bytes, ...]:
    """Returns MinHash bands; similarity s gives a common band with probability 1 - (1 - s^4)^32."""
    # Not datasketch: its import takes longer than the build of a small source.
    factors, terms = _permutations()
    hashes = np.fromiter(windows, np.uint64, len(windows))
    least = (hashes[:, None] * factors + terms).min(axis=0)
    return tuple(least[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS))


@lru_cache(maxsize=1)
def _permutations() -> tuple[np.ndarray, np.ndarray]:
    """Returns factors (odd) and terms of BANDS * ROWS permutations x -> a * x + b of 64 bits."""
    names = (f"permutation {number}".encode() for number in range(BANDS * ROWS))
    drawn = np.frombuffer(
        b"".join(hashlib.blake2b(name, digest_size=16).digest() for name in names), "<u8"
    ).astype(np.uint64)
    return drawn[::2] | np.uint64(1), drawn[1::2]


# ---- one fragment -------------------------------------------------------------------------------


def _fragment(code: str) -> Fragment:
    tree = normalize_loosely(code)
    loose = tree_digest(tree)
    tokens = _tokens(tree)
    return Fragment(len(tokens), tree_digest(normalize_program(code)), loose, _windows(tokens))


def _source_of(function: ast.FunctionDef, code: str) -> str:
    """Returns the source lines of a function at module level."""
    first = min(node.lineno for node in (function, *function.decorator_list))
    text = "\n".join(code.split("\n")[first - 1 : function.end_lineno])
    try:
        ast.parse(text)
    except _UNREADABLE:  # it shares a line with another statement
        return ast.unparse(function)
    return text


def _tokens(tree: ast.AST) -> list[str]:
    return _TOKEN.findall(ast.unparse(_OpaqueTexts().visit(tree)))


class _OpaqueTexts(ast.NodeTransformer):
    """Replaces f-strings by digests of the same number of tokens: Pythons unparse them unalike."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        digest = hashlib.blake2b(tree_text(node).encode(), digest_size=8).hexdigest()
        return ast.Name(f"f'{digest}'", ast.Load())


def _windows(tokens: Sequence[str]) -> frozenset[int]:
    """Returns hashes of all runs of WINDOW tokens.

    Names are numbered separately in each window, so an extra variable at the beginning does not
    change the rest.
    """
    found = set()
    ours = [_OURS.fullmatch(token) is not None for token in tokens]
    for start in range(max(len(tokens) - WINDOW + 1, 1)):
        names: dict[str, str] = {}
        window = [
            names.setdefault(token, f"{token[0]}{len(names)}") if own else token
            for token, own in zip(
                tokens[start : start + WINDOW], ours[start : start + WINDOW], strict=True
            )
        ]
        text = "\0".join(window).encode("utf-8", "replace")
        found.add(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big"))
    return frozenset(found)


# ---- one function of a program ------------------------------------------------------------------


def _definitions(tree: ast.AST) -> list[ast.AST]:
    """Returns all functions and classes; normalizing a program keeps their number and order."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def _last_named(body: Sequence[ast.stmt], name: str) -> ast.stmt | None:
    """Returns the definition that holds at the end of a body."""
    named: Iterator[ast.stmt] = (one for one in body if getattr(one, "name", None) == name)
    return max(named, key=lambda one: one.lineno, default=None)
