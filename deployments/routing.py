"""To which renderer a call goes."""

from __future__ import annotations

from random import random

from ray.serve.request_router import FIFOMixin, PendingRequest, ReplicaID, RequestRouter, RunningReplica


class ShortestQueueRouter(FIFOMixin, RequestRouter):  # type: ignore[misc] # they are untyped
    """The replica that has the fewest calls, of all of them; calls that wait go in the order in which they came.

    Serve's own choice is the better of two at random, which leaves renderers idle: a document has a few calls under
    way, two or three for each. Looking at all of them costs nothing where they are some tens.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The one, which has the call from now on: several are chosen before the first is on its way."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # else a call that finds no room asks in a busy loop
        if not candidate_replicas:
            return []
        chosen = min(candidate_replicas, key=lambda replica: (self._num_calls(replica.replica_id), random()))
        self.replica_queue_len_cache.update(chosen.replica_id, self._num_calls(chosen.replica_id) + 1)
        return [[chosen]]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Counted when it was chosen."""

    def _num_calls(self, replica_id: ReplicaID) -> int:
        """As far as it is known: the replica tells it with every call that it takes."""
        return self.replica_queue_len_cache.get(replica_id) or 0
