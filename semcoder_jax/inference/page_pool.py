"""Tracks the owners of the KV cache's pages on the host, and what freed pages still hold."""

import itertools
from collections.abc import Iterable, Sequence


class PagePool:
    """Counts the owners of pages 1 … num_pages - 1; page 0 belongs to nobody.

    A page keeps its content until it is taken again, those freed first before others.
    """

    def __init__(self, num_pages: int):
        self._free = dict.fromkeys(range(1, num_pages))  # an ordered set
        self._num_owners = [0] * num_pages
        self._pages_of: dict[bytes, tuple[int, ...]] = {}  # by content
        self._content_of: dict[int, bytes] = {}  # by page
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
        pages = list(itertools.islice(self._free, count))
        for page in pages:
            del self._free[page]
            self._num_owners[page] = 1
            if page in self._content_of:
                self._forget(self._content_of[page])
        self.most_used = max(self.most_used, self.num_used)
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """Adds an owner to each page."""
        for page in pages:
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """Removes an owner from each page; a page without owners is free."""
        for page in reversed(pages):  # the begin of a prompt is of use for longest
            if not self._num_owners[page]:
                raise ValueError(f"page {page} is free")
            self._num_owners[page] -= 1
            if not self._num_owners[page]:
                self._free[page] = None

    def remember(self, content: bytes, pages: Sequence[int]) -> None:
        """Records that owned pages hold `content`, unless other pages do already."""
        if content not in self._pages_of:
            self._pages_of[content] = tuple(pages)
            self._content_of |= dict.fromkeys(pages, content)

    def recall(self, content: bytes) -> tuple[int, ...]:
        """Adds an owner to the pages that hold `content`; returns () if no pages do."""
        pages = self._pages_of.get(content, ())
        for page in pages:
            self._free.pop(page, None)
            self._num_owners[page] += 1
        self.most_used = max(self.most_used, self.num_used)
        return pages

    def forget(self) -> None:
        """Forgets what all pages hold."""
        self._pages_of.clear()
        self._content_of.clear()

    def _forget(self, content: bytes) -> None:
        for page in self._pages_of.pop(content):
            del self._content_of[page]
