"""Which pages of the cache are whose: the host's side of kv_cache."""

from collections.abc import Iterable


class PagePool:
    """Counts the owners of pages 1 … num_pages - 1; page 0 belongs to nobody."""

    def __init__(self, num_pages: int):
        self._free = list(range(num_pages - 1, 0, -1))
        self._num_owners = [0] * num_pages
        self.capacity = num_pages - 1
        self.most_used = 0

    @property
    def num_free(self) -> int:
        return len(self._free)

    @property
    def num_used(self) -> int:
        return self.capacity - len(self._free)

    def take(self, count: int) -> list[int] | None:
        """`count` pages of one owner, or None where there are too few."""
        if count > len(self._free):
            return None
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._num_owners[page] = 1
        self.most_used = max(self.most_used, self.num_used)
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """One more owner of each."""
        for page in pages:
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] += 1

    def release(self, pages: Iterable[int]) -> None:
        """One owner fewer; the last one frees the page."""
        for page in pages:
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] -= 1
            if not self._num_owners[page]:
                self._free.append(page)
