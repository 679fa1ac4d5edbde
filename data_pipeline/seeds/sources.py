"""Sources of seeds: a folder, a JSONL file, or the name of an installed package."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.seeds.seed import Refusal, Seed


@dataclass(frozen=True)
class Unit:
    """What is read in one go: a Python file of a source, or some rows of a JSONL file.

    root:        folder that `path` and origins are relative to
    path:        relative, with "/"
    first, last: lines of a JSONL file, 1-based, `last` included; 0, 0 for a Python file
    """

    root: str
    path: str
    first: int = 0
    last: int = 0


def units(source: str) -> Sequence[Unit]:
    """All units of a source, in a fixed order. Raises SeedError where nothing can be read."""
    raise NotImplementedError


def read_unit(unit: Unit) -> Sequence[Seed | Refusal]:
    """The seeds of a unit and what was refused, in the order of the source."""
    raise NotImplementedError
