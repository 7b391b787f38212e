"""Errors on their way between replicas, turned into our own tree in this one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

from deployments.refusals import Refusal, accepted
from glyph_core.errors import GlyphError, NotReadyError, OverloadedError, StageError

MAX_REISSUES = 3  # of one call, each after the death of the replica that had it

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# What a call or a wait on another replica can raise.
REMOTE_ERRORS = (RayError, RayServeException)

# The replica is gone, not the request at fault: the same call may succeed elsewhere.
_REPLICA_DEATHS = (ActorDiedError, ActorUnavailableError, NodeDiedError, ObjectLostError, WorkerCrashedError)


def is_replica_death(error: BaseException) -> bool:
    """Whether the replica that was called died. An error that the replica itself met and raised is no such death."""
    return isinstance(error, _REPLICA_DEATHS) and not isinstance(error, RayTaskError)


def as_glyph_error(error: BaseException, stage: str) -> GlyphError:
    """``error``, met while calling ``stage``, as one of our own.

    An error of ours that crossed a replica comes wrapped in a RayTaskError, of a class made on the fly that is ours
    by name only: ``cause`` is the real one.
    """
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, GlyphError):
        return cause
    if isinstance(cause, BackPressureError):
        return OverloadedError(f"the {stage} has no room for another request; try again later")
    if isinstance(cause, DeploymentUnavailableError):
        return NotReadyError(f"the {stage} failed to start; the service's logs say why")
    if is_replica_death(error):
        return StageError(f"the {stage} died while it served this request; try again")
    return StageError(f"the {stage} failed: {type(cause).__name__}: {cause}")


class Call(Awaitable[T_co], Protocol[T_co]):
    """A call under way. A ``DeploymentResponse`` is one."""

    def cancel(self) -> Any: ...


async def call_stage(issue: Callable[[], Call[T_co | Refusal]], stage: str) -> T_co:
    """What the call that ``issue`` makes returns; made again where its replica dies. Raises errors of ours only, among
    them what the stage refused."""
    for num_left in reversed(range(MAX_REISSUES + 1)):
        call = issue()
        try:
            return accepted(await call)
        except asyncio.CancelledError:
            call.cancel()
            raise
        except REMOTE_ERRORS as error:
            if not num_left or not is_replica_death(error):
                raise as_glyph_error(error, stage) from error
    raise AssertionError("the last try returns or raises")


class Stream(Protocol[T_co]):
    """A streaming call under way. A ``DeploymentResponseGenerator`` is one."""

    async def __anext__(self) -> T_co: ...
    def cancel(self) -> Any: ...


async def receive(
    issue: Callable[[], Stream[T | Refusal]],
    stage: str,
    *,
    may_repeat: Callable[[T], bool] = lambda reply: False,
) -> AsyncGenerator[T]:
    """What the stream that ``issue`` begins brings. It is begun once more where its replica dies while ``may_repeat``
    holds for all that it has brought.

    Once only: a request that kills whoever serves it would take others with it each time. Raises errors of ours only,
    among them what the stage refused; leaving it early (``aclosing``) cancels the call.
    """
    can_repeat = True
    while True:
        stream = issue()
        try:
            while True:
                reply = accepted(await stream.__anext__())
                can_repeat = can_repeat and may_repeat(reply)
                yield reply
        except StopAsyncIteration:
            return
        except REMOTE_ERRORS as error:
            if not can_repeat or not is_replica_death(error):
                raise as_glyph_error(error, stage) from error
            can_repeat = False
        except (asyncio.CancelledError, GeneratorExit):
            stream.cancel()
            raise
