"""Overlap on a real Serve instance: stages that sleep, asked over HTTP.

What Serve itself takes grows with the machine's load, what the stages take does not: so pages are slow here. What the
way between the stages takes is measured by ``glyph bench pipeline``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from ray import serve

from deployments.bench.fixed_cost import StageCosts, fixed_cost_app
from deployments.bench.pipeline import answered_s, question, wait_ready
from tests.deployments.serving import ServeInstance

pytestmark = pytest.mark.serve


@contextmanager
def served(instance: ServeInstance, costs: StageCosts) -> Iterator[str]:
    serve.run(fixed_cost_app(costs), name="pipeline", route_prefix="/pipeline")
    try:
        wait_ready(f"{instance.url}/pipeline")
        answered_s(f"{instance.url}/pipeline", 4, "first")
        yield f"{instance.url}/pipeline"
    finally:
        serve.delete("pipeline")


def test_stages_run_at_the_same_time_and_the_answer_says_so(serve_instance: ServeInstance) -> None:
    costs, num_pages = StageCosts(render_s=0.1, encode_s=0.1, prefill_s=0.1), 20
    with served(serve_instance, costs) as url:
        reply = httpx.post(f"{url}/v1/chat/completions", json=question(num_pages, "timed"), timeout=120).json()
    timings = reply["glyph"]["timings"]
    assert timings["render_ms"] >= 1000 * num_pages * costs.render_s
    assert timings["encode_ms"] >= 1000 * num_pages * costs.encode_s
    assert timings["prefill_ms"] == pytest.approx(1000 * num_pages * costs.prefill_s)
    stages_ms = timings["render_ms"] + timings["encode_ms"] + timings["prefill_ms"]
    assert timings["overlap"] == pytest.approx(stages_ms / timings["ttft_ms"], abs=0.01)
    assert timings["overlap"] > 1.1  # 3 is ideal; one after another it is below 1 on any machine


def test_one_document_spreads_over_the_renderers(serve_instance: ServeInstance) -> None:
    costs, num_pages = StageCosts(render_s=0.3, encode_s=0.01, num_renderers=3), 24
    with served(serve_instance, costs) as url:
        seconds = answered_s(url, num_pages, 0)
        renderers = serve.get_deployment_handle("Renderer", "pipeline").broadcast("stats").results(timeout_s=30)
    assert min(stats.num_pages for stats in renderers) >= num_pages / 6  # 8 each is ideal
    assert seconds < num_pages * costs.render_s  # what one of them alone takes at least
