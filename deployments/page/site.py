"""The page as an ASGI application: the page in each language, the pictures of pages, and the way to the right one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse

from deployments.page.assets import Assets, FromMemory
from deployments.page.document_head import DocumentHead, Head
from deployments.page.endpoint_api import EndpointApi
from deployments.page.handlers import Handlers
from deployments.page.layout import build_blocks
from deployments.page.page_pictures import Tickets, pictures_router
from deployments.page.strings import LANGUAGE_TAGS, LANGUAGES, language_for, words_of

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="5" y="2" width="22" height="28" rx="3" '
    'fill="#4f46e5"/><path d="M10 10h12M10 16h12M10 22h7" stroke="#fff" stroke-width="2.5"/></svg>'
)
LANGUAGE_COOKIE = "glyph_language"
# No font is fetched: the system's own.
FONT = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "PingFang SC", "Microsoft YaHei", "sans-serif")
MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")
QUEUE_POLL_S = 0.02  # Gradio looks for events every millisecond, in each language: 5 % of a core though nobody is there


def build_site(endpoint: str, max_upload_bytes: int) -> FastAPI:
    """``endpoint`` is the root of the API that the page asks."""
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    api, tickets = EndpointApi(endpoint), Tickets()
    site.include_router(pictures_router(api, tickets))

    @site.get("/")
    async def choose_language(request: Request) -> RedirectResponse:
        chosen = request.cookies.get(LANGUAGE_COOKIE)
        language = language_for(request.headers.get("accept-language", ""), chosen)
        return RedirectResponse(
            f"{request.scope.get('root_path', '')}/{language}/", 307, {"Vary": "Accept-Language, Cookie"}
        )

    for language in LANGUAGES:
        words = words_of(language)
        blocks = build_blocks(language, Handlers(api, tickets, words), words)
        queue = blocks._queue
        queue.sleep_when_free = queue.progress_update_sleep_when_free = QUEUE_POLL_S
        gr.mount_gradio_app(
            site,
            blocks,
            path=f"/{language}",
            footer_links=[],
            run_history=False,
            show_error=False,  # errors of ours are told on the page; others are for the log
            max_file_size=max_upload_bytes,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            theme=gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=FONT, font_mono=MONO),
        )
    assets = Assets(Path(str(files("gradio").joinpath("templates", "frontend", "assets"))))
    heads = {f"/{language}/": Head(_head(language), assets.links("./assets/")) for language in LANGUAGES}
    site.add_middleware(DocumentHead, heads=heads)
    site.add_middleware(FromMemory, assets={f"/{language}/assets/": assets for language in LANGUAGES})
    return site


def _head(language: str) -> str:
    """Gradio's own words follow the browser's language: it is told ours instead."""
    folder = files("deployments.page")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    tag = LANGUAGE_TAGS[language]
    return (
        f'<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">'
        f"<script>document.documentElement.lang='{tag}';"
        f"Object.defineProperty(navigator,'language',{{get:()=>'{tag}'}});</script>"
        f"<style>{style}</style><script>{script}</script>"
    )
