"""The tab for questions: what happens on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from deployments.openai_answers import Json
from deployments.page.ask_layout import AskLayout
from deployments.page.controls import control_values, options_of
from deployments.page.examples import Example, shown_examples
from deployments.page.problems import notice_html, problem_html
from deployments.page.session import Document, Session, Turn
from glyph_core.errors import GlyphError

Update = dict[Any, Any]  # what parts of the page show next
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}


class AskTab(AskLayout):
    def react(self, blocks: gr.Blocks, header: gr.HTML, header_html: Callable[[Json | None], str]) -> None:
        self._react_to_visitors(blocks, header, header_html)
        self._react_to_documents()
        self._react_to_questions()
        for control in self.options:
            changed = control.release if isinstance(control, gr.Slider) else control.input
            changed(self._keep_options, [self.kept, *self.options], [self.kept], **QUIET).then(**self._see_pages_next)

    def _react_to_visitors(self, blocks: gr.Blocks, header: gr.HTML, header_html: Callable[[Json | None], str]) -> None:
        async def enter(kept: Any, key: str) -> Update:
            return await self._enter(kept, key, header, header_html)

        entered = [header, self.key, self.task, self.turns, self.clear, *self._shown_parts, *self.options]
        for event in (blocks.load, self.key.submit, self.key.blur):
            event(enter, [self.kept, self.key], entered, **QUIET).then(**self._see_pages_next)

    def _react_to_documents(self) -> None:
        sent = [self.arrived, self.message]
        self.files.upload(
            self._upload, [self.files, self.key], [*sent, self.files], trigger_mode="multiple", **QUIET
        ).then(**self._add_next).then(**self._see_pages_next)
        self.paste_add.click(self._paste, [self.kept, self.pasted, self.key], [*sent, self.pasted], **QUIET).then(
            **self._add_next
        ).then(**self._see_pages_next)
        self.chosen.input(**self._see_pages_next)
        forgotten = [*self._shown_parts, self.turns, self.clear, self.live]
        self.forget.click(self._forget, [self.kept, self.key], forgotten, **QUIET).then(**self._see_pages_next)

    def _react_to_questions(self) -> None:
        asking = gr.on([self.ask.click, self.question.submit], **self._ask_next)
        runs = [asking]
        brought = [self.arrived, self.message, self.chosen, self.question, self.task]
        for button, example in zip(self.examples, shown_examples(), strict=True):
            brings = button.click(self._example(example), [self.kept, self.key], brought, **QUIET)
            runs.append(brings.then(**self._add_next).then(**self._ask_next))
        for run in runs:
            run.then(self._finish, [self.kept, self.finished, self.key], self._finish_outputs, **QUIET).then(
                **self._see_pages_next
            )
        self.stop.click(self._stopped, None, [self.live, self.ask, self.stop, self.message], cancels=runs, **QUIET)
        self.clear.click(self._clear, [self.kept], [self.kept, self.turns, self.clear, self.live], **QUIET).then(
            **self._see_pages_next
        )

    @property
    def _shown_parts(self) -> list[Any]:
        return [self.kept, self.chosen, self.forget, self.message]

    @property
    def _see_pages_next(self) -> dict[str, Any]:
        """This and the next two: an event's arguments, where it follows another."""
        inputs = [self.kept, self.chosen, self.key, *self.options]
        return {"fn": self._see_pages, "inputs": inputs, "outputs": [self.pages], **QUIET}

    @property
    def _add_next(self) -> dict[str, Any]:
        inputs, outputs = [self.kept, self.chosen, self.arrived], [*self._shown_parts, self.arrived]
        return {"fn": self._add, "inputs": inputs, "outputs": outputs, **QUIET}

    @property
    def _ask_next(self) -> dict[str, Any]:
        inputs = [self.question, self.task, self.chosen, self.kept, self.key, *self.options]
        outputs = [self.live, self.finished, self.ask, self.stop, self.message]
        return {"fn": self._ask, "inputs": inputs, "outputs": outputs, **QUIET}

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
