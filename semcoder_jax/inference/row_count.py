"""Chooses the number of rows of a chunk: fewer take less time, but each number is one more program.

On a CPU each row of a step takes time, so rows without a sample are not free. There, 8 to 16 rows
give the same bits in every operation of the model, so that a sample's tokens do not depend on their
number; fewer or more rows split sums differently. On accelerators every chunk has a row for each
slot: up to `FREE_ROWS` of them (capacity.py) cost nothing.
"""

from typing import NamedTuple

ALIKE = range(8, 17, 4)  # numbers of rows that give the same bits on a CPU
# Share of the steps left by max_new_tokens that will probably be taken: end tokens come earlier.
SHARE_OF_LIMIT = 0.5


class Program(NamedTuple):
    """Identifies a compiled chunk."""

    num_rows: int
    drafts: int
    adapted: bool


def row_counts(num_slots: int, backend: str) -> tuple[int, ...]:
    """Returns the numbers of rows that a chunk may have, in ascending order, `num_slots` last."""
    if backend != "cpu" or num_slots > max(ALIKE):
        return (num_slots,)
    return (*(count for count in ALIKE if count < num_slots), num_slots)


class RowCountPolicy:
    """Decides on the number of rows from the measured time of steps and of compiling.

    Attributes:
      compiled: programs that have run.
    """

    def __init__(self, counts: tuple[int, ...]):
        self.counts = counts
        self.compiled: set[Program] = set()
        self._compile_seconds = float("inf")
        self._step_seconds = 0.0  # of a chunk with all rows

    def choose(self, num_active: int, drafts: int, adapted: bool, steps_left: int) -> int:
        """Returns the least number that holds the active rows and is compiled, or worth it.

        steps_left: greatest number of steps that the active rows may still take; 0 while others
        wait for their slots.
        """
        for num_rows in self.counts[:-1]:
            if num_rows < num_active:
                continue
            saved = self._step_seconds * (1 - num_rows / self.counts[-1])
            worth = SHARE_OF_LIMIT * steps_left * saved > self._compile_seconds
            if worth or Program(num_rows, drafts, adapted) in self.compiled:
                return num_rows
        return self.counts[-1]

    def record_compiling(self, program: Program, seconds: float) -> None:
        """Records that the first call of a program took so long."""
        self.compiled.add(program)
        self._compile_seconds = min(seconds, self._compile_seconds)

    def record_steps(self, program: Program, seconds_per_step: float) -> None:
        """Records the time of the steps of a chunk, compiling apart."""
        if program.num_rows == self.counts[-1]:
            self._step_seconds = seconds_per_step
