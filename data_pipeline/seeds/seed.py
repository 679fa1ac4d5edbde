"""Defines a seed: one function from real source with everything it needs to run alone."""

from dataclasses import dataclass

from data_pipeline.errors import UserError


@dataclass(frozen=True)
class Seed:
    """Holds a self-contained program and metadata about its entry function.

    id:     first 12 hex digits of the SHA-256 of the normalized program (`fingerprints`); renaming
            variables or changing comments does not change it
    name:   the entry function
    code:   the needed imports, constants and helpers, then the entry function; no docstrings
    nl:     the task in words (the docstring, or the source's own field), "" if none
    calls:  calls with literal arguments from doctests and tests, such as "f(3, key=[1])"
    tests:  assertions from the source, such as "assert f(3) == 4"
    origin: "package/file.py:123"; it begins with the package's or the source folder's name
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
    """Holds a function that gave no seed. reason: a short phrase to count by; detail: the cause."""

    name: str
    origin: str
    reason: str
    detail: str = ""


class SeedError(UserError):
    """Reports a source that cannot be read, in one line: source, fault, expectation."""
