"""The tab for questions: documents, the question, the answer, the pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from deployments.openai_answers import Json
from deployments.page.controls import control_values, html, inference_controls, options_of, rendering_controls
from deployments.page.examples import Example, shown_examples
from deployments.page.handlers import Handlers
from deployments.page.problems import notice_html, problem_html
from deployments.page.session import Document, Session, Turn
from deployments.page.strings import Words
from glyph_core.errors import GlyphError

Update = dict[Any, Any]  # what parts of the page show next


class AskTab:
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

    # ---- what happens

    def react(self, blocks: gr.Blocks, header: gr.HTML, header_html: Callable[[Json | None], str]) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        shown = [self.kept, self.chosen, self.forget, self.message]

        async def enter(kept: Any, key: str) -> Update:
            return await self._enter(kept, key, header, header_html)

        entered = [header, self.key, self.task, self.turns, self.clear, *shown, *self.options]
        see_pages: dict[str, Any] = {
            "fn": self._see_pages, "inputs": [self.kept, self.chosen, self.key, *self.options],
            "outputs": [self.pages], **quiet,
        }  # fmt: skip
        for event in (blocks.load, self.key.submit, self.key.blur):
            event(enter, [self.kept, self.key], entered, **quiet).then(**see_pages)

        add: dict[str, Any] = {
            "fn": self._add, "inputs": [self.kept, self.chosen, self.arrived], "outputs": [*shown, self.arrived],
            **quiet,
        }  # fmt: skip
        sent = [self.arrived, self.message]
        self.files.upload(
            self._upload, [self.files, self.key], [*sent, self.files], trigger_mode="multiple", **quiet
        ).then(**add).then(**see_pages)
        self.paste_add.click(self._paste, [self.kept, self.pasted, self.key], [*sent, self.pasted], **quiet).then(
            **add
        ).then(**see_pages)

        asking = gr.on(
            [self.ask.click, self.question.submit], self._ask, self._ask_inputs, self._ask_outputs, **quiet
        )  # fmt: skip
        finishing = [self.kept, self.finished, self.key]
        runs = [asking]
        asking.then(self._finish, finishing, self._finish_outputs, **quiet).then(**see_pages)
        brought = [*sent, self.chosen, self.question, self.task]
        for button, example in zip(self.examples, shown_examples(), strict=True):
            run = (
                button.click(
                    self._example(example),
                    [self.kept, self.key],
                    brought,
                    **quiet,
                )
                .then(**add)
                .then(self._ask, self._ask_inputs, self._ask_outputs, **quiet)
            )
            runs.append(run)
            run.then(self._finish, finishing, self._finish_outputs, **quiet).then(**see_pages)
        self.stop.click(self._stopped, None, [self.live, self.ask, self.stop, self.message], cancels=runs, **quiet)

        for control in self.options:
            changed = control.release if isinstance(control, gr.Slider) else control.input
            changed(self._keep_options, [self.kept, *self.options], [self.kept], **quiet).then(**see_pages)
        self.chosen.input(**see_pages)
        self.clear.click(self._clear, [self.kept], [self.kept, self.turns, self.clear, self.live], **quiet).then(
            **see_pages
        )
        self.forget.click(
            self._forget, [self.kept, self.key], [*shown, self.turns, self.clear, self.live], **quiet
        ).then(**see_pages)

    @property
    def _ask_inputs(self) -> list[Any]:
        return [self.question, self.task, self.chosen, self.kept, self.key, *self.options]

    @property
    def _ask_outputs(self) -> list[Any]:
        return [self.live, self.finished, self.ask, self.stop, self.message]

    @property
    def _finish_outputs(self) -> list[Any]:
        return [self.kept, self.turns, self.clear, self.live, self.finished]

    async def _enter(self, kept: Any, key: str, header: gr.HTML, header_html: Callable[[Json | None], str]) -> Update:
        session = Session.of(kept)
        model, templates, problem = await self._handlers.model(key)
        told = ""
        if model is not None:
            session, told = await self._handlers.still_there(session, key)
        tasks = [(self._words("task_question"), ""), *((task["title"], task["id"]) for task in templates)]
        return {
            header: header_html(model),
            self.key: gr.update(visible=bool(key) or (model is None and not problem)),
            self.task: gr.update(choices=tasks),
            **self._shown(session, [document.id for document in session.documents], problem or told),
            **self._shown_turns(session, key),
            **dict(zip(self.options, control_values(session.options), strict=True)),
        }

    def _shown(self, session: Session, chosen: list[str], message: str) -> Update:
        choices = [(document.name, document.id) for document in session.documents]
        return {
            self.kept: session.as_json(),
            self.chosen: gr.update(choices=choices, value=chosen, visible=bool(choices)),
            self.forget: gr.update(visible=bool(choices)),
            self.message: message,
        }

    def _shown_turns(self, session: Session, key: str) -> Update:
        return {self.turns: self._handlers.turns(session, key), self.clear: gr.update(visible=bool(session.turns))}

    async def _see_pages(self, kept: Any, chosen: list[str], key: str, *options: Any) -> str:
        session = Session.of(kept)
        return await self._handlers.pages(session.chosen(chosen), options_of(options), session, key)

    async def _upload(self, paths: list[str] | None, key: str) -> Update:
        files = [(Path(path).name, Path(path)) for path in paths or []]
        arrived, problem = await self._handlers.upload(files, key)
        for _, path in files:
            path.unlink(missing_ok=True)  # the endpoint has it
        return {self.arrived: arrived, self.message: problem, self.files: None}

    async def _paste(self, kept: Any, text: str, key: str) -> Update:
        if not text.strip():
            return {self.arrived: [], self.message: "", self.pasted: text}
        number = 1 + len(Session.of(kept).documents)
        arrived, problem = await self._handlers.upload_text(self._words("pasted_name", number=number), text, key)
        return {self.arrived: arrived, self.message: problem, self.pasted: "" if arrived else text}

    def _example(self, example: Example) -> Callable[..., Any]:
        async def bring(kept: Any, key: str) -> Update:
            there = [document for document in Session.of(kept).documents if document.name == example.file]
            arrived, problem = there[-1:], ""
            if not there:
                arrived, problem = await self._handlers.upload([(example.file, example.path)], key)
            return {
                self.arrived: arrived,
                self.message: problem,
                self.chosen: [],  # so that it is asked about alone
                self.question: example.question,
                self.task: "",
            }

        return bring

    def _add(self, kept: Any, chosen: list[str], arrived: list[Document]) -> Update:
        """New documents are asked about; an example's alone."""
        session = Session.of(kept)
        known = {document.id for document in session.documents}
        new = [document for document in arrived if document.id not in known]
        session = session.model_copy(update={"documents": [*session.documents, *new]})
        update = self._shown(session, [*chosen, *(d.id for d in arrived if d.id not in chosen)], "")
        del update[self.message]  # what went wrong on the way stays
        return {**update, self.arrived: []}

    async def _ask(
        self, question: str, task: str, chosen: list[str], kept: Any, key: str, *options: Any
    ) -> AsyncGenerator[Update]:
        session = Session.of(kept).model_copy(update={"options": options_of(options)})
        running = {self.ask: gr.update(visible=False), self.stop: gr.update(visible=True)}
        ended = {self.ask: gr.update(visible=True), self.stop: gr.update(visible=False)}
        yield {**running, self.message: "", self.finished: None}
        try:
            async for live, turn in self._handlers.ask(
                question.strip(), task or "", session.chosen(chosen), session, key
            ):
                yield {self.live: live} if turn is None else {self.finished: turn, **ended}
        except GlyphError as error:
            yield {self.live: "", self.message: problem_html(error, self._words), **ended}

    def _finish(self, kept: Any, finished: Turn | None, key: str) -> Update:
        """The turn takes its place in the session as it is now: documents may have come while the answer did."""
        session = Session.of(kept)
        if finished is not None:
            session = session.with_turn(finished)
        return {
            self.kept: session.as_json(), self.live: "", self.finished: None, **self._shown_turns(session, key)
        }  # fmt: skip

    def _stopped(self) -> Update:
        return {
            self.live: "",
            self.ask: gr.update(visible=True),
            self.stop: gr.update(visible=False),
            self.message: notice_html(self._words("stopped")),
        }

    def _keep_options(self, kept: Any, *options: Any) -> Json:
        return Session.of(kept).model_copy(update={"options": options_of(options)}).as_json()

    def _clear(self, kept: Any) -> Update:
        session = Session.of(kept).model_copy(update={"turns": []})
        return {self.kept: session.as_json(), self.live: "", **self._shown_turns(session, "")}

    async def _forget(self, kept: Any, key: str) -> Update:
        session = Session.of(kept)
        problem = await self._handlers.forget(session, key)
        session = session.model_copy(update={"documents": [], "turns": []})
        return {**self._shown(session, [], problem), **self._shown_turns(session, key), self.live: ""}
