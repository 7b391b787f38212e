"""The tab that sets two documents side by side."""

from __future__ import annotations

import gradio as gr

from deployments.page.controls import html
from deployments.page.handlers import Handlers
from deployments.page.strings import Words


class CompareTab:
    def __init__(self, handlers: Handlers, words: Words, kept: gr.BrowserState, key: gr.Textbox) -> None:
        html(f"<p>{words('compare_intro')}</p>")
