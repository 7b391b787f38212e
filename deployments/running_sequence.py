"""A sequence in the engine as the event loop sees it: its tokens as they come, and how far its pages are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, takewhile

from glyph_core.engine.engine import TokenOutput


@dataclass(frozen=True, slots=True)
class PageState:
    """How far the engine is with a sequence's pages."""

    wanted: tuple[int, ...] = ()  # numbers of the pages that are neither computed nor fed
    next_page: int = 0  # number of the first page that is not wholly computed


class RunningSequence:
    """Belongs to one event loop."""

    def __init__(self, sequence_id: str) -> None:
        self.sequence_id = sequence_id
        self.pages = PageState()
        self._pages_changed = asyncio.Event()
        self._fed: set[int] = set()
        self._outputs: asyncio.Queue[TokenOutput | BaseException | None] = asyncio.Queue()

    @property
    def missing_pages(self) -> list[int]:
        """Numbers of the pages that the engine wants and that are not on their way to it."""
        return [number for number in self.pages.wanted if number not in self._fed]

    @property
    def num_pages_ready(self) -> int:
        """Pages that were fed, that the engine can compute one after the other, and that it has not come to yet."""
        numbers = count(self.pages.next_page)
        return sum(1 for _ in takewhile(self._fed.__contains__, numbers))

    async def next_output(self) -> TokenOutput | None:
        """The next generated token, or None for a page that was fed; raises what went wrong with the sequence."""
        output = await self._outputs.get()
        if isinstance(output, BaseException):
            raise output
        return output

    async def until(self, condition: Callable[[], object]) -> None:
        """Returns when ``condition``, which looks at this sequence's pages, holds."""
        while not condition():
            self._pages_changed.clear()
            await self._pages_changed.wait()

    def deliver(self, output: TokenOutput | BaseException) -> None:
        self._outputs.put_nowait(output)

    def note_fed(self, page_number: int) -> None:
        self._fed.add(page_number)
        self._outputs.put_nowait(None)

    def note_pages(self, pages: PageState) -> None:
        if pages.next_page < self.pages.next_page:  # preempted: what was computed is to be fed again
            self._fed.difference_update(range(self.pages.next_page))
        self.pages = pages
        self._pages_changed.set()
