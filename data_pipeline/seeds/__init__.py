"""Extracts self-contained functions and methods from source trees, JSONL files and packages.

    for unit in units("more_itertools"):
        for found in read_unit(unit):   # Seed or Refusal
            ...

A seed is a program and the name of one of its functions, so that "assert f(x) == y" can say all
about a run. Where no call with literals shows what the source does, a wrapper at the program's end
does (`wrappers`): it constructs the object and calls the method, lists the items of a generator,
passes the lambda of a doctest, or returns what a function has changed in place:

    def stack_push(items, item):       def sort_it_result(xs):
        stack = Stack(items)               sort_it(xs)
        stack.push(item)                   return xs
        return stack.items

Methods that a program does not use are left out of its classes (`pruning`), definitions of other
modules of the same source come along (`closure`), and each definition that gives no seed gives a
Refusal with file, line and cause.

Units are independent and picklable: a pipeline may read them in any order.
"""

from data_pipeline.seeds.seed import Refusal, Seed, SeedError
from data_pipeline.seeds.sources import Unit, read_unit, units

__all__ = ["Refusal", "Seed", "SeedError", "Unit", "read_unit", "units"]
