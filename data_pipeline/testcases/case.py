"""Defines the results of exploring a seed: kept runs, coverage and refusals."""

from collections import Counter
from dataclasses import dataclass, field

from data_pipeline.tracing import Trace


@dataclass(frozen=True)
class Case:
    """Holds one kept run, reproduced in another process under another hash seed, within limits.

    call:   such as "f(3, key=[1])", with literal arguments
    output: text of the returned value, readable by `ast.literal_eval`; sets are sorted
    trace:  of that run, not truncated
    """

    call: str
    output: str
    trace: Trace


@dataclass(frozen=True)
class Coverage:
    """Counts the lines and branches (two per header line) of a program's functions.

    lines, branches:           reachable by a run that returns, by a static reading; see
                               `coverage.universe_of`
    lines_kept, branches_kept: of these, reached by the kept cases
    lines_seen, branches_seen: of these, reached by any run, including runs that raised
    """

    lines: int
    branches: int
    lines_kept: int
    branches_kept: int
    lines_seen: int
    branches_seen: int


@dataclass(frozen=True)
class Exploration:
    """Holds the results of exploring a seed.

    cases:     kept runs, those that add coverage first
    refused:   runs not kept, counted by reason
    annotated: kept runs of a function with annotated parameters; lawful: of these, those whose
               arguments keep to the annotations
    paths:     distinct paths through the program that the kept runs take
    """

    cases: tuple[Case, ...]
    coverage: Coverage
    refused: Counter[str] = field(default_factory=Counter)
    annotated: int = 0
    lawful: int = 0
    paths: int = 0
