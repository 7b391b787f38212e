"""The entrance: who comes in, how many at once and how fast. What is refused here has cost nothing yet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import Field

from deployments.access import AccessConfig, ApiKeys
from deployments.browsers import check_browser
from glyph_core.config import Config
from glyph_core.errors import GlyphError, OverloadedError, RateLimitError
from glyph_core.types import Answer


class OverloadConfig(Config):
    """How much the service takes on at once. What is beyond is refused at once, with 429 and Retry-After."""

    max_open_requests: int = Field(128, ge=1, description="running and waiting, of all callers")
    max_open_bytes: int = Field(1024**3, ge=1, description="bodies of the open requests together")
    max_kv_pools: float = Field(
        4.0, ge=1, description="KV memory that the open requests may want together, in pools (engine.kv_memory_gb)"
    )
    timeout_s: float = Field(3600.0, gt=0, description="the longest that a request may take; it may ask for less")


@dataclass(slots=True)
class Visit:
    """One HTTP request, from its head to its last byte. Whoever learns something of it notes it here."""

    caller: str
    arrived_at: float  # of time.monotonic, the event loop's clock
    status: int | None = None  # as sent
    error: GlyphError | None = None  # that was sent, as a response or as a stream's last event
    answer_id: str | None = None
    answer: Answer | None = None
    is_stream: bool = False
    num_bytes: int = 0  # of the body, as far as it was read
    reserve: Callable[[int], None] = field(default=lambda num_bytes: None, repr=False)

    def take(self, num_bytes: int) -> None:
        """Counts so many bytes more of the body. Raises OverloadedError where all open bodies are too many."""
        self.reserve(num_bytes)
        self.num_bytes += num_bytes


class TokenBucket:
    """A rate with bursts: ``burst`` tokens at first, ``rate_per_s`` more of them with time, never over ``burst``."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate_per_s, self._burst, self._clock = rate_per_s, burst, clock
        self._num_tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> float:
        """Takes a token and returns 0, or takes none and returns the seconds until there is one."""
        now = self._clock()
        self._num_tokens = min(self._burst, self._num_tokens + self._rate_per_s * (now - self._filled_at))
        self._filled_at = now
        if self._num_tokens < 1:
            return (1 - self._num_tokens) / self._rate_per_s
        self._num_tokens -= 1
        return 0.0


class Entrance:
    """Belongs to one event loop."""

    def __init__(
        self,
        keys: ApiKeys,
        access: AccessConfig,
        overload: OverloadConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._access, self._overload, self._clock = keys, access, overload, clock
        self._buckets: dict[str, TokenBucket] = {}
        self._num_open: Counter[str] = Counter()  # by caller
        self._num_open_bytes = 0

    @property
    def num_open(self) -> int:
        return self._num_open.total()

    @property
    def max_open(self) -> int:
        return self._overload.max_open_requests

    def caller(self, headers: Mapping[str, str]) -> str:
        """Who sends a request with these headers, their names in lower case. Raises AuthenticationError and
        ForbiddenError."""
        if not self._keys and not self._access.allow_unauthenticated:
            check_browser(headers.get("host", ""), headers.get("origin", ""), self._access.cors_origins)
        return self._keys.caller(headers.get("authorization"))

    @contextmanager
    def open_request(self, caller: str) -> Iterator[Visit]:
        """Room for one request, given back on leaving. Raises OverloadedError or RateLimitError where there is none."""
        self._check_room(caller)
        visit = Visit(caller, self._clock(), reserve=self._reserve)
        self._num_open[caller] += 1
        try:
            yield visit
        finally:
            self._num_open_bytes -= visit.num_bytes
            self._num_open[caller] -= 1
            if not self._num_open[caller]:
                del self._num_open[caller]

    def _check_room(self, caller: str) -> None:
        access = self._access
        if access.max_concurrent is not None and self._num_open[caller] >= access.max_concurrent:
            raise RateLimitError(
                f"{caller} has {access.max_concurrent} requests open, which is its limit; wait for one to end"
            )
        if self.num_open >= self._overload.max_open_requests:
            raise OverloadedError(
                f"the service has {self._overload.max_open_requests} requests open, which is its limit; try again later"
            )
        if access.requests_per_minute is not None:
            wait_s = self._bucket(caller, access.requests_per_minute / 60).take()
            if wait_s:
                raise RateLimitError(
                    f"{caller} may send {access.requests_per_minute:g} requests a minute and has; wait {wait_s:.1f} s",
                    retry_after_s=wait_s,
                )

    def _bucket(self, caller: str, rate_per_s: float) -> TokenBucket:
        if caller not in self._buckets:
            self._buckets[caller] = TokenBucket(rate_per_s, self._access.burst, self._clock)
        return self._buckets[caller]

    def _reserve(self, num_bytes: int) -> None:
        if self._num_open_bytes + num_bytes > self._overload.max_open_bytes:
            raise OverloadedError(
                f"the bodies of the open requests make {self._overload.max_open_bytes} bytes together, which is the "
                "service's limit; try again later"
            )
        self._num_open_bytes += num_bytes
