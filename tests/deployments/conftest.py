"""One Ray Serve for all tests of this folder, on ports that were free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from ray import serve

from deployments.app import build_app
from deployments.bench.ports import free_port
from deployments.runtime import is_failed_start
from tests.deployments.serving import MAX_MODEL_LEN, App, ServeInstance, fake_chain, tiny_args
from tests.tiny_checkpoint import make_tiny_glm4v


@pytest.fixture(scope="package")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("served") / "tiny", max_model_len=MAX_MODEL_LEN)


def start_ray(metrics_port: int, num_attempts: int = 3) -> Any:
    """Ray gives its node manager 30 s, which a busy machine can exceed."""
    for attempt in range(1, num_attempts + 1):
        try:
            return ray.init(
                address="local",
                num_cpus=8,  # for Ray's bookkeeping: the stages ask for little, and a test starts more of them
                include_dashboard=False,
                object_store_memory=400 * 1024**2,
                log_to_driver=False,
                logging_level="ERROR",
                _metrics_export_port=metrics_port,
            )
        except Exception as error:
            if attempt == num_attempts or not is_failed_start(error):
                raise
            ray.shutdown()
    raise AssertionError("the last attempt returns or raises")


@pytest.fixture(scope="package")
def serve_instance() -> Iterator[ServeInstance]:
    """A Ray of our own and Serve's HTTP proxy, without an application."""
    port, metrics_port = free_port(), free_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_AUTH_MODE", "disabled")  # a token would be written to the home folder
        environment.setenv("RAY_worker_niceness", "0")
        environment.setenv("RAY_metrics_report_interval_ms", "1000")  # ten times as often as by default
        context = start_ray(metrics_port)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    host = context.address_info["node_ip_address"]
    logs = Path(context.address_info["session_dir"]) / "logs" / "serve"
    yield ServeInstance(f"http://127.0.0.1:{port}", f"http://{host}:{metrics_port}/metrics", logs)
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="package")
def serve_url(serve_instance: ServeInstance) -> str:
    return serve_instance.url


@pytest.fixture(scope="package")
def tiny_app(serve_url: str, tiny_folder: Path) -> App:
    """The real stages on a tiny random checkpoint."""
    serve.run(build_app(tiny_args(tiny_folder)), name="tiny", route_prefix="/tiny")
    app = App("tiny", f"{serve_url}/tiny")
    app.wait_healthy()
    return app


@pytest.fixture(scope="package")
def first_health(serve_url: str, tiny_folder: Path) -> httpx.Response:
    """What /healthz said of the application of fixed cost as soon as Serve called it running."""
    serve.run(fake_chain(tiny_folder), name="fakes", route_prefix="/fakes")
    return httpx.get(f"{serve_url}/fakes/healthz")


@pytest.fixture
def fake_app(serve_url: str, first_health: httpx.Response) -> App:
    """Stages of fixed cost; healthy again before each test."""
    app = App("fakes", f"{serve_url}/fakes")
    app.wait_healthy()
    return app
