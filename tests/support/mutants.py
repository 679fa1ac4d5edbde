"""Yields all variants of a program that the mutation operators make, operator by operator."""

from collections.abc import Iterator, Sequence

from data_pipeline.faults import operators
from data_pipeline.faults.mutant import Mutant
from data_pipeline.source.edits import EditableProgram


def mutants(program: str, names: Sequence[str] = tuple(operators.OPERATORS)) -> Iterator[Mutant]:
    source = EditableProgram(program)
    return operators._valid_mutants(source, operators._candidates(source, names))
