"""Work in threads that nobody waits for any more.

A thread cannot be cancelled, and a parser's worker would run on to its own limit. So whoever starts such work says in
its context how to see that it was given up (``asyncio.to_thread`` takes the context along), and what waits for a worker
looks there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar

_IS_GIVEN_UP: ContextVar[Callable[[], bool]] = ContextVar("is_given_up", default=lambda: False)


@contextmanager
def until(is_given_up: Callable[[], bool]) -> Iterator[None]:
    """Work that is begun within, in this thread or another one with this context, ends when ``is_given_up``."""
    token = _IS_GIVEN_UP.set(is_given_up)
    try:
        yield
    finally:
        _IS_GIVEN_UP.reset(token)


def check() -> None:
    """Raises concurrent.futures.CancelledError, which nobody sees, where the work was given up."""
    if _IS_GIVEN_UP.get()():
        raise CancelledError
