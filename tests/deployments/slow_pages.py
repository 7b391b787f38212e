"""An application for ``serve deploy`` whose renderers take a tenth of a second a page."""

from __future__ import annotations

from ray import serve

from deployments.app_args import RendererArgs
from deployments.bench.fixed_cost import StageCosts, fixed_cost_app


def build(args: dict[str, str]) -> serve.Application:
    scaled = RendererArgs(min_replicas=1, max_replicas=3, num_cpus=0.1, upscale_delay_s=0.5, downscale_delay_s=1.0)
    return fixed_cost_app(StageCosts(render_s=0.1), scaled)
