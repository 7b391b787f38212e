"""Which part becomes a document, which stays text, and what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from deployments.admission import Admission, Conversation
from deployments.openai_types import parse_chat_request
from glyph_core.config import PRESETS, LimitConfig
from glyph_core.errors import (
    ContextLengthError,
    DocumentTooLargeError,
    InvalidRequestError,
    NotFoundError,
    RenderConfigError,
)
from glyph_core.model.token_counter import TokenCount
from glyph_core.types import DocumentSource, Message

ADMISSION = Admission(
    LimitConfig(render_text_over_tokens=10, max_document_bytes=1000),
    PRESETS["mini"],
    4096,
    lambda text: TokenCount(len(text.split()), estimated=False),
)
LONG = "a contract of more than ten words, which is why it is going to be rendered"


def read_file(file_id: str) -> DocumentSource:
    if file_id != "file-1":
        raise NotFoundError(f"there is no file {file_id!r}", param="file_id")
    return DocumentSource("stored.txt", b"uploaded before")


def admit(*content: Any, **fields: Any) -> Conversation:
    messages = [{"role": "user", "content": list(content) if content else "What?"}]
    body = json.dumps({"model": "m", "messages": messages, **fields})
    return ADMISSION.admit(parse_chat_request(body.encode()), read_file)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def file(content: bytes | str, **more: str) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    return {"type": "file", "file": {"file_data": encoded, **more}}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_short_text_stays_text() -> None:
    conversation = admit()
    assert conversation.messages == (Message("user", "What?"),)
    assert conversation.documents == ()
    assert conversation.render == PRESETS["mini"]


def stored(file_id: str, **more: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_id": file_id, **more}}


def test_uploaded_files_are_documents_under_their_own_name_or_another() -> None:
    documents = admit(stored("file-1"), stored("file-1", filename="mine.txt"), text("What?")).documents
    assert [(document.name, document.content) for document in documents] == [
        ("stored.txt", b"uploaded before"), ("mine.txt", b"uploaded before"),
    ]  # fmt: skip
    assert documents[0].digest == documents[1].digest == DocumentSource("a", b"uploaded before").digest


def test_a_file_is_here_or_there() -> None:
    with pytest.raises(NotFoundError, match="file-2"):
        admit(stored("file-2"), text("What?"))
    for both_or_none in ({"file_id": "file-1", "file_data": "YQ=="}, {"filename": "a.txt"}):
        with pytest.raises(InvalidRequestError, match="either file_data or file_id"):
            admit({"type": "file", "file": both_or_none}, text("What?"))


def test_files_become_documents_before_the_text() -> None:
    data_url = "data:text/plain;charset=utf-8;base64," + base64.b64encode(b"two").decode()
    conversation = admit(text("Compare"), file(b"one", filename="a.txt"), file(data_url), text("them."))
    assert conversation.messages == (Message("user", "Compare\nthem.", (0, 1)),)
    assert [(document.name, document.content) for document in conversation.documents] == [
        ("a.txt", b"one"), ("document 2", b"two"),
    ]  # fmt: skip


def test_a_picture_is_a_document() -> None:
    conversation = admit(image("data:image/png;base64," + base64.b64encode(b"png").decode()), text("What?"))
    assert conversation.documents[0].content == b"png"


def test_a_long_text_is_rendered_in_its_place() -> None:
    conversation = admit(file(b"one"), text(LONG), file(b"three"), text("What?"))
    assert [document.content for document in conversation.documents] == [b"one", LONG.encode(), b"three"]
    assert conversation.messages == (Message("user", "What?", (0, 1, 2)),)


def test_one_long_text_keeps_its_last_line_as_the_question() -> None:
    conversation = admit(text(f"{LONG}\n{LONG}\n\nWho signed it?\n"))
    assert conversation.documents[0].content.decode().strip() == f"{LONG}\n{LONG}"
    assert conversation.messages == (Message("user", "Who signed it?", (0,)),)


def test_a_long_text_of_one_line_asks_nothing() -> None:
    with pytest.raises(InvalidRequestError, match="question"):
        admit(text(LONG))


def test_turns_keep_their_order_roles_and_documents() -> None:
    conversation = admit(
        messages=[
            {"role": "developer", "content": LONG},
            {"role": "user", "content": [file(b"one"), text("What?")]},
            {"role": "assistant", "content": [text(LONG), text("indeed")]},
            {"role": "user", "content": [text(LONG)]},
            {"role": "assistant", "content": "I see."},
            {"role": "user", "content": [text("And this?"), file(b"two")]},
        ]
    )
    assert conversation.messages == (
        Message("system", LONG),
        Message("user", "What?", (0,)),
        Message("assistant", f"{LONG}\nindeed"),
        Message("user", "", (1,)),
        Message("assistant", "I see."),
        Message("user", "And this?", (2,)),
    )


def test_sampling() -> None:
    sampling = admit(
        max_completion_tokens=7, temperature=1, top_p=0.5, stop="x", seed=3, repetition_penalty=1.1
    ).sampling
    assert sampling.model_dump() == {
        "temperature": 1.0, "top_p": 0.5, "max_tokens": 7, "stop": ("x",), "seed": 3, "repetition_penalty": 1.1,
        "ignore_eos": False, "json_schema": None,
    }  # fmt: skip


def test_without_a_limit_the_answer_may_fill_the_context() -> None:
    assert admit().sampling.max_tokens == 4096


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_beyond_the_context_is_refused(name: str) -> None:
    with pytest.raises(ContextLengthError, match="3000000000") as caught:
        admit(**{name: 3_000_000_000})
    assert caught.value.param == name


def test_render_options() -> None:
    assert admit(glyph={"preset": "glyph-en"}).render == PRESETS["glyph-en"]
    changed = admit(glyph={"preset": "glyph-en", "render": {"inverted": True}}).render
    assert changed == PRESETS["glyph-en"].model_copy(update={"inverted": True})


@pytest.mark.parametrize(
    ("options", "param"),
    [({"preset": "large"}, "glyph.preset"), ({"render": {"font_size_px": 3}}, "glyph.render.font_size_px"),
     ({"render": {"colour": "red"}}, "glyph.render.colour"),
     ({"render": {"tab_columns": 0}}, "glyph.render.tab_columns")],
)  # fmt: skip
def test_render_options_that_cannot_be(options: dict[str, Any], param: str) -> None:
    with pytest.raises((RenderConfigError, InvalidRequestError)) as caught:
        admit(glyph=options)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("part", "says"),
    [(file("no base64!"), "base64"), (file("abc"), "base64"), (file("dätä"), "base64"),
     (file("data:text/plain,hello"), "without ;base64"), (image("https://example.com/a.png"), "fetches nothing"),
     (image("data:text/plain;base64,YQ=="), "data:image/"), (image("data:image/png;base64,???"), "base64")],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_documents_that_cannot_be_decoded(part: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as caught:
        admit(part, text("What?"))
    assert str(caught.value.param).startswith("messages.0.content.0.")


def test_a_document_over_the_limit() -> None:
    with pytest.raises(DocumentTooLargeError, match="1001 bytes"):
        admit(file(b"x" * 1001), text("What?"))


def test_more_documents_than_a_request_may_have_pages() -> None:
    admission = Admission(LimitConfig(max_pages=2), PRESETS["mini"], 4096, ADMISSION.count_tokens)
    parts = [file(b"one"), file(b"two"), text("What?")]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    assert len(admission.admit(parse_chat_request(json.dumps(body).encode()), read_file).documents) == 2
    parts.insert(0, file(b"three"))
    with pytest.raises(DocumentTooLargeError, match="over 2 documents"):
        admission.admit(parse_chat_request(json.dumps(body).encode()), read_file)


def test_only_the_beginning_of_a_very_long_text_is_counted() -> None:
    counted: list[int] = []

    def count(text: str) -> TokenCount:
        counted.append(len(text))
        return TokenCount(len(text.split()), estimated=False)

    admission = Admission(LimitConfig(render_text_over_tokens=10), PRESETS["mini"], 4096, count)
    assert admission.is_long("word " * 100_000)
    assert max(counted) <= 1000
    assert not admission.is_long(" " * 1000 + "word")
