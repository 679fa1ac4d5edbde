"""Defines a hostile program and the permitted outcomes of its run."""

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Hostile:
    name: str
    ends: tuple[str, ...]
    program: str
    mode: str = "call"


def hostile(name: str, ends: str, program: str, mode: str = "call") -> Hostile:
    return Hostile(name, tuple(ends.split(" | ")), dedent(program).strip() + "\n", mode)
