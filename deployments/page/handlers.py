"""What happens when somebody does something on the page. What takes time are calls to the endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlencode

from deployments.answer_stream import AskResult
from deployments.openai_answers import Json
from deployments.page.asking import chat_body, check_question
from deployments.page.conversation import live_html, turns_html
from deployments.page.endpoint_api import EndpointApi
from deployments.page.evidence import DocumentPages, PageUrl, gallery_html
from deployments.page.page_pictures import Tickets
from deployments.page.problems import notice_html, problem_html
from deployments.page.session import Document, Options, Session, Turn
from deployments.page.strings import Words
from glyph_core.errors import AuthenticationError, GlyphError
from glyph_core.types import Progress, TextDelta

LIVE_PERIOD_S = 0.08  # between two pictures of an answer on its way


class Handlers:
    """For one language; nothing of a visitor's is kept here."""

    def __init__(self, api: EndpointApi, tickets: Tickets, words: Words) -> None:
        self._api, self._tickets, self._words = api, tickets, words

    async def model(self, key: str) -> tuple[Json | None, list[Json], str]:
        """The served model, the task templates, and what keeps them from being known, as HTML."""
        try:
            return await self._api.model(key), await self._api.templates(key), ""
        except AuthenticationError as error:
            return None, [], problem_html(error, self._words) if key else ""
        except GlyphError as error:
            return None, [], problem_html(error, self._words)

    async def upload(self, files: Sequence[tuple[str, Path]], key: str) -> tuple[list[Document], str]:
        """Hands files (names and places) on to the endpoint. What could not be, and why, comes as HTML."""
        arrived, problems = [], []
        for name, path in files:
            try:
                arrived.append(await self._api.upload(key, name, path))
            except GlyphError as error:
                problems.append(problem_html(error, self._words, name))
        return arrived, "".join(problems)

    async def upload_text(self, name: str, text: str, key: str) -> tuple[list[Document], str]:
        try:
            return [await self._api.upload_bytes(key, name, text.encode())], ""
        except GlyphError as error:
            return [], problem_html(error, self._words, name)

    async def still_there(self, session: Session, key: str) -> tuple[Session, str]:
        """The session without the documents that the endpoint has no more."""
        try:
            there = await asyncio.gather(*(self._api.is_there(key, document) for document in session.documents))
        except GlyphError:  # with no key yet, or while the service is away: they may well be there
            return session, ""
        gone = [document.name for document, is_there in zip(session.documents, there, strict=True) if not is_there]
        kept = [document for document, is_there in zip(session.documents, there, strict=True) if is_there]
        told = notice_html(self._words("gone", names=", ".join(gone))) if gone else ""
        return session.model_copy(update={"documents": kept}), told

    async def forget(self, session: Session, key: str) -> str:
        """Deletes the documents at the endpoint."""
        try:
            await asyncio.gather(*(self._api.delete(key, document) for document in session.documents))
        except GlyphError as error:
            return problem_html(error, self._words)
        return ""

    async def pages(self, documents: Sequence[Document], options: Options, session: Session, key: str) -> str:
        """The gallery; with the newest answer's citations on it where it is about these pages."""
        try:
            query = options.page_query((await self._api.model(key))["render"])
            found = await asyncio.gather(*(self._document_pages(document, query, key) for document in documents))
        except AuthenticationError as error:  # where there is no key yet, the page asks for it already
            return problem_html(error, self._words) if key else gallery_html((), (), lambda *_: "", self._words)
        except GlyphError as error:
            return problem_html(error, self._words)
        newest = session.turns[-1] if session.turns else None
        is_about = newest is not None and newest.documents == list(documents) and newest.page_query == query
        citations = newest.glyph["citations"] if newest is not None and is_about else []
        return gallery_html(found, citations, self.page_url(query, key), self._words)

    async def _document_pages(self, document: Document, query: Mapping[str, str], key: str) -> DocumentPages:
        try:
            listed = await self._api.pages(key, document, query)
        except AuthenticationError:
            raise
        except GlyphError as error:  # the other documents' pages are shown all the same
            why = self._words("not_listed", name=document.name, why=error.message)
            return DocumentPages(document, (), (why,))
        sizes = [(page["width_px"], page["height_px"]) for page in listed["data"]]
        return DocumentPages(document, sizes, listed["warnings"])

    async def ask(
        self, question: str, template: str, documents: Sequence[Document], session: Session, key: str
    ) -> AsyncGenerator[tuple[str, Turn | None]]:
        """The answer as it comes, as HTML, and at last the finished turn. Raises GlyphError."""
        check_question(question, template, documents, await self._api.templates(key), self._words)
        model = await self._api.model(key)
        options = session.options
        body = chat_body(question, template, documents, session, model)
        progress: Progress | None = None
        text = ""
        shown_at = 0.0
        title = question or template
        yield live_html(title, None, "", self._words), None
        async with aclosing(self._api.ask(key, body)) as events:
            async for event in events:
                match event:
                    case Progress():
                        progress = event
                    case TextDelta(is_reasoning=False):
                        text += event.text
                    case AskResult():
                        turn = _turn(question, template, documents, options.page_query(model["render"]), event)
                        yield "", turn
                        return
                now = asyncio.get_running_loop().time()
                if now - shown_at > LIVE_PERIOD_S:
                    shown_at = now
                    yield live_html(title, progress, text, self._words), None

    async def compare(self, documents: Sequence[Document], options: Options, key: str) -> tuple[Json, PageUrl]:
        """The comparison, and where the pages are that its boxes are of. Raises GlyphError."""
        own = (await self._api.model(key))["render"]
        drawn: Json = {"render": options.render_fields(own), **({"preset": options.preset} if options.preset else {})}
        first, second = documents
        found = await self._api.compare(key, first, second, drawn)
        return found, self.page_url(options.page_query(own), key)

    def turns(self, session: Session, key: str) -> str:
        return turns_html(session.turns, lambda turn: self.page_url(turn.page_query, key), self._words)

    def page_url(self, query: Mapping[str, str], key: str) -> PageUrl:
        """Beside the page itself, which is at …/en/ or …/zh/."""
        asked = f"?{urlencode(query)}" if query else ""
        ticket = self._tickets.ticket(key)
        return lambda document, number: f"../pages/{ticket}/{document.id}/{number}.png{asked}"


def _turn(
    question: str, template: str, documents: Sequence[Document], page_query: dict[str, str], result: AskResult
) -> Turn:
    return Turn(
        question=question,
        template=template,
        documents=list(documents),
        page_query=page_query,
        answer=result.answer,
        reasoning=result.reasoning,
        finish_reason=result.finish_reason,
        model=result.model,
        usage=result.usage,
        glyph=result.glyph,
    )
