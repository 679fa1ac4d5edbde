"""Combines all mutation operators and yields the variants of a program."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from data_pipeline.faults import expressions, statements
from data_pipeline.faults.mutant import Mutant
from data_pipeline.source.edits import EditableProgram, functions

OPERATORS: Mapping[str, expressions.Operator] = {**expressions.OPERATORS, **statements.OPERATORS}

PEOPLE_MAKE = frozenset(
    {
        # a bound or a start that is off by one
        "comparison_boundary", "range_bound", "slice_bound", "wrong_index", "initializer_change",
        # a case that was not thought of
        "dropped_guard", "dropped_else", "dropped_condition",
        # another variable, another order, a copy that is none
        "wrong_variable", "swapped_arguments", "swapped_statements", "sequential_assignment",
        "forgotten_copy",
        # a statement at the wrong place
        "early_return", "unindented_statement", "misplaced_initializer",
    }
)  # fmt: skip
"""Operators whose variants a person would write. The others replace one token by its like."""


def shuffle_mutants(program: str, random: Random) -> Iterator[Mutant]:
    """Yields every variant of a program in random order, with the operators taking turns.

    The first variants are thus of many kinds. In each turn those of PEOPLE_MAKE come first, and a
    missing return last: it fails every test of every function alike. Checks variants lazily: most
    are never used. Each parses, differs from the program in more than layout, and comes once.

    Raises SyntaxError if the program does not parse.
    """
    source = EditableProgram(program)
    by_operator: dict[str, list[Mutant]] = {}
    for mutant in _candidates(source, tuple(OPERATORS)):
        by_operator.setdefault(mutant.operator, []).append(mutant)
    queues = list(by_operator.values())
    random.shuffle(queues)
    queues.sort(key=lambda queue: _turn(queue[0].operator))
    for queue in queues:
        random.shuffle(queue)
    return _valid_mutants(source, _in_turn([iter(queue) for queue in queues]))


def _turn(operator: str) -> int:
    """Returns the place of an operator in each turn: 0 first, 2 last."""
    if operator in PEOPLE_MAKE:
        return 0
    return 2 if operator == "missing_return" else 1


def _candidates(source: EditableProgram, operators: Sequence[str]) -> Iterator[Mutant]:
    for name in operators:
        for function in functions(source.tree):
            yield from OPERATORS[name](source, function)


def _in_turn(queues: list[Iterator[Mutant]]) -> Iterator[Mutant]:
    while queues:
        left = []
        for queue in queues:
            if (mutant := next(queue, None)) is not None:
                left.append(queue)
                yield mutant
        queues = left


def _valid_mutants(source: EditableProgram, candidates: Iterator[Mutant]) -> Iterator[Mutant]:
    """Yields the variants that parse and are new."""
    seen = {ast.dump(source.tree)}
    for mutant in map(_tidy, candidates):
        try:
            syntax = ast.dump(ast.parse(mutant.text))
        except (SyntaxError, ValueError, RecursionError):
            continue
        if syntax not in seen:
            seen.add(syntax)
            yield mutant


def _tidy(mutant: Mutant) -> Mutant:
    """Ends the text in one newline."""
    return Mutant(mutant.operator, mutant.text.rstrip("\n") + "\n")
