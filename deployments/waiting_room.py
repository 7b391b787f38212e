"""The waiting room before the engine: how much KV memory the open requests want together.

The engine takes any number of sequences and lets them wait for blocks. So that nobody waits for what cannot come in a
time that a client would wait, a request is refused when those that are open want more than so many times the pool.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from glyph_core.errors import OverloadedError

DRAIN_WINDOW_S = 60.0
LONGEST_RETRY_S = 60.0


@dataclass(slots=True)
class Place:
    """What one open request wants; nothing while its documents are planned."""

    num_text_tokens: int = 0
    page_tokens: Mapping[str, int] = field(default_factory=dict)  # by page digest


class WaitingRoom:
    """Belongs to one event loop. A page that several open requests show is counted once: they share its blocks."""

    def __init__(
        self, num_kv_tokens: int | None, max_pools: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``num_kv_tokens`` is the pool's size; None: no limit."""
        self._pool, self._clock = num_kv_tokens, clock
        self.max_tokens = None if num_kv_tokens is None else int(num_kv_tokens * max_pools)
        self.num_tokens = 0  # wanted by all who are in
        self._num_of_page: Counter[str] = Counter()  # open requests that show it
        self._left: deque[tuple[float, int]] = deque()  # when, and tokens that were wanted no more

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place for one request, before any work is done for it. Raises OverloadedError where the room is full."""
        if self.max_tokens is not None and self.num_tokens >= self.max_tokens:
            self._refuse(0)
        place = Place()
        try:
            yield place
        finally:
            self._leave(place)

    def take(self, place: Place, num_text_tokens: int, page_tokens: Mapping[str, int]) -> None:
        """Its documents are planned and nothing else is done: this is what it wants. Raises OverloadedError where that
        is too much beside the others; by itself it never is."""
        num_new = num_text_tokens + sum(tokens for page, tokens in page_tokens.items() if not self._num_of_page[page])
        if self.max_tokens is not None and self.num_tokens and self.num_tokens + num_new > self.max_tokens:
            self._refuse(num_new)
        place.num_text_tokens, place.page_tokens = num_text_tokens, page_tokens
        self._num_of_page.update(page_tokens.keys())
        self.num_tokens += num_new

    def _leave(self, place: Place) -> None:
        self._num_of_page.subtract(place.page_tokens.keys())
        gone = [page for page in place.page_tokens if not self._num_of_page[page]]
        for page in gone:
            del self._num_of_page[page]
        num_tokens = place.num_text_tokens + sum(place.page_tokens[page] for page in gone)
        self.num_tokens -= num_tokens
        self._left.append((self._clock(), num_tokens))

    def _refuse(self, num_new: int) -> None:
        assert self._pool is not None
        assert self.max_tokens is not None
        error = OverloadedError(
            f"the open requests want {self.num_tokens} tokens of KV memory"
            + (f" and this one {num_new} more" if num_new else "")
            + f"; the service holds {self._pool} and lets {self.max_tokens} wait together; try again later"
        )
        error.retry_after_s = self._retry_after_s(self.num_tokens + num_new - self.max_tokens)
        raise error

    def _retry_after_s(self, num_too_many: int) -> float:
        """When so many tokens will be wanted no more, if it goes on as in the last minute."""
        now = self._clock()
        while self._left and self._left[0][0] < now - DRAIN_WINDOW_S:
            self._left.popleft()
        num_left = sum(num_tokens for _, num_tokens in self._left)
        if not num_left:
            return OverloadedError.retry_after_s
        rate = num_left / max(1.0, now - self._left[0][0])
        return min(LONGEST_RETRY_S, max(1.0, num_too_many / rate))
