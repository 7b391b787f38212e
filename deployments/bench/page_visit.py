"""A visit to the page as a browser makes it: over HTTP alone, and in a real Chromium where there is one."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from uuid import uuid4

import httpx

from glyph_core.errors import StageError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCUMENT = "/gradio/en/"
CALLS = DOCUMENT + "gradio_api/"
HEARTBEAT = CALLS + "heartbeat/"
ALIVE = "data: ALIVE"
NAMED = re.compile(r'(?:src|href)="(\./[^"]+)"')  # files, by the document
CONNECTIONS = 6  # that a browser opens to one host
USABLE = "#question textarea:enabled"
TOLD = ".glyph-top p"  # names the model, once the page's own first call has been answered
BROWSER_PATIENCE_MS = 120_000
TRANSFERRED = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .map((each) => [each.name, each.encodedBodySize])"""


@dataclass(frozen=True, slots=True)
class Load:
    """What of a first visit is the server's and the network's."""

    seconds: float
    num_requests: int
    num_bytes: int  # over the wire, without headers


@dataclass(frozen=True, slots=True)
class BrowserLoad:
    """A first visit by a browser: seconds to a question box that takes text, and to the model's name in the head."""

    usable_s: float
    told_s: float
    num_bytes: int  # over the wire, without headers
    files: tuple[str, ...]  # paths, the document's aside


class Visitor:
    """One tab, over a client of its own, which it leaves open."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._may_fetch = asyncio.Semaphore(CONNECTIONS)
        self._num_bytes = 0

    async def load(self, files: Collection[str] = ()) -> Load:
        """The document, and then ``files``, which a browser says it took; without them, those that the document names.
        Raises StageError where there is no page."""
        started_at = time.perf_counter()
        document = await self._text(DOCUMENT)
        wanted = files or {urljoin(DOCUMENT, each) for each in NAMED.findall(document)}
        await asyncio.gather(*(self._text(each) for each in wanted))
        return Load(round(time.perf_counter() - started_at, 3), 1 + len(wanted), self._num_bytes)

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[None]:
        """Within, the page is open and nobody uses it. Raises StageError where its connection did not last."""
        async with self._client.stream("GET", HEARTBEAT + uuid4().hex) as response:
            beats = response.aiter_lines()
            if await anext(beats, None) != ALIVE:
                raise StageError(f"{response.url} answered {response.status_code} without a heartbeat")
            listening = asyncio.create_task(_drain(beats))
            try:
                yield
                if listening.done():
                    raise StageError(f"{response.url} ended by itself: the tab was no longer open")
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _text(self, path: str) -> str:
        async with self._may_fetch, self._client.stream("GET", path) as response:
            await response.aread()
        if not response.is_success:
            raise StageError(f"{response.url} answered {response.status_code}: is a page served there?")
        self._num_bytes += response.num_bytes_downloaded
        return response.text


async def _drain(beats: AsyncIterator[str]) -> None:
    async for _ in beats:
        pass


def browser_missing() -> str | None:
    """Why no Chromium can be driven here; None where one can."""
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install playwright"
    if _chromium() is None:
        return "there is no chromium: it is a package of that name"
    return None


def browser_loads(root: str, num_loads: int) -> list[BrowserLoad]:
    """Each by a browser that has never seen the page. Raises StageError where the page does not come that far."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=_chromium())
            loads = [_browser_load(browser, root) for _ in range(num_loads)]
            browser.close()
    except Error as error:
        raise StageError(f"Chromium could not open {root}{DOCUMENT}: {error.message}") from error
    return loads


def _browser_load(browser: Browser, root: str) -> BrowserLoad:
    context = browser.new_context(locale="en-US")  # an empty cache
    page = context.new_page()
    page.set_default_timeout(BROWSER_PATIENCE_MS)
    started_at = time.perf_counter()
    page.goto(root + DOCUMENT, wait_until="commit")
    page.locator(USABLE).wait_for()
    usable_s = time.perf_counter() - started_at
    page.locator(TOLD).filter(has_not_text="…").wait_for()
    told_s = time.perf_counter() - started_at
    transferred: list[tuple[str, int]] = page.evaluate(TRANSFERRED)
    context.close()
    paths = [url.removeprefix(root) for url, _ in transferred[1:]]
    files = tuple(path for path in paths if path.startswith("/") and not path.startswith(CALLS))
    return BrowserLoad(round(usable_s, 3), round(told_s, 3), sum(size for _, size in transferred), files)


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
