"""Two applications on a real Ray Serve: the real one on a tiny checkpoint, and one of stages of fixed cost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from ray import serve
from ray.serve.handle import DeploymentHandle

import deployments
from deployments.app import Loaders, bind_chain
from deployments.app_args import AppArgs, RendererArgs
from deployments.entrance import OverloadConfig
from deployments.loading import LoadedDecoder, LoadedEncoder
from deployments.protocol import DecoderStats, StageReport
from glyph_core.config import EngineConfig, LimitConfig, ModelConfig
from tests.deployments.fake_renderer import load_fake_renderer
from tests.deployments.fakes import FakeEngine, FakeVisionEncoder, mini_reader

MAX_MODEL_LEN = 16384
MAX_OPEN = 4  # requests that the application of fixed cost lets in at once
OWN_FILES = {path.name for path in Path(deployments.__file__).parent.rglob("*.py")}
# Until a request that ended early has freed everything. It takes 0.02 to 0.5 s where cores are free; a busy host that
# takes them away needs more, and what is not freed at all would go on for 20 s.
FREED_S = 10.0
FAKE_ANSWER = "This answer of the fixed-cost decoder takes its time, so that there is a middle to break it in."


@dataclass(frozen=True)
class ServeInstance:
    url: str
    metrics_url: str
    logs: Path  # a folder

    def metrics(self) -> str:
        """In Prometheus' text format, of everything that Ray runs here."""
        return httpx.get(self.metrics_url, timeout=10, trust_env=False).text

    def log_lines(self, app: str, stage: str) -> list[dict[str, Any]]:
        """Of all replicas of a stage that there were; each line must be JSON."""
        paths = sorted(self.logs.glob(f"replica_{app}_{stage}_*.log"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def own_lines(self, app: str, stage: str, request_id: str) -> list[dict[str, Any]]:
        """Of one request, without what Serve's own files write under its id: a replica that is slow to say how long its
        queue is gets a warning from the router of whoever calls it.
        """
        lines = self.log_lines(app, stage)
        return [line for line in lines if line.get("request_id") == request_id and line["filename"] in OWN_FILES]


@dataclass(frozen=True)
class App:
    """A served application: its address and the way behind its HTTP."""

    name: str
    url: str

    def handle(self, stage: str) -> DeploymentHandle:
        return serve.get_deployment_handle(stage, self.name)

    def decoder_stats(self) -> DecoderStats:
        stats: DecoderStats = self.handle("Decoder").stats.remote().result(timeout_s=10)
        return stats

    def num_pages_rendered(self) -> int:
        """By all the renderers that there are."""
        return sum(stats.num_pages for stats in self.handle("Renderer").broadcast("stats").results(timeout_s=10))

    def is_idle(self) -> bool:
        """No request in the decoder, no sequence in its engine, all its blocks free."""
        stats = self.decoder_stats()
        idle = (stats.num_requests, stats.engine.num_running, stats.engine.num_waiting) == (0, 0, 0)
        return idle and stats.engine.num_free_blocks == stats.engine.num_blocks

    def renders_nothing(self) -> bool:
        """For half a second, fifty pages' time: a renderer hears last that a request ended, and ends its page."""
        num_pages = self.num_pages_rendered()
        time.sleep(0.5)
        return self.num_pages_rendered() == num_pages

    def replicas(self, stage: str) -> list[psutil.Process]:
        """The processes of a stage; all run on this machine, below this process."""
        title = f"ray::ServeReplica:{self.name}:{stage}"
        children = psutil.Process(os.getpid()).children(recursive=True)
        return [child for child in children if _command_of(child).startswith(title)]

    def wait_healthy(self, timeout_s: float = 90) -> None:
        wait_until(self._is_healthy, timeout_s)

    def _is_healthy(self) -> bool:
        """No answer is none: a request may wait for a gateway whose node was just lost."""
        with suppress(httpx.TimeoutException):
            return httpx.get(f"{self.url}/healthz", timeout=10).status_code == 200
        return False


def wait_until(condition: Callable[[], object], timeout_s: float) -> float:
    """Seconds until ``condition`` held; fails where it takes longer than ``timeout_s``."""
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < timeout_s, f"still not so after {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - started_at


def _command_of(process: psutil.Process) -> str:
    """Empty for one that has ended meanwhile."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def tiny_args(folder: Path) -> AppArgs:
    """The real stages on a tiny checkpoint, with a block pool that eight requests at once overfill."""
    return AppArgs(
        model=ModelConfig(model=str(folder), num_threads=1),
        engine=EngineConfig(num_blocks=280, max_num_batched_tokens=512, max_num_seqs=8),
        limits=LimitConfig(render_text_over_tokens=200, max_request_bytes=4 * 1024**2),
        renderers=RendererArgs(min_replicas=1, max_replicas=1),
    )


def fake_chain(folder: Path) -> serve.Application:
    """Renderers that take 10 ms a page of full size, 1 MB of features a page, 20 ms a token."""
    args = AppArgs(
        model=ModelConfig(model=str(folder)),
        renderers=RendererArgs(min_replicas=2, max_replicas=2),
        overload=OverloadConfig(max_open_requests=MAX_OPEN),
        log_level="DEBUG",
    )
    return bind_chain(args, Loaders(load_fake_renderer, _load_fake_encoder, _load_fake_decoder))


def _load_nothing() -> Any:
    raise AssertionError("nobody starts a replica of it")


NO_LOADERS = Loaders(_load_nothing, _load_nothing, _load_nothing)


def _load_fake_encoder() -> LoadedEncoder:
    return LoadedEncoder(FakeVisionEncoder(page_s=0.001, num_values=250_000), StageReport("encoder", "cpu", {}))


def _load_fake_decoder() -> LoadedDecoder:
    engine = FakeEngine(FAKE_ANSWER, step_s=0.02)
    return LoadedDecoder(engine, mini_reader(), 10**6, StageReport("decoder", "cpu", {}))
