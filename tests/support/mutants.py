"""All variants that the mutation operators give of a program, one operator after another."""

from collections.abc import Iterator, Sequence

from data_pipeline.faults import operators
from data_pipeline.faults.mutant import Mutant
from data_pipeline.source.edits import Source


def mutants(program: str, names: Sequence[str] = tuple(operators.OPERATORS)) -> Iterator[Mutant]:
    source = Source(program)
    return operators._valid_mutants(source, operators._candidates(source, names))
