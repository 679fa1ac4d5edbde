"""Draws random items in worker processes, in an order that does not depend on their number."""

import concurrent.futures
import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


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
