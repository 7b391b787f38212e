"""``glyph bench page``: who is asked when, what a visit fetches, and what the figures come to. No assertion on time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from deployments.bench import page
from deployments.bench.page import as_lines, compared, latencies
from deployments.bench.page_visit import ALIVE, DOCUMENT, HEARTBEAT, Load, Visitor
from glyph_core.errors import StageError

Found = TypeVar("Found")
MAIN, STYLE, LATER = (f"{DOCUMENT}assets/{name}" for name in ("main.js", "main.css", "later.js"))
FILES = {
    DOCUMENT: '<script src="./assets/main.js"></script><link href="./assets/main.css"><a href="/elsewhere">',
    MAIN: "import('./later.js')",
    STYLE: "body{}",
    LATER: "export const a=1;",
}


class FakePage(httpx.AsyncBaseTransport):
    """Serves FILES, heartbeats of ``num_beats`` (None: for ever), and notes how many are open when the API is asked."""

    def __init__(self, num_beats: int | None = None) -> None:
        self.num_beats, self.num_open = num_beats, 0
        self.asked: list[str] = []
        self.open_when_asked: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if path.startswith(HEARTBEAT):
            return httpx.Response(200, stream=_Heartbeat(self))
        if path == "/v1/models":
            self.open_when_asked.append(self.num_open)
            return httpx.Response(200, json={})
        return (
            httpx.Response(200, stream=httpx.ByteStream(FILES[path].encode())) if path in FILES else httpx.Response(404)
        )


class _Heartbeat(httpx.AsyncByteStream):
    def __init__(self, site: FakePage) -> None:
        self.site = site

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.site.num_open += 1
        try:
            num_left = self.site.num_beats
            while num_left is None or num_left > 0:
                yield ALIVE.encode() + b"\n\n"
                num_left = None if num_left is None else num_left - 1
                await asyncio.sleep(0)
        finally:
            self.site.num_open -= 1


def visiting(site: httpx.AsyncBaseTransport, act: Callable[[httpx.AsyncClient], Awaitable[Found]]) -> Found:
    async def test() -> Found:
        async with httpx.AsyncClient(transport=site, base_url="http://glyph") as client:
            return await act(client)

    return asyncio.run(test())


@pytest.mark.parametrize(("told", "fetched"), [((), (MAIN, STYLE)), ((MAIN, LATER), (MAIN, LATER))])
def test_a_visit_fetches_what_a_browser_told_or_else_what_the_document_names(
    told: tuple[str, ...], fetched: tuple[str, ...]
) -> None:
    site = FakePage()
    load = visiting(site, lambda client: Visitor(client).load(told))
    assert sorted(site.asked) == sorted((DOCUMENT, *fetched))
    num_bytes = sum(len(FILES[path]) for path in site.asked)
    assert load == Load(load.seconds, num_requests=len(site.asked), num_bytes=num_bytes)


def test_without_a_page_the_error_names_its_address() -> None:
    with pytest.raises(StageError, match=r"http://glyph/gradio/en/ answered 503"):
        visiting(httpx.MockTransport(lambda request: httpx.Response(503)), lambda client: Visitor(client).load())


def test_rounds_ask_in_turns_with_every_tab_open_and_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SETTLE_S", 0)
    site = FakePage()
    phases: list[str] = []

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/models")

    async def measure(client: httpx.AsyncClient) -> dict[str, dict[str, int]]:
        return await latencies(client, {"models": (ask, 2)}, [Visitor(client) for _ in range(3)], 3, phases.append)

    measured = visiting(site, measure)
    assert site.open_when_asked == [0, 0, 3, 3, 3, 3, 0, 0, 0, 0, 3, 3]
    assert measured["models"]["requests"] == 6
    assert site.num_open == 0
    assert phases[:2] == ["round 1/3, 0 tabs", "round 1/3, 3 tabs"]


@pytest.mark.parametrize("num_beats", [0, 2])
def test_a_tab_whose_connection_ends_is_no_idle_tab(num_beats: int) -> None:
    async def hold(client: httpx.AsyncClient) -> None:
        async with Visitor(client).idle():
            await asyncio.sleep(0.05)

    with pytest.raises(StageError, match="without a heartbeat" if num_beats == 0 else "ended by itself"):
        visiting(FakePage(num_beats), hold)


def test_the_ratio_is_that_of_the_percentiles() -> None:
    with_tabs = [0.2] * 8 + [0.8] * 2
    of = compared([0.1] * 8 + [0.2] * 2, with_tabs)
    assert (of["without_ms"]["p50"], of["with_ms"]["p90"]) == (100, 800)
    assert (of["ratio"]["p50"], of["ratio"]["p90"]) == (2, 4)


@pytest.mark.parametrize("missing", [None, "there is no chromium"])
def test_the_lines_say_what_was_measured_and_what_was_not(missing: str | None) -> None:
    visit = {"usable_s": 1.25, "told_s": 1.5, "files": 76, "num_bytes": 380_000}
    lines = as_lines({
        "plan": {"num_tabs": 10},
        "latency": {"models": compared([0.01], [0.0125])},
        "http_loads": [{"seconds": 0.3, "num_requests": 24, "num_bytes": 250_000}],
        "browser_missing": missing,
        "browser_loads": [] if missing else [visit],
    })  # fmt: skip
    assert "models, p90 ms" in lines
    assert "1.250" in lines
    assert "24 files, 250,000 bytes, over HTTP: 0.30 s" in lines
    assert ("1.25 s until it can be used (goal: 3)" in lines) == (missing is None)
    assert ("not measured, there is no chromium" in lines) == (missing is not None)
