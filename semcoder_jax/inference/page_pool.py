"""Tracks the owners of the KV cache's pages on the host."""

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
        """Takes `count` free pages for one owner; returns None if there are too few."""
        if count > len(self._free):
            return None
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._num_owners[page] = 1
        self.most_used = max(self.most_used, self.num_used)
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """Adds an owner to each page."""
        for page in pages:
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] += 1

    def release(self, pages: Iterable[int]) -> None:
        """Removes an owner from each page; a page without owners is free."""
        for page in pages:
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] -= 1
            if not self._num_owners[page]:
                self._free.append(page)
