"""A Ray cluster of two nodes on one machine, each with a GPU in Ray's books, and the application with two pairs on it.

Run by test_nodes.py in a process of its own, which can only be part of one cluster: ``python -m
tests.deployments.two_nodes CHECKPOINT OUT`` writes what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.serve.schema import TracingConfig

from deployments.app import build_app
from deployments.app_args import ReplicaArgs
from deployments.bench.ports import free_port
from tests.deployments.load import Outcome, ask, question
from tests.deployments.serving import App, tiny_args, wait_until

NODE = {"num_cpus": 4, "num_gpus": 1, "object_store_memory": 200 * 1024**2}
DOCUMENTS = [f"Clause {n}: the Notice Period is {n * 7} days. ".encode() * (10 + 5 * n) for n in range(6)]
STAGES = ("Gateway", "Decoder", "Encoder", "Renderer")


def main(checkpoint: Path, out: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    worker = cluster.add_node(**NODE)
    context = ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    spans = Path(context.address_info["session_dir"]) / "logs" / "serve" / "spans"
    try:
        port = free_port()
        tracing = TracingConfig(enabled=True, sampling_ratio=1.0)
        serve.start(http_options={"host": "127.0.0.1", "port": port}, tracing_config=tracing)
        half = {
            "encoder": ReplicaArgs(num_cpus=0.4, num_gpus=0.25),
            "decoder": ReplicaArgs(num_cpus=0.5, num_gpus=0.75),
        }
        args = tiny_args(checkpoint).model_copy(update={"pairs": 2, **half})
        serve.run(build_app(args), name="two", route_prefix="/two")
        app = App("two", f"http://127.0.0.1:{port}/two")
        app.wait_healthy()
        seen: dict[str, Any] = {"nodes": nodes_of("two"), "answers": [vars(each) for each in ask_all(app)]}
        seen["again"] = [vars(each) for each in ask_all(app)]
        seen["pages_by_encoder"] = [
            stats.num_pages for stats in app.handle("Encoder").broadcast("stats").results(timeout_s=20)
        ]
        seen["status"] = httpx.get(f"{app.url}/status", timeout=30).json()
        wait_until(lambda: traces_through(spans, STAGES), 20)
        seen["traces"] = sorted(traces_through(spans, STAGES))
        cluster.remove_node(worker)
        time.sleep(5)  # until the others have noticed
        app.wait_healthy(180)
        seen["after_loss"] = [vars(each) for each in ask_all(app)]
        out.write_text(json.dumps(seen))
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def nodes_of(app: str) -> dict[str, list[str]]:
    """Of each stage, the nodes of its living replicas."""
    found: dict[str, list[str]] = {stage: [] for stage in STAGES}
    for actor in actors().values():
        match = re.fullmatch(rf"SERVE_REPLICA::{app}#(\w+)#\w+", actor["Name"])
        if match and actor["State"] == "ALIVE":
            found[match[1]].append(actor["Address"]["NodeID"])
    return found


def ask_all(app: App) -> list[Outcome]:
    async def test() -> list[Outcome]:
        async with httpx.AsyncClient(timeout=180, trust_env=False) as client:
            bodies = [question(document, "How long?", max_tokens=24) for document in DOCUMENTS]
            return await asyncio.gather(*(ask(client, app, body) for body in bodies))

    return asyncio.run(test())


def traces_through(spans: Path, stages: tuple[str, ...]) -> set[str]:
    """The traces that have a span in each of the stages."""
    by_stage = [
        {trace for path in spans.glob(f"*{stage}*") for trace in re.findall(r'"trace_id": "(\w+)"', path.read_text())}
        for stage in stages
    ]
    return set.intersection(*by_stage)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
