"""Defines a mutant: a buggy variant of a program, made by one operator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Holds one variant.

    operator: its name
    text:     the buggy program
    why:      the error in a sentence that is true of every run, "" if the changed lines suffice
    """

    operator: str
    text: str
    why: str = ""
