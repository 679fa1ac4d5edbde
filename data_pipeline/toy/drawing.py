"""Draws random items in worker processes, in an order that does not depend on their number."""

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from data_pipeline.errors import UserError

_T = TypeVar("_T")
PATIENCE = 100_000
"""Items in a row without a new one after which a drawing ends: more than a minute's."""


class DrawingError(UserError):
    """Raised if random items bring nothing new any more."""


@dataclasses.dataclass
class Patience:
    """Ends a drawing of distinct items, of which a family has no endless number."""

    wanted: int
    found: int = 0
    _vain: int = 0

    def count(self, *, is_new: bool) -> None:
        """Counts one more item. Raises DrawingError after PATIENCE ones that were not new."""
        self.found += is_new
        self._vain = 0 if is_new else self._vain + 1
        if self._vain >= PATIENCE:
            raise DrawingError(
                f"only {self.found:,} of {self.wanted:,} functions were found: the last "
                f"{PATIENCE:,} that were drawn brought nothing new; ask for fewer"
            )


def draw_chunks(draw: Callable[[int], Sequence[_T]], workers: int) -> Iterator[Sequence[_T]]:
    """Yields draw(0), draw(1), …, computed in `workers` processes, until it is closed.

    One worker is this process.
    draw: must be picklable, and depend on the number alone.
    """
    if workers == 1:
        yield from map(draw, itertools.count())
        return
    # Not fork: a caller may hold JAX's threads.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        numbers = itertools.count()
        pending = [pool.submit(draw, next(numbers)) for _ in range(2 * workers)]
        try:
            while True:
                chunk = pending.pop(0).result()
                pending.append(pool.submit(draw, next(numbers)))
                yield chunk
        finally:
            pool.shutdown(cancel_futures=True)
