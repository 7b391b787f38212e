"""From OpenAI's request to ours: which part is a document, which is text, and how pages are drawn.

The rule: turns keep their order; system and developer messages, earlier answers and short text parts stay text; a
user's files, pictures and text parts over ``render_text_over_tokens`` become documents, which stand before the text of
their turn. A last message that is one long text keeps its last line as text, for the question has to be one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from deployments.openai_types import ChatMessage, ChatRequest, FileContent, ImageUrl, Part, reading_of
from deployments.render_choice import chosen_render
from glyph_core.answering.request import check_messages
from glyph_core.answering.task_templates import TaskTemplate, template_called
from glyph_core.config import EvidenceConfig, LimitConfig, ReadingConfig, RenderConfig, SamplingConfig
from glyph_core.errors import ContextLengthError, DocumentTooLargeError, InvalidRequestError
from glyph_core.model.token_counter import TokenCount
from glyph_core.types import DocumentSource, Message, PageChoice

DATA_URL = re.compile(r"data:(?P<media_type>[^,;]*)(?P<parameters>(?:;[^,;]*)*),")

PLENTY_OF_CHARS_PER_TOKEN = 16  # real text has two to five


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request that is understood; its documents are still at hand."""

    messages: tuple[Message, ...]
    documents: tuple[DocumentSource, ...]
    sampling: SamplingConfig
    render: RenderConfig
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    pages: PageChoice = ()
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    pin: bool | None = None  # keep the documents from eviction from now on, or no longer


@dataclass(frozen=True, slots=True)
class Admission:
    """Understands requests. Raises InvalidInputErrors that name the field at fault."""

    limits: LimitConfig
    render: RenderConfig  # where a request says nothing
    max_model_len: int
    count_tokens: Callable[[str], TokenCount]
    templates: Mapping[str, TaskTemplate] = field(default_factory=dict)
    reading: ReadingConfig = field(default_factory=ReadingConfig)  # where a request says nothing

    def admit(self, request: ChatRequest, read_file: Callable[[str], DocumentSource]) -> Conversation:
        """``read_file`` finds an uploaded file by its id; raises NotFoundError where it does not."""
        sampling = self._sampling(request)
        render = self._render(request)
        reading = _Reading(self, read_file)
        messages = tuple(
            reading.turn(message, index, is_last=index == len(request.messages) - 1)
            for index, message in enumerate(request.messages)
        )
        if request.glyph.template is not None:
            messages = self._as_task(messages, template_called(request.glyph.template, self.templates))
        check_messages(messages, len(reading.documents))
        evidence = EvidenceConfig(citations=request.glyph.citations, grounding=request.glyph.grounding)
        how = reading_of(request.glyph, self.reading)
        return Conversation(
            messages, tuple(reading.documents), sampling, render, evidence, reading=how, pin=request.glyph.pin
        )

    def documents_of(
        self, files: Sequence[FileContent], read_file: Callable[[str], DocumentSource]
    ) -> list[DocumentSource]:
        """``files`` of a request that is no conversation; ``read_file`` as in :meth:`admit`."""
        reading = _Reading(self, read_file)
        for number, file in enumerate(files):
            reading.add_file(file, f"files.{number}")
        return reading.documents

    def render_of(self, preset_name: str | None, fields: Mapping[str, Any]) -> RenderConfig:
        """The service's configuration, or that of a preset, with ``fields`` instead of its own."""
        return chosen_render(self.render, preset_name, fields, preset_param="preset", fields_param="render")

    def _as_task(self, messages: tuple[Message, ...], template: TaskTemplate) -> tuple[Message, ...]:
        """The conversation with its last text in the template's place for it."""
        num_documents = sum(len(message.documents) for message in messages)
        last = replace(messages[-1], text=template.fill(messages[-1].text, num_documents))
        return (*messages[:-1], last)

    def is_long(self, text: str) -> bool:
        """Whether ``text`` is to be rendered. Of a very long one the beginning tells."""
        limit = self.limits.render_text_over_tokens
        beginning = text[: limit * PLENTY_OF_CHARS_PER_TOKEN]
        if self.count_tokens(beginning).num_tokens > limit:
            return True
        return len(text) > len(beginning) and self.count_tokens(text).num_tokens > limit

    def _sampling(self, request: ChatRequest) -> SamplingConfig:
        max_tokens = request.max_tokens or request.max_completion_tokens or self.max_model_len
        if max_tokens > self.max_model_len:
            raise ContextLengthError(
                f"max_tokens={max_tokens} is more than the model's whole context of {self.max_model_len} tokens; ask "
                "for less, or leave it out: the answer then may fill what the documents leave",
                param="max_tokens" if request.max_tokens else "max_completion_tokens",
            )
        given = request.model_dump(include={"temperature", "top_p", "seed", "repetition_penalty"}, exclude_none=True)
        schema = request.response_format.as_schema() if request.response_format else None
        return SamplingConfig(max_tokens=max_tokens, stop=tuple(request.stop), json_schema=schema, **given)

    def _render(self, request: ChatRequest) -> RenderConfig:
        asked = request.glyph
        return chosen_render(
            self.render, asked.preset, asked.render, preset_param="glyph.preset", fields_param="glyph.render"
        )


@dataclass(slots=True)
class _Reading:
    """The documents of a conversation, collected turn by turn."""

    admission: Admission
    read_file: Callable[[str], DocumentSource]
    documents: list[DocumentSource] = field(default_factory=list)

    def turn(self, message: ChatMessage, index: int, *, is_last: bool) -> Message:
        if message.role != "user":
            role: Literal["assistant", "system"] = "assistant" if message.role == "assistant" else "system"
            return Message(role, "\n".join(part.text or "" for part in message.content))
        first = len(self.documents)
        parts = _with_question(message.content, self.admission.is_long) if is_last else message.content
        texts: list[str] = []
        for number, part in enumerate(parts):
            where = f"messages.{index}.content.{number}"
            if part.file:
                self.add_file(part.file, f"{where}.file")
            elif part.image_url:
                self._take(None, _decode_image(part.image_url, f"{where}.image_url.url"))
            elif part.text and self.admission.is_long(part.text):
                self._take(None, part.text.encode())
            else:
                texts.append(part.text or "")
        return Message("user", "\n".join(texts), tuple(range(first, len(self.documents))))

    def add_file(self, file: FileContent, where: str) -> None:
        if file.file_id is not None:
            stored = self.read_file(file.file_id)
            self._add(replace(stored, name=file.filename or stored.name))
        else:
            self._take(file.filename, _decode_file(file, f"{where}.file_data"))

    def _take(self, name: str | None, content: bytes) -> None:
        self._add(DocumentSource(name or f"document {len(self.documents) + 1}", content))

    def _add(self, document: DocumentSource) -> None:
        limits = self.admission.limits
        if len(self.documents) == limits.max_pages:  # each of them would cost at least a call for its plan
            raise DocumentTooLargeError(
                f"the request has over {limits.max_pages} documents, and no request may have more pages: send less",
                param="messages",
            )
        limit = limits.max_document_bytes
        if len(document.content) > limit:
            raise DocumentTooLargeError(
                f"document {document.name!r} has {len(document.content)} bytes; a document may have {limit}: split it",
                param="messages",
            )
        self.documents.append(document)


def _with_question(parts: Sequence[Part], is_long: Callable[[str], bool]) -> Sequence[Part]:
    """``parts`` as they are if a short text is among them; else with the last text's last line split off, as the
    question about the rest of it."""
    texts = [number for number, part in enumerate(parts) if part.text]
    if not texts or any(not is_long(parts[number].text or "") for number in texts):
        return parts
    text = (parts[texts[-1]].text or "").rstrip()
    document, _, question = text.rpartition("\n")
    if not document.strip() or is_long(question):
        return parts
    halves = [Part(type="text", text=document), Part(type="text", text=question)]
    return [*parts[: texts[-1]], *halves, *parts[texts[-1] + 1 :]]


def _decode_file(file: FileContent, param: str) -> bytes:
    """The bytes of a data URL or of bare base64."""
    assert file.file_data is not None  # FileContent holds it, or an id
    url = DATA_URL.match(file.file_data)
    if url and "base64" not in url["parameters"].split(";"):
        raise InvalidRequestError(f"{param} is a data URL without ;base64", param=param)
    return _decode_base64(file.file_data[url.end() :] if url else file.file_data, param)


def _decode_image(image: ImageUrl, param: str) -> bytes:
    url = DATA_URL.match(image.url)
    if url is None:
        raise InvalidRequestError(
            f"{param} is no data URL, and this service fetches nothing; send the picture itself, as "
            "data:image/png;base64,…",
            param=param,
        )
    if not url["media_type"].startswith("image/") or "base64" not in url["parameters"].split(";"):
        raise InvalidRequestError(f"{param} must begin with data:image/…;base64,", param=param)
    return _decode_base64(image.url[url.end() :], param)


def _decode_base64(text: str, param: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error is one; so is a character beyond ASCII
        raise InvalidRequestError(f"{param} is no valid base64: {error}", param=param) from error
