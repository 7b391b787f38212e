"""To which renderer a call goes."""

from __future__ import annotations

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica


class ShortestQueueRouter(FIFOMixin, RequestRouter):
    """The replica that has the fewest calls, of all of them; calls that wait go in the order in which they came.

    Serve's own choice is the better of two at random, which leaves renderers idle: a document has a few calls under
    way, one or two for each. Looking at all of them costs nothing where they are some tens.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """In one rank, of which Serve takes the least loaded that has room, and waits a moment where none has."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # without, it asks again in a busy loop
        return [candidate_replicas]
