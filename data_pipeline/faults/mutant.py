"""Defines a mutant: a buggy variant of a program, made by one operator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Holds one variant.

    operator: its name
    text:     the buggy program
    """

    operator: str
    text: str
