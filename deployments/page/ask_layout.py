"""The tab for questions: what stands on it. Documents, the question, the answer, the pages."""

from __future__ import annotations

import gradio as gr

from deployments.page.controls import html, inference_controls, rendering_controls
from deployments.page.examples import shown_examples
from deployments.page.handlers import Handlers
from deployments.page.strings import Words


class AskLayout:
    def __init__(self, handlers: Handlers, words: Words, kept: gr.BrowserState, key: gr.Textbox) -> None:
        self._handlers, self._words, self.kept, self.key = handlers, words, kept, key
        self.arrived = gr.State([])  # documents on their way into the session
        self.finished = gr.State(None)  # the turn that just ended
        with gr.Row(elem_classes="glyph-columns"):
            with gr.Column(scale=5, min_width=340):
                self._lay_out_documents()
                self._lay_out_question()
                self.message = html("", elem_id="message")
                self.live = html("", elem_id="live")
                self.turns = html("", elem_id="turns")
                self.clear = gr.Button(words("clear"), size="sm", variant="secondary", visible=False, elem_id="clear")
            with gr.Column(scale=4, min_width=340, elem_classes="glyph-side"):
                with gr.Accordion(words("rendering"), open=False, elem_id="rendering"):
                    self.rendering = rendering_controls(words)
                with gr.Accordion(words("inference"), open=False, elem_id="inference"):
                    self.inference = inference_controls(words)
                self.pages = html("", elem_id="pages")
        self.options = [*self.rendering, *self.inference]

    def _lay_out_documents(self) -> None:
        words = self._words
        self.files = gr.File(
            label=words("upload"), file_count="multiple", height=150, elem_id="upload", elem_classes="glyph-upload"
        )
        self.chosen = gr.CheckboxGroup(
            [], label=words("documents"), info=words("documents_hint"), visible=False, elem_id="documents"
        )
        with gr.Row(elem_classes="glyph-buttons"):
            self.forget = gr.Button(words("forget"), size="sm", visible=False, elem_id="forget")
        with gr.Row(elem_classes="glyph-buttons"):
            html(f'<span class="glyph-note">{words("examples")}</span>', visible=bool(shown_examples()))
            self.examples = [
                gr.Button(example.question, size="sm", variant="secondary", elem_classes="example")
                for example in shown_examples()
            ]
        with gr.Accordion(words("paste"), open=False, elem_id="paste"):
            self.pasted = gr.Textbox(
                label=words("paste"), info=words("paste_hint"), lines=4, max_lines=12, elem_id="pasted"
            )
            self.paste_add = gr.Button(words("paste_add"), size="sm", elem_id="paste-add")

    def _lay_out_question(self) -> None:
        words = self._words
        self.question = gr.Textbox(
            label=words("question"), placeholder=words("question_placeholder"), lines=1, max_lines=6,
            elem_id="question",
        )  # fmt: skip
        with gr.Row(elem_classes="glyph-row"):
            self.task = gr.Dropdown(
                [(words("task_question"), "")], value="", label=words("task"), info=words("task_hint"),
                elem_id="task", scale=3, min_width=200,
            )  # fmt: skip
            self.ask = gr.Button(words("ask"), variant="primary", scale=2, min_width=120, elem_id="ask")
            self.stop = gr.Button(words("stop"), variant="stop", scale=2, min_width=120, visible=False, elem_id="stop")
