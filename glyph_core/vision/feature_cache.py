"""The features of the pages seen last, so that another question about them draws and encodes nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
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
        self._pins: dict[str, frozenset[str]] = {}  # by name, page digests

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

    def pin(self, name: str, page_digests: Iterable[str]) -> None:
        """These pages go after all others, as far as they take no more than half of the cache."""
        self._pins[name] = self._pins.get(name, frozenset()) | frozenset(page_digests)

    def unpin(self, prefix: str) -> None:
        """Ends the pins whose names begin with ``prefix``."""
        self._pins = {name: pages for name, pages in self._pins.items() if not name.startswith(prefix)}

    def put(self, page_digest: str, features: T, num_bytes: int) -> None:
        """Keeps ``features``, which take ``num_bytes``; a page that is larger than the cache is not kept."""
        if page_digest in self._pages:
            self.num_bytes -= self._pages.pop(page_digest)[1]
        if num_bytes > self.max_bytes:
            return
        self._pages[page_digest] = features, num_bytes
        self.num_bytes += num_bytes
        while self.num_bytes > self.max_bytes:
            self.num_bytes -= self._pages.pop(self._next_to_go())[1]

    def _next_to_go(self) -> str:
        pinned = frozenset[str]().union(*self._pins.values())
        num_pinned_bytes = sum(self._pages[page][1] for page in pinned if page in self._pages)
        oldest = next(iter(self._pages))
        if not pinned or 2 * num_pinned_bytes > self.max_bytes:
            return oldest
        return next((page for page in self._pages if page not in pinned), oldest)
