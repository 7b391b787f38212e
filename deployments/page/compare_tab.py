"""The tab that sets two documents side by side."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr

from deployments.page.comparison import comparison_html
from deployments.page.controls import html
from deployments.page.examples import COMPARED, FOLDER
from deployments.page.handlers import Handlers
from deployments.page.problems import notice_html, problem_html
from deployments.page.session import Document, Options, Session
from deployments.page.strings import Words
from glyph_core.errors import GlyphError

Update = dict[Any, Any]


class CompareTab:
    """Each side is a file of its own or one of the documents of the other tab."""

    def __init__(self, handlers: Handlers, words: Words, kept: gr.BrowserState, key: gr.Textbox) -> None:
        self._handlers, self._words, self._kept, self._key = handlers, words, kept, key
        html(f'<p class="glyph-note">{words("compare_intro")}</p>')
        with gr.Row(elem_classes="glyph-columns"):
            self._sides = [self._lay_out_side(name) for name in ("first", "second")]
        with gr.Row(elem_classes="glyph-buttons"):
            self._run = gr.Button(words("compare_run"), variant="primary", elem_id="compare-run")
            self._example = gr.Button(words("compare_example"), visible=_has_example(), elem_id="compare-example")
        self._message = html("", elem_id="compare-message", elem_classes="glyph-message")
        self._result = html("", elem_id="compared")

    def _lay_out_side(self, name: str) -> tuple[gr.Dropdown, gr.File]:
        words = self._words
        with gr.Column(min_width=300):
            known = gr.Dropdown(
                [(words("compare_upload"), "")],
                value="",
                label=words(f"compare_{name}"),
                elem_id=f"compare-{name}-known",
            )
            file = gr.File(label=words(f"compare_{name}_file"), height=150, elem_id=f"compare-{name}")
        return known, file

    def react(self, tab: gr.Tab) -> None:
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        (first_known, first), (second_known, second) = self._sides
        tab.select(self._offer, [self._kept], [first_known, second_known], show_progress="hidden", **quiet)
        inputs = [self._kept, self._key, first_known, first, second_known, second]
        self._run.click(self._compare, inputs, [self._message, self._result], show_progress_on=self._result, **quiet)
        self._example.click(
            self._compare_examples,
            [self._kept, self._key],
            [self._message, self._result],
            show_progress_on=self._result,
            **quiet,
        )

    def _offer(self, kept: Any) -> list[Any]:
        choices = [(self._words("compare_upload"), "")]
        choices += [(document.name, document.id) for document in Session.of(kept).documents]
        return [gr.update(choices=choices)] * 2

    async def _compare(
        self, kept: Any, key: str, first_id: str, first: str | None, second_id: str, second: str | None
    ) -> Update:
        session = Session.of(kept)
        sides = await asyncio.gather(
            self._side(session, key, first_id, first), self._side(session, key, second_id, second)
        )
        documents = [document for document, _ in sides if document is not None]
        problem = "".join(problem for _, problem in sides)
        if len(documents) < 2:
            return {self._message: problem or notice_html(self._words("compare_need")), self._result: ""}
        return await self._shown(documents, session.options, key)

    async def _compare_examples(self, kept: Any, key: str) -> Update:
        arrived, problem = await self._handlers.upload([(name, FOLDER / name) for name in COMPARED], key)
        if problem:
            return {self._message: problem, self._result: ""}
        return await self._shown(arrived, Session.of(kept).options, key)

    async def _side(self, session: Session, key: str, known_id: str, path: str | None) -> tuple[Document | None, str]:
        """A file that was added goes before a document that was chosen."""
        if path is not None:
            arrived, problem = await self._handlers.upload([(Path(path).name, Path(path))], key)
            return (arrived[0] if arrived else None), problem
        return next(iter(session.chosen([known_id])), None), ""

    async def _shown(self, documents: list[Document], options: Options, key: str) -> Update:
        try:
            found, page_url = await self._handlers.compare(documents, options, key)
        except GlyphError as error:
            return {self._message: problem_html(error, self._words), self._result: ""}
        return {self._message: "", self._result: comparison_html(found, documents, page_url, self._words)}


def _has_example() -> bool:
    return all((FOLDER / name).exists() for name in COMPARED)
