"""The features of the pages seen last, so that another question about them draws and encodes nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class FeatureCache(Generic[T]):
    """Pages' features by page digest, at most ``max_bytes`` of them; those that were used longest ago go first.

    A page digest names the pixels and so, within one process, the features: a process runs one checkpoint. What is
    kept is handed out as it is and must not be changed. Not thread-safe.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._pages: OrderedDict[str, tuple[T, int]] = OrderedDict()

    def __contains__(self, page_digest: str) -> bool:
        return page_digest in self._pages

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, page_digest: str) -> T | None:
        """The features of a page, or None; counts as a use."""
        if page_digest not in self._pages:
            return None
        self._pages.move_to_end(page_digest)
        return self._pages[page_digest][0]

    def put(self, page_digest: str, features: T, num_bytes: int) -> None:
        """Keeps ``features``, which take ``num_bytes``; a page that is larger than the cache is not kept."""
        if page_digest in self._pages:
            self.num_bytes -= self._pages.pop(page_digest)[1]
        if num_bytes > self.max_bytes:
            return
        self._pages[page_digest] = features, num_bytes
        self.num_bytes += num_bytes
        while self.num_bytes > self.max_bytes:
            self.num_bytes -= self._pages.popitem(last=False)[1][1]
