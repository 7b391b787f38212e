"""One request in the decoder: its windows one after another, its pages on their way, its tokens as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial

from ray.serve.handle import DeploymentHandle

from deployments.credits import pull_ranges
from deployments.engine_loop import EngineLoop
from deployments.packing import unpack
from deployments.protocol import EncodedPage, RangeRequest, ServedRequest
from deployments.running_sequence import RunningSequence
from glyph_core.answering.inquiry import Inquiry
from glyph_core.answering.prompts import DocumentPrompt, page_ranges
from glyph_core.config import CreditConfig
from glyph_core.types import Progress, TextDelta


class RequestDriver:
    """Drives an Inquiry over the engine's loop and the encoder."""

    def __init__(
        self,
        request: ServedRequest,
        inquiry: Inquiry,
        loop: EngineLoop,
        encoder: DeploymentHandle,
        credit_config: CreditConfig,
        model: str = "",
    ) -> None:
        self._model = model
        self._request, self._inquiry, self._account = request, inquiry, inquiry.account
        self._loop, self._encoder, self._credits = loop, encoder, credit_config

    async def events(self) -> AsyncGenerator[Progress | TextDelta]:
        """Ends when the inquiry is finished. Windows are read one after another: each would push out the others'
        blocks."""
        while started := self._inquiry.next_sequence():
            window = self._read_window(*started)
            async with aclosing(window):
                async for event in window:
                    yield event

    async def _read_window(self, sequence_id: str, prompt: DocumentPrompt) -> AsyncGenerator[Progress | TextDelta]:
        async with self._loop.sequence(sequence_id, prompt.prompt, self._request.sampling) as sequence:
            feed = asyncio.create_task(self._feed(sequence, prompt))
            feed.add_done_callback(partial(_deliver_failure, sequence))
            try:
                yield self._account.progress()
                while not self._inquiry.has_ended(sequence_id):
                    output = await sequence.next_output()
                    for event in [self._account.progress()] if output is None else self._inquiry.push(output):
                        yield event
            finally:
                feed.cancel()

    async def _feed(self, sequence: RunningSequence, prompt: DocumentPrompt) -> None:
        """Brings the engine the pages that it wants, for as long as the sequence lives.

        It reads no further ahead than the credits allow. Where the engine gave up cached pages and wants earlier ones
        now, what is on its way is dropped for them.
        """
        max_ready = self._credits.encode_calls * self._credits.pages_per_encode_call
        issue = self._encoder.encode_range.options(stream=True).remote
        while True:
            await sequence.until(lambda: sequence.missing_pages)
            numbers: deque[int] = deque()
            ranges = self._missing_ranges(sequence, prompt, numbers)
            pages = pull_ranges(ranges, issue, max_calls=self._credits.encode_calls, stage="encoder")
            async with aclosing(pages):
                async for page in pages:
                    number = numbers.popleft()
                    self._take(sequence, number, page)
                    await sequence.until(lambda: sequence.num_pages_ready < max_ready)
                    if sequence.missing_pages and sequence.missing_pages[0] < number:
                        break

    def _missing_ranges(
        self, sequence: RunningSequence, prompt: DocumentPrompt, numbers: deque[int]
    ) -> Iterator[RangeRequest]:
        """Ranges of missing pages in the prompt's order, each decided on when it is asked for: what another sequence
        has computed by then is not pulled. Appends to ``numbers`` the page numbers of what it yields."""
        asked_until = 0
        while missing := [number for number in sequence.missing_pages if number >= asked_until]:
            pages = next(page_ranges(prompt, missing, self._credits.pages_per_encode_call))
            asked_until = pages.first_number + pages.stop - pages.start
            numbers.extend(range(pages.first_number, asked_until))
            document, request = self._request.documents[pages.document], self._request
            is_last = missing[-1] < asked_until
            yield RangeRequest(
                document, request.render, pages.start, pages.stop, request.request_id, self._model, is_last
            )

    def _take(self, sequence: RunningSequence, number: int, page: EncodedPage) -> None:
        # The decoder sees a page when it is encoded; those that are drawn and not encoded yet are few.
        self._account.stages.render_s += page.render_s
        self._account.stages.encode_s += page.encode_s
        self._inquiry.note_page(sequence.sequence_id, number, page.error)
        self._loop.feed(sequence, number, unpack(page).features)


def _deliver_failure(sequence: RunningSequence, feed: asyncio.Task[None]) -> None:
    if not feed.cancelled() and (error := feed.exception()):
        sequence.deliver(error)
