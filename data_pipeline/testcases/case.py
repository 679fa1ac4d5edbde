"""What exploring a seed comes to: the kept runs, the coverage, and what was refused."""

from collections import Counter
from dataclasses import dataclass, field

from data_pipeline.tracing import Trace


@dataclass(frozen=True)
class Case:
    """One kept run: the same in another process under another hash seed, within limits.

    call:   such as "f(3, key=[1])", its arguments literals
    output: text of the returned value, which `ast.literal_eval` reads; sets are written sorted
    trace:  of that run, not truncated
    """

    call: str
    output: str
    trace: Trace


@dataclass(frozen=True)
class Coverage:
    """Of the functions of a program, counted in lines and in branches (two per header line).

    lines, branches:           reachable by a run that returns, as far as the text tells, see
                               `coverage.universe_of`
    lines_kept, branches_kept: of these, reached by the kept cases
    lines_seen, branches_seen: of these, reached by any run, those that raised included
    """

    lines: int
    branches: int
    lines_kept: int
    branches_kept: int
    lines_seen: int
    branches_seen: int


@dataclass(frozen=True)
class Exploration:
    """cases: kept runs, those that add coverage first. refused: runs not kept, by reason."""

    cases: tuple[Case, ...]
    coverage: Coverage
    refused: Counter[str] = field(default_factory=Counter)
