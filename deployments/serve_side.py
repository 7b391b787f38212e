"""What the stages ask of Ray Serve beyond calls to one another."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from deployments.endpoint import local_url
from deployments.faults import REMOTE_ERRORS, as_glyph_error
from glyph_core.errors import StageError


def near(handle: DeploymentHandle) -> DeploymentHandle:
    """``handle``, from now on with a preference for replicas of this node: what they send crosses no network."""
    if isinstance(handle, DeploymentHandle):
        handle._init(_prefer_local_routing=True)  # Serve offers it under this name only
    return handle


class ServeSide:
    """Works in a replica. What is no coroutine waits for Serve's controller: not for the event loop."""

    async def ask_all(
        self, handle: DeploymentHandle, method: str, stage: str, timeout_s: float, *args: Any
    ) -> list[Any]:
        """What ``method`` returns in every replica of a stage. Raises errors of ours only."""
        try:
            replies = await asyncio.to_thread(handle.broadcast, method, *args)
            return list(await replies.results_async(timeout_s=timeout_s))
        except TimeoutError as error:  # one of Ray's that is also a RayError among them
            raise StageError(f"the {stage} did not answer within {timeout_s:g} s") from error
        except REMOTE_ERRORS as error:
            raise as_glyph_error(error, stage) from error

    def listening_host(self) -> str:
        """The address that Serve's HTTP proxy listens on."""
        return str(_get_global_client().http_config.host)

    def local_url(self) -> str:
        """Where this machine reaches Serve's HTTP proxy."""
        http = _get_global_client().http_config
        return local_url(str(http.host), int(http.port))

    def replica_name(self) -> str:
        """The name of this replica's actor, by which others see whether it lives."""
        return ray.get_runtime_context().get_actor_name() or ""

    def replicas(self) -> dict[str, dict[str, int]]:
        """Of each deployment, how many replicas are in which state, such as {"Encoder": {"RUNNING": 1}}."""
        application = serve.status().applications.get(serve.get_replica_context().app_name)
        deployments = application.deployments if application else {}
        return {
            name: {str(getattr(state, "value", state)): count for state, count in deployment.replica_states.items()}
            for name, deployment in deployments.items()
        }
