"""Refusals travel between replicas as values.

An exception that leaves a replica is a fault to Serve: it logs a traceback. That a document is too large or that a
deadline has passed is no fault of the service, however, and happens as often as clients like. So a stage's method
returns such an error, or ends its stream with it, and whoever called it (``faults.call_stage``, ``faults.receive``,
``credits.pull_ranges``) raises it again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from glyph_core.errors import GlyphError, InvalidInputError, NotReadyError, OverloadedError, RequestTimeoutError

REFUSALS = (InvalidInputError, OverloadedError, NotReadyError, RequestTimeoutError)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The last or only thing that a call brings, in place of an exception."""

    error: GlyphError


def returns_refusals(
    method: Callable[P, Awaitable[T]],
) -> Callable[P, Awaitable[T | Refusal]]:
    """For a stage's method: a refusal that it raises is returned."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T | Refusal:
        try:
            return await method(*args, **kwargs)
        except REFUSALS as error:
            return Refusal(error.with_traceback(None))

    return call


def yields_refusals(
    method: Callable[P, AsyncGenerator[T]],
) -> Callable[P, AsyncGenerator[T | Refusal]]:
    """For a stage's streaming method: a refusal that it raises is the last thing that it yields."""

    @wraps(method)
    async def stream(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T | Refusal]:
        async with aclosing(method(*args, **kwargs)) as replies:
            try:
                async for reply in replies:
                    yield reply
            except REFUSALS as error:
                yield Refusal(error.with_traceback(None))

    return stream


def accepted(reply: T | Refusal) -> T:
    """What a stage replied; raises the error of a refusal."""
    if isinstance(reply, Refusal):
        raise reply.error
    return reply
