"""`serve deploy` on a head node of its own: the shipped configuration, and autoscaling in the dashboard's API."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.bench.pipeline import answered_s
from deployments.bench.ports import free_port
from deployments.endpoint import ray_environment
from deployments.session import end_session
from tests.deployments.serving import wait_until

pytestmark = [pytest.mark.serve, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
SERVE_CONFIG = REPOSITORY / "serve_config.yaml"
STARTED_S, DEPLOYED_S, SCALED_S = 180.0, 300.0, 180.0


@dataclass(frozen=True)
class Head:
    """A Ray head node without an application."""

    dashboard: str
    environment: dict[str, str]

    def api(self, path: str) -> Any:
        return httpx.get(f"{self.dashboard}{path}", timeout=60, trust_env=False).raise_for_status().json()

    def deploy(self, config: dict[str, Any], folder: Path) -> None:
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(file), "-a", self.dashboard]
        subprocess.run(command, env=self.environment, check=True, timeout=STARTED_S)

    def application(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api("/api/serve/applications/")["applications"].get(name, {})
        return found

    def num_running(self, application: str, deployment: str) -> int:
        replicas = self.application(application)["deployments"][deployment]["replicas"]
        return sum(replica["state"] == "RUNNING" for replica in replicas)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """``ray start --head``, with ports and a folder of its own; nothing is left of it."""
    dashboard_port = free_port()
    environment = ray_environment(os.environ) | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # a socket's path has 107 characters
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--temp-dir={folder}",
            f"--port={free_port()}", f"--dashboard-port={dashboard_port}", "--num-cpus=8", "--disable-usage-stats",
            f"--ray-client-server-port={free_port()}", f"--object-store-memory={300 * 1024**2}",
        ]  # fmt: skip
        process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{dashboard_port}"
            wait_until(lambda: _answers(f"{url}/api/version"), STARTED_S)
            yield Head(url, environment)
        finally:
            process.kill()
            process.wait()
            end_session(process.pid)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_the_shipped_configuration_runs_and_answers_and_renderers_scale(head: Head, tmp_path: Path) -> None:
    """One test, because a second ``serve deploy`` replaces what the first one deployed."""
    config = yaml.safe_load(SERVE_CONFIG.read_text())
    port = config["http_options"]["port"] = free_port()
    glyph, page = config["applications"]
    for stage in ("encoder", "decoder"):  # what its first lines say for a machine without a GPU
        del glyph["args"][stage]["num_gpus"]
    slow = {"name": "slow", "route_prefix": "/slow", "import_path": "tests.deployments.slow_pages:build"}
    config["applications"].append(slow)
    head.deploy(config, tmp_path)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: head.application("glyph").get("status") in {"RUNNING", "DEPLOY_FAILED"}, DEPLOYED_S)
    assert head.application("glyph")["status"] == "RUNNING", head.application("glyph")["message"]
    wait_until(lambda: httpx.get(f"{url}/healthz", timeout=60).status_code == 200, DEPLOYED_S)
    assert answer_of(url, "What is the Governing Law?") == "State of Vermont"
    wait_until(lambda: head.application(page["name"]).get("status") == "RUNNING", DEPLOYED_S)
    shown = httpx.get(url, timeout=60, follow_redirects=True)  # a browser's way
    assert (shown.status_code, shown.url.path.startswith(page["route_prefix"])) == (200, True)
    assert "Ask your documents" in shown.text

    wait_until(lambda: httpx.get(f"{url}/slow/healthz", timeout=60).status_code == 200, DEPLOYED_S)
    wait_until(lambda: head.num_running("slow", "Renderer") == 1, SCALED_S)
    with ThreadPoolExecutor(4) as threads:
        burst = [threads.submit(answered_s, f"{url}/slow", 150, salt) for salt in range(4)]
        wait_until(lambda: head.num_running("slow", "Renderer") == 3, SCALED_S)
        for asked in burst:
            asked.result()
    wait_until(lambda: head.num_running("slow", "Renderer") == 1, SCALED_S)


def answer_of(url: str, question: str) -> str:
    document = base64.b64encode((REPOSITORY / "examples" / "service_agreement.md").read_bytes()).decode()
    parts = [{"type": "file", "file": {"file_data": document}}, {"type": "text", "text": question}]
    body = {"model": "glyph-mini", "messages": [{"role": "user", "content": parts}]}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).raise_for_status()
    text: str = response.json()["choices"][0]["message"]["content"]
    return text
