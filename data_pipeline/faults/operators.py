"""All mutation operators, and the variants that they give of a program."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from data_pipeline.faults import expressions, statements
from data_pipeline.faults.edits import Source, functions
from data_pipeline.faults.mutant import Mutant

MAX_WHY = 240
"""Characters of the sentence that says what is wrong."""

OPERATORS: Mapping[str, expressions.Operator] = {**expressions.OPERATORS, **statements.OPERATORS}


def mutants(program: str, operators: Sequence[str] = tuple(OPERATORS)) -> Iterator[Mutant]:
    """Every variant of a program, operator by operator, in the order of the source.

    Each parses, differs from the program in more than layout, and comes once. Raises SyntaxError
    where the program does not parse.
    """
    source = Source(program)
    seen = {ast.dump(source.tree)}
    for name in operators:
        for function in functions(source.tree):
            for mutant in map(_tidy, OPERATORS[name](source, function)):
                try:
                    syntax = ast.dump(ast.parse(mutant.text))
                except (SyntaxError, ValueError, RecursionError):
                    continue
                if syntax not in seen:
                    seen.add(syntax)
                    yield mutant


def _tidy(mutant: Mutant) -> Mutant:
    """One line end at the end, and no sentence that quotes several lines or very long ones."""
    why = "" if "\n" in mutant.why or len(mutant.why) > MAX_WHY else mutant.why
    return Mutant(mutant.operator, mutant.text.rstrip("\n") + "\n", why)


def shuffled(program: str, random: Random) -> list[Mutant]:
    """The variants in a random order in which the operators take turns, so that a few of them
    are of many kinds."""
    by_operator: dict[str, list[Mutant]] = {}
    for mutant in mutants(program):
        by_operator.setdefault(mutant.operator, []).append(mutant)
    queues = list(by_operator.values())
    random.shuffle(queues)
    for queue in queues:
        random.shuffle(queue)
    order = []
    while queues:
        order += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    return order
