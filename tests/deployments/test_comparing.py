"""Comparisons beside everything else that a renderer and the gateway do."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from typing import Any

import pytest

from deployments import comparisons
from glyph_core.config import PRESETS
from tests.deployments.fakes import FakeChain, ScriptedDecoder, stored
from tests.deployments.test_http_api import ANSWER, serving


def test_pairs_are_compared_one_after_another_whoever_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    num_begun = num_open = most_open = 0

    def compare(*_: object) -> None:
        nonlocal num_begun, num_open, most_open
        num_begun += 1
        num_open += 1
        most_open = max(most_open, num_open)
        time.sleep(0.05)
        num_open -= 1

    monkeypatch.setattr("deployments.renderer.compare", compare)

    async def test() -> None:
        renderer, document = FakeChain().renderer, stored(b"1")
        calls = [asyncio.create_task(renderer.compare(document, document, PRESETS["mini"])) for _ in range(3)]
        while not num_begun:
            await asyncio.sleep(0.001)
        calls[0].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (num_begun, most_open) == (3, 1)

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_long_comparison_is_written_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    written_in: list[threading.Thread] = []

    def comparison_json(*args: Any, **kwargs: Any) -> Any:
        written_in.append(threading.current_thread())
        return comparisons.comparison_json(*args, **kwargs)

    monkeypatch.setattr("deployments.http_api.comparison_json", comparison_json)
    content = base64.b64encode(b"The fee is 400 crowns a month.").decode()

    async def test() -> None:
        async with serving(ScriptedDecoder([ANSWER])) as client:
            answer = await client.post("/v1/compare", json={"files": [{"file_data": content}] * 2})
            assert answer.json()["counts"]["same"] == 1

    asyncio.run(asyncio.wait_for(test(), 60))
    assert [thread is threading.main_thread() for thread in written_in] == [False]
