"""The parser of a request that was left ends, long before its own limit."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import psutil

from glyph_core.config import PRESETS, LimitConfig
from glyph_core.documents import isolation
from glyph_core.types import DocumentPlan, DocumentSource
from tests.deployments.fake_renderer import FakeRenderer
from tests.deployments.fakes import FakeChain, stored

LIMITS = LimitConfig(parse_timeout_s=600)
SOON_S = 120.0  # a tenth of a second, on a machine that has time


class HangingRenderer(FakeRenderer):
    """Its parser gives nothing for ten minutes."""

    def plan(self, source: DocumentSource) -> DocumentPlan:
        list(isolation.stream("tests.documents.parsers:waits", source, 600.0, limits=LIMITS))
        return super().plan(source)


def _num_workers() -> int:
    """Parsers among this process's children; other tests of the same process may have left children of their own."""
    num_workers = 0
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            num_workers += is_alive and any("glyph_core.documents.worker" in word for word in process.cmdline())
    return num_workers


async def until_workers(num_workers: int) -> None:
    deadline = time.monotonic() + SOON_S
    while _num_workers() != num_workers:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_plan_that_is_left_ends_its_parser() -> None:
    async def test() -> None:
        isolation.close()
        await until_workers(0)
        chain = FakeChain(drawing=HangingRenderer())
        planning = asyncio.create_task(chain.renderer.plan(stored(b"1"), PRESETS["mini"]))
        await until_workers(1)
        await asyncio.sleep(0.3)
        assert not planning.done()
        planning.cancel()
        await until_workers(0)

    asyncio.run(test())
