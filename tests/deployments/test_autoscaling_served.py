"""Renderers come with a burst and go after it, as `glyph status` and the dashboard's API tell it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ray import serve

from deployments.app_args import RendererArgs
from deployments.bench.fixed_cost import StageCosts, fixed_cost_app
from deployments.bench.pipeline import answered_s, wait_ready
from deployments.cli_status import as_text, fetch_status
from tests.deployments.serving import ServeInstance, wait_until

pytestmark = pytest.mark.serve

MOST = 3
SCALED_S = 120.0  # a replica starts in seconds, on a busy machine in many
RENDERERS = RendererArgs(min_replicas=1, max_replicas=MOST, num_cpus=0.1, upscale_delay_s=0.5, downscale_delay_s=1.0)


def test_renderers_come_with_a_burst_and_go_after_it(serve_instance: ServeInstance) -> None:
    serve.run(fixed_cost_app(StageCosts(render_s=0.1), RENDERERS), name="scaled", route_prefix="/scaled")
    url = f"{serve_instance.url}/scaled"

    def num_running() -> int:
        running: int = fetch_status(url)["stages"]["renderer"]["replicas"].get("RUNNING", 0)
        return running

    try:
        wait_ready(url)
        wait_until(lambda: num_running() == 1, SCALED_S)
        is_over = False

        def keep_asking(number: int) -> None:
            salt = 0
            while not is_over:
                answered_s(url, 16, f"{number} {salt}")
                salt += 1

        with ThreadPoolExecutor(4) as threads:
            burst = [threads.submit(keep_asking, number) for number in range(4)]
            try:
                wait_until(lambda: num_running() == MOST, SCALED_S)
                shown = as_text(fetch_status(url), url)
            finally:
                is_over = True
            for asked in burst:
                asked.result()
        assert f"renderer  {MOST} " in shown
        wait_until(lambda: num_running() == 1, SCALED_S)
    finally:
        serve.delete("scaled")
