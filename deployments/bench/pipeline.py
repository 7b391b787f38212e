"""What the way between the stages costs: stages that sleep, in the chain as it is served, asked over HTTP."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from statistics import median

import httpx
import psutil
import ray
from ray import serve

from deployments.bench.apart import Json, Show, report_to_parent, run_apart
from deployments.bench.fixed_cost import StageCosts, fixed_cost_app
from deployments.bench.ports import free_port
from glyph_core.errors import StageError

NUM_PAGES = 100
CASES = {
    "render 8, encode 5, prefill 1 ms a page": StageCosts(0.008, 0.005, 0.001),
    "render 20, encode 2, prefill 1 ms, four renderers": StageCosts(0.02, 0.002, 0.001, num_renderers=4),
    "render 1, encode 8, prefill 5 ms a page": StageCosts(0.001, 0.008, 0.005),
    "stages of no cost": StageCosts(),
}
START_TIMEOUT_S = 300.0
STAGES = ("Gateway", "Decoder", "Encoder", "Renderer")


def pipeline_report(rounds: int, show: Show) -> Json:
    """Every case ``rounds`` times, one document of 100 pages each time that no stage has seen."""
    return run_apart(__name__, {"rounds": rounds}, show)


def _measure(arguments: Json, show: Show) -> Json:
    rounds: int = arguments["rounds"]
    show("starting Ray")
    with _serve_running() as url:
        cases = []
        for number, (name, costs) in enumerate(CASES.items()):
            show(name)
            app = f"case{number}"
            serve.run(fixed_cost_app(costs), name=app, route_prefix=f"/{app}")
            wait_ready(f"{url}/{app}")
            answered_s(f"{url}/{app}", NUM_PAGES, "first")
            before = cpu_s(app)
            seconds = [answered_s(f"{url}/{app}", NUM_PAGES, salt) for salt in range(rounds)]
            after = cpu_s(app)
            serve.delete(app)
            num_pages = NUM_PAGES * rounds
            cpu_ms = {stage: round(1000 * (after[stage] - before[stage]) / num_pages, 3) for stage in after}
            cases.append({"case": name, **figures(costs, NUM_PAGES, seconds), "cpu_ms_a_page": cpu_ms})
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_cpus": os.cpu_count(),
        "num_pages": NUM_PAGES,
        "rounds": rounds,
        "cases": cases,
    }


def figures(costs: StageCosts, num_pages: int, seconds: list[float]) -> Json:
    """Of the times that answers about so many pages took."""
    ideal_s = costs.ideal_s(num_pages)
    return {
        "ideal_ms": round(1000 * ideal_s, 1),
        "least_ms": round(1000 * min(seconds), 1),
        "median_ms": round(1000 * median(seconds), 1),
        "least_of_ideal": round(min(seconds) / ideal_s, 3) if ideal_s else None,
        "median_of_ideal": round(median(seconds) / ideal_s, 3) if ideal_s else None,
        "beside_ideal_ms_a_page": round(1000 * (min(seconds) - ideal_s) / num_pages, 3),
    }


def cpu_s(app: str) -> dict[str, float]:
    """CPU seconds of each stage's replicas so far. The stages sleep: it is all Serve's and our own."""
    seconds = dict.fromkeys(STAGES, 0.0)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            title = " ".join(process.cmdline())
            for stage in STAGES:
                if f"ServeReplica:{app}:{stage}" in title:
                    times = process.cpu_times()
                    seconds[stage] += times.user + times.system
    return seconds


def answered_s(url: str, num_pages: int, salt: object) -> float:
    """Seconds from the request's first byte to the answer's last; a connection is made in them, a client is not."""
    with httpx.Client(timeout=120, trust_env=False) as client:
        started_at = time.perf_counter()
        response = client.post(f"{url}/v1/chat/completions", json=question(num_pages, salt))
        seconds = time.perf_counter() - started_at
    if response.status_code != 200:
        raise StageError(f"the endpoint answered {response.status_code}: {response.text}")
    return seconds


def question(num_pages: int, salt: object) -> Json:
    """A request about a document that no other salt makes."""
    document = base64.b64encode(f"{num_pages} {salt}".encode()).decode()
    parts = [{"type": "file", "file": {"file_data": document}}, {"type": "text", "text": "What?"}]
    return {"model": "glyph-mini", "messages": [{"role": "user", "content": parts}]}


def wait_ready(url: str) -> None:
    """Raises StageError where the application does not answer in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while httpx.get(f"{url}/healthz", timeout=30, trust_env=False).status_code != 200:
        if time.monotonic() > deadline:
            raise StageError(f"{url} was not ready within {START_TIMEOUT_S:g} s")
        time.sleep(0.2)


def as_lines(report: Json) -> str:
    lines = [f"{report['num_pages']} pages over HTTP, {report['rounds']} rounds on {report['num_cpus']} cores", ""]
    lines.append(f"{'':<50} {'ideal':>8} {'least':>8} {'median':>8}  least/ideal")
    for case in report["cases"]:
        times = " ".join(f"{case[name]:>6.0f} ms"[-8:].rjust(8) for name in ("ideal_ms", "least_ms", "median_ms"))
        ratio = f"{case['least_of_ideal']:.2f}×" if case["least_of_ideal"] else ""
        lines.append(f"{case['case']:<50} {times}  {ratio}".rstrip())
    last = report["cases"][-1]
    cpu = ", ".join(f"{stage.lower()} {ms:.2f}" for stage, ms in last["cpu_ms_a_page"].items())
    lines += ["", f"Serve's and our own share: {last['beside_ideal_ms_a_page']:.2f} ms a page; CPU ms a page: {cpu}"]
    return "\n".join(lines) + "\n"


@contextmanager
def _serve_running() -> Iterator[str]:
    """A Ray and a Serve of our own, gone when the block ends."""
    ray.init(
        address="local",
        num_cpus=max(8, os.cpu_count() or 1),  # of Ray's bookkeeping: the stages sleep
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        port = free_port()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    report_to_parent(_measure)
