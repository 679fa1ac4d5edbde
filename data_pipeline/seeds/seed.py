"""A seed: one function out of real source, with all it needs to run alone."""

from dataclasses import dataclass

from data_pipeline.errors import UserError


@dataclass(frozen=True)
class Seed:
    """A self-contained program and what is known of its entry function.

    id:     first 12 hex digits of the SHA-256 of the normalized program (`fingerprints`), so that
            it stays the same when a variable is renamed or a comment changes
    name:   the entry function
    code:   the needed imports, constants and helpers, then the entry function; no docstrings
    nl:     what to write, in words (the docstring, or what the source gave), "" if none
    calls:  calls with literal arguments from doctests and tests, such as "f(3, key=[1])"
    tests:  assertions known beforehand, such as "assert f(3) == 4"
    origin: "package/file.py:123", relative to the source
    """

    id: str
    name: str
    code: str
    nl: str
    calls: tuple[str, ...]
    tests: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Refusal:
    """A function that gave no seed. reason: a short phrase to count by; detail: what in it."""

    name: str
    origin: str
    reason: str
    detail: str = ""


class SeedError(UserError):
    """A source that cannot be read. The message is one line: what, where, what was expected."""
