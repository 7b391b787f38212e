"""What the gateway asks Ray Serve about the application that it is part of."""

from __future__ import annotations

import ray
from ray import serve
from ray.serve.context import _get_global_client


class ServeSide:
    """Works in a replica. Calls Serve's controller and waits for it: not for the event loop."""

    def listening_host(self) -> str:
        """The address that Serve's HTTP proxy listens on."""
        return str(_get_global_client().http_config.host)

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
