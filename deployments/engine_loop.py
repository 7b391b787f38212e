"""One thread that runs the engine, and the way to it from the event loop.

The engine is not thread-safe. Everything that touches it is a command, which the thread carries out between two steps;
what a step brings forth goes to the event loop in one call. When the thread dies, every sequence and every command
that waits gets a StageError, and so does whoever comes later.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

from deployments.running_sequence import PageState, RunningSequence
from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import TokenOutput
from glyph_core.engine.stats import EngineStats
from glyph_core.errors import GlyphError, StageError
from glyph_core.types import Prompt

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

STATS_PERIOD_S = 1.0


class StepEngine(Protocol):
    """What the loop needs of an Engine."""

    @property
    def can_step(self) -> bool: ...
    def add(self, request_id: str, prompt: Prompt, sampling: SamplingConfig) -> None: ...
    def wanted_pages(self, request_id: str) -> tuple[int, ...]: ...
    def next_page(self, request_id: str) -> int: ...
    def feed(self, request_id: str, page_number: int, features: torch.Tensor) -> None: ...
    def abort(self, request_id: str) -> None: ...
    def step(self) -> list[TokenOutput]: ...
    def stats(self) -> EngineStats: ...
    def pin(self, name: str, page_digests: Collection[str], window_tokens: Collection[int]) -> None: ...
    def unpin(self, prefix: str) -> list[str]: ...


class EngineLoop:
    """Belongs to one event loop. An error that is none of ours ends its thread."""

    def __init__(self, engine: StepEngine, on_stats: Callable[[EngineStats], None] = lambda stats: None) -> None:
        """``on_stats`` hears of the engine about once a second, in the engine's thread."""
        self._engine, self._on_stats = engine, on_stats
        self._told_at = 0.0
        self._commands: SimpleQueue[tuple[Callable[[], object], Future[object]]] = SimpleQueue()
        self._sequences: dict[str, RunningSequence] = {}  # this and the next: the engine thread's alone, as the engine
        self._published: dict[str, PageState] = {}
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._death: str | None = None  # what it died of
        self._death_lock = threading.Lock()  # no command may slip in while the dead thread's are failed
        threading.Thread(target=self._main, name="engine", daemon=True).start()

    @asynccontextmanager
    async def sequence(
        self, sequence_id: str, prompt: Prompt, sampling: SamplingConfig
    ) -> AsyncGenerator[RunningSequence]:
        """A sequence in the engine; leaving the context aborts it. Raises what ``Engine.add`` raises."""
        self._event_loop = asyncio.get_running_loop()
        sequence = RunningSequence(sequence_id)

        def add() -> None:
            self._engine.add(sequence_id, prompt, sampling)
            self._sequences[sequence_id] = sequence

        try:
            await asyncio.wrap_future(self._send(add))
            yield sequence
        finally:  # also where it was cancelled while the engine took it
            self._send(lambda: self._abort(sequence_id))

    def feed(self, sequence: RunningSequence, page_number: int, features: torch.Tensor) -> None:
        """Does not wait for the engine; what is wrong with the features comes out of the sequence."""
        sequence.note_fed(page_number)
        done = self._send(lambda: self._engine.feed(sequence.sequence_id, page_number, features))
        done.add_done_callback(lambda done: self._fail(done, sequence))

    async def pin(self, name: str, page_digests: Collection[str], window_tokens: Collection[int]) -> None:
        """Raises PinnedShareError, as ``Engine.pin`` does."""
        await asyncio.wrap_future(self._send(lambda: self._engine.pin(name, page_digests, window_tokens)))

    async def unpin(self, prefix: str) -> list[str]:
        return await asyncio.wrap_future(self._send(lambda: self._engine.unpin(prefix)))

    async def stats(self) -> EngineStats:
        return await asyncio.wrap_future(self._send(self._engine.stats))

    def check(self) -> None:
        """Raises StageError when the thread died."""
        if self._death is not None:
            raise StageError(self._death)

    def _send(self, run: Callable[[], T]) -> Future[T]:
        done: Future[T] = Future()
        with self._death_lock:
            if self._death is not None:
                done.set_exception(StageError(self._death))
            else:
                self._commands.put((run, done))  # type: ignore[arg-type] # a Future[T] takes what ``run`` returns
        return done

    def _fail(self, done: Future[None], sequence: RunningSequence) -> None:
        if error := done.exception():
            self._on_event_loop(lambda: sequence.deliver(error))

    def _on_event_loop(self, call: Callable[[], None]) -> None:
        if self._event_loop is not None and not self._event_loop.is_closed():
            self._event_loop.call_soon_threadsafe(call)

    # From here on: the engine thread.

    def _main(self) -> None:
        try:
            while True:
                self._carry_out_commands(wait=not self._engine.can_step)
                self._publish(self._engine.step() if self._engine.can_step else [])
                self._tell_stats()
        finally:
            self._die(sys.exception())

    def _carry_out_commands(self, *, wait: bool) -> None:
        """All that have come; waits a while for one where the engine has nothing else to do."""
        with suppress(Empty):
            if wait:
                self._carry_out(*self._commands.get(timeout=STATS_PERIOD_S))
            while True:
                self._carry_out(*self._commands.get_nowait())

    def _tell_stats(self) -> None:
        if (now := time.monotonic()) - self._told_at >= STATS_PERIOD_S:
            self._told_at = now
            self._on_stats(self._engine.stats())

    def _carry_out(self, run: Callable[[], object], done: Future[object]) -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(run())
        except GlyphError as error:
            done.set_exception(error)
        finally:
            if not done.done():
                done.set_exception(StageError(_death_by(sys.exception())))

    def _abort(self, sequence_id: str) -> None:
        self._engine.abort(sequence_id)
        self._sequences.pop(sequence_id, None)
        self._published.pop(sequence_id, None)

    def _publish(self, outputs: Sequence[TokenOutput]) -> None:
        """Gives the event loop the tokens, and of the sequences' pages what has changed."""
        tokens = [(self._sequences[output.request_id], output) for output in outputs]
        for output in outputs:
            if output.finish_reason is not None:
                self._abort(output.request_id)
        pages = [(self._sequences[sequence_id], state) for sequence_id, state in self._page_changes()]
        if tokens or pages:
            self._on_event_loop(lambda: _deliver(tokens, pages))

    def _page_changes(self) -> list[tuple[str, PageState]]:
        changes = []
        for sequence_id in self._sequences:
            state = PageState(self._engine.wanted_pages(sequence_id), self._engine.next_page(sequence_id))
            if state != self._published.get(sequence_id):
                self._published[sequence_id] = state
                changes.append((sequence_id, state))
        return changes

    def _die(self, cause: BaseException | None) -> None:
        death = _death_by(cause)
        with self._death_lock:
            self._death = death
            while not self._commands.empty():
                self._commands.get()[1].set_exception(StageError(death))
        for sequence in self._sequences.values():
            self._on_event_loop(partial(sequence.deliver, StageError(death)))


def _death_by(cause: BaseException | None) -> str:
    return f"the decoder's engine died of {type(cause).__name__}: {cause}; the service restarts it"


def _deliver(
    tokens: Sequence[tuple[RunningSequence, TokenOutput]], pages: Sequence[tuple[RunningSequence, PageState]]
) -> None:
    for sequence, output in tokens:
        sequence.deliver(output)
    for sequence, state in pages:
        sequence.note_pages(state)
