"""Requests whose gateway died. Ray cancels no call for its caller's death: the answer would be written to its end, for
nobody, on KV blocks that others wait for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import ray
from ray.exceptions import RayError

from deployments.logs import logger

SERVE_NAMESPACE = "serve"  # of all replicas
PERIOD_S = 0.5


class GatewayWatch:
    """Cancels the requests of gateways that died. Belongs to one event loop; asks only while there are requests."""

    def __init__(self, is_alive: Callable[[str], bool] | None = None, period_s: float = PERIOD_S) -> None:
        self._is_alive = is_alive or is_replica_alive
        self._period_s = period_s
        self._requests: defaultdict[str, set[asyncio.Task[object]]] = defaultdict(set)
        self._watcher: asyncio.Task[None] | None = None

    @contextmanager
    def cancelling(self, gateway: str) -> Iterator[None]:
        """Within, the current task is cancelled when ``gateway`` dies; "" is nobody, who never does."""
        task = asyncio.current_task()
        if not gateway or task is None:
            yield
            return
        self._requests[gateway].add(task)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._requests[gateway].discard(task)
            if not self._requests[gateway]:
                del self._requests[gateway]

    async def _watch(self) -> None:
        while self._requests:
            await asyncio.sleep(self._period_s)
            for gateway in list(self._requests):
                if not await asyncio.to_thread(self._is_alive, gateway):
                    self._cancel(gateway)

    def _cancel(self, gateway: str) -> None:
        tasks = self._requests.get(gateway, set())
        logger.warning("a gateway died", extra={"gateway": gateway, "requests": len(tasks)})
        for task in tasks:
            task.cancel()


def is_replica_alive(actor_name: str) -> bool:
    """Whether the replica's actor runs. Blocks for a round trip to Ray's head; True where the head does not answer."""
    with suppress(RayError):
        try:
            ray.get_actor(actor_name, namespace=SERVE_NAMESPACE)
        except ValueError:  # no such actor, or a dead one
            return False
    return True
