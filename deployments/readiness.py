"""Whether the whole chain has answered once, and the wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from glyph_core.errors import GlyphError, NotReadyError

WARM_UP_RETRY_S = 1.0
PATIENCE_S = 300.0  # that a request gives a new gateway, whose decoder may load its model still: in an upgrade


class Readiness:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self.why_not: str | None = "the service is starting; try again in a few seconds"
        self._is_ready = asyncio.Event()

    def check(self) -> None:
        """Raises NotReadyError until the whole chain has answered once."""
        if self.why_not:
            raise NotReadyError(self.why_not)

    async def wait(self) -> None:
        """Raises NotReadyError where the chain has not answered once before the patience ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._is_ready.wait()
        self.check()

    async def reach(self, warm_up: Callable[[], Awaitable[None]]) -> None:
        """Calls ``warm_up`` again and again until it succeeds."""
        while self.why_not:
            try:
                await warm_up()
                self.why_not = None
                self._is_ready.set()
            except GlyphError as error:
                self.why_not = f"the service has not answered its warm-up request: {error.message}"
                await asyncio.sleep(WARM_UP_RETRY_S)
