"""A question on the page as a request in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.openai_answers import Json
from deployments.page.session import Document, Session
from deployments.page.strings import Words
from glyph_core.errors import InvalidRequestError

MAX_EARLIER_TURNS = 6


def check_question(
    question: str, template: str, documents: Sequence[Document], templates: Sequence[Json], words: Words
) -> None:
    """Raises InvalidRequestError, in the visitor's language, for what cannot be asked."""
    if not question and not template:
        raise InvalidRequestError(words("no_question"))
    if not documents:
        raise InvalidRequestError(words("no_document"))
    task = next((task for task in templates if task["id"] == template), None)
    if task is not None and len(documents) < task["min_documents"]:
        raise InvalidRequestError(words("task_two", title=task["title"], number=task["min_documents"]))


def chat_body(question: str, template: str, documents: Sequence[Document], session: Session, model: Json) -> Json:
    """Raises RenderConfigError for pages that nobody could read."""
    options = session.options
    glyph: Json = {"progress": True, "render": options.render_fields(model["render"])}
    glyph |= {"preset": options.preset} if options.preset else {}
    glyph |= {"template": template} if template else {}
    return {
        "model": model["id"],
        "messages": _messages(question, documents, session),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_tokens": options.max_tokens,
        "glyph": glyph,
    }


def _messages(question: str, documents: Sequence[Document], session: Session) -> list[Json]:
    """The documents stand in the first turn, so that what follows shares its beginning with what came before."""
    parts: list[Json] = [{"type": "file", "file": {"file_id": d.id, "filename": d.name}} for d in documents]
    earlier = session.turns if session.options.follow_up else []
    earlier = [turn for turn in earlier if turn.documents == list(documents) and turn.question][-MAX_EARLIER_TURNS:]
    messages: list[Json] = []
    for turn in earlier:
        messages.append({"role": "user", "content": [*parts, {"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": turn.answer})
        parts = []
    return [*messages, {"role": "user", "content": [*parts, {"type": "text", "text": question}]}]
