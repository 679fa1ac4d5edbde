"""A buggy variant of a program, made by one operator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """operator: its name; text: the buggy program; why: what is wrong with it, in a sentence that
    is true of every run, "" where the changed lines say it all."""

    operator: str
    text: str
    why: str = ""
