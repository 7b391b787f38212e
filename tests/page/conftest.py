"""A real endpoint with glyph-mini and its page, and Debian's Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.bench.ports import free_port
from deployments.endpoint import Endpoint, EndpointSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENS = REPOSITORY / "build" / "screens"  # pictures of the page in its main states, for people to look at
MAX_DOCUMENT_BYTES = 2 * 1024**2
PATIENCE_MS = 90_000  # of a busy machine

Shoot = Callable[["Page", str], None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium from the system: nothing is downloaded. Of one module: while it is there, its event loop runs in this
    thread, where nobody else's can."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page_url(browser: Browser) -> Iterator[str]:
    """Of the page of an endpoint that runs as ``glyph serve`` runs it; no endpoint starts where there is no browser.

    GLYPH_TEST_PAGE names one that runs already, with the same limit: for whoever writes these tests.
    """
    if running := os.environ.get("GLYPH_TEST_PAGE"):
        yield running
        return
    settings = EndpointSettings(
        port=free_port(),
        dashboard_port=free_port(),
        object_store_gb=0.3,
        app={"limits": {"max_document_bytes": MAX_DOCUMENT_BYTES}, "renderers": {"max_replicas": 1}},
    )
    with Endpoint(settings) as endpoint:
        url = endpoint.wait_ready(lambda phase: None).page
        assert url == f"http://127.0.0.1:{settings.port}/gradio"
        yield url


@pytest.fixture
def visit(browser: Browser, page_url: str) -> Iterator[Callable[..., Page]]:
    """Opens the page as a new visitor, and sees to it that nothing was asked of any other machine and no script
    failed."""
    contexts: list[BrowserContext] = []
    elsewhere: list[str] = []
    failures: list[str] = []
    own = page_url.removesuffix("/gradio")

    def open_page(width: int = 1360, height: int = 900, path: str = "", **options: str) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("request", lambda request: _note_elsewhere(request.url, own, elsewhere))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(page_url + path)
        page.locator("#ask").wait_for()
        page.locator(".glyph-top p", has_text="glyph-mini").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert failures == []


def _note_elsewhere(url: str, own: str, elsewhere: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:")):
        elsewhere.append(url)


@pytest.fixture(scope="session")
def shoot() -> Shoot:
    SCREENS.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=SCREENS / f"{name}.png", full_page=True)

    return take
