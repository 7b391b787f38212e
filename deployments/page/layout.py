"""The page's layout in one language, and what each of its parts does."""

from __future__ import annotations

from functools import partial
from html import escape

import gradio as gr

from deployments.page.ask_tab import AskTab
from deployments.page.compare_tab import CompareTab
from deployments.page.controls import html
from deployments.page.handlers import Handlers
from deployments.page.session import STORAGE_KEY
from deployments.page.strings import LANGUAGES, Words

# The browser needs it to read what it keeps; it protects nothing and must outlast a restart.
STORAGE_SECRET = "glyph-serve-page"
UPLOADS_KEPT_S = 3600  # what Gradio itself holds of uploads, before the endpoint has them


def build_blocks(language: str, handlers: Handlers, words: Words) -> gr.Blocks:
    blocks = gr.Blocks(
        title=words("title"),
        analytics_enabled=False,
        delete_cache=(UPLOADS_KEPT_S // 4, UPLOADS_KEPT_S),
        fill_width=True,
    )
    with blocks:
        kept = gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        header = html(header_html(language, None, words), elem_id="glyph-header")
        key = gr.Textbox(label=words("key"), info=words("key_hint"), type="password", visible=False, elem_id="api-key")
        with gr.Tabs():
            with gr.Tab(words("tab_ask"), id="ask"):
                ask = AskTab(handlers, words, kept, key)
            with gr.Tab(words("tab_compare"), id="compare") as compare_tab:
                compare = CompareTab(handlers, words, kept, key)
        compare.react(compare_tab)
        ask.react(blocks, header, partial(header_html, language, words=words))
    return blocks


def header_html(language: str, model: dict[str, object] | None, words: Words) -> str:
    """Also tells the page's script what it has to know: the largest file, and its words."""
    other = LANGUAGES[1 - LANGUAGES.index(language)]
    limits = model["limits"] if model else {}
    max_bytes = limits.get("max_document_bytes", 0) if isinstance(limits, dict) else 0
    said = {name: words(name) for name in ("zoom_in", "zoom_out", "zoom_fit", "previous", "next", "close")} | {
        "too-large": words("too_large", name="{name}", size="{size}", limit="{limit}")
    }
    data = "".join(f' data-{name.replace("_", "-")}="{escape(text)}"' for name, text in said.items())
    name = escape(str(model["id"])) if model else "…"
    told = model.get("about") if model else None
    about = f" {name} {escape(str(told))}." if told else ""
    return (
        f'<header class="glyph-top" lang="{language}" data-max-bytes="{max_bytes}"{data}>'
        f"<div><h1>{escape(words('title'))}</h1><p>{words('subtitle', model=name)}{about}</p></div>"
        f'<nav><a href="../{other}/" data-language="{other}" hreflang="{other}" '
        f'title="{escape(words("other_language_hint"))}">{escape(words("other_language"))}</a>'
        f'<button type="button" data-theme-switch title="{escape(words("theme"))}" '
        f'aria-label="{escape(words("theme"))}">◐</button></nav></header>'
    )
