"""OpenAI's own Python client, unchanged."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from glyph_core.answering.request import AnswerRequest
from glyph_core.config import EngineConfig, PipelineConfig, SamplingConfig
from glyph_core.pipeline import Pipeline
from glyph_core.types import DocumentSource, Message
from tests.deployments.serving import App

pytestmark = pytest.mark.serve

TEXT = b"This agreement is governed by the laws of the Republic. The fee is 400 crowns a month."

UNSATISFIABLE = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": []}}}


@pytest.fixture
def client(tiny_app: App) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{tiny_app.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def about(content: bytes | str, question: str = "What is the fee?") -> list[Any]:
    encoded = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    file = {"type": "file", "file": {"filename": "agreement.txt", "file_data": encoded}}
    return [{"role": "user", "content": [file, {"type": "text", "text": question}]}]


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_chat(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="tiny", messages=about(TEXT), max_tokens=16)
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason in {"stop", "length"}
    usage = completion.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens is not None
    assert usage.prompt_tokens_details.model_extra is not None
    assert usage.prompt_tokens_details.model_extra["visual_tokens"] > 0
    assert completion.model_extra is not None
    assert completion.model_extra["glyph"]["pages"] == 1
    assert completion.model_extra["glyph"]["timings"]["e2e_ms"] > 0


def test_a_stream_joins_to_the_whole_answer(client: openai.OpenAI) -> None:
    arguments: dict[str, Any] = {"model": "tiny", "messages": about(TEXT), "max_completion_tokens": 16, "seed": 7,
                                 "temperature": 0.8}  # fmt: skip
    whole = client.chat.completions.create(**arguments)
    *chunks, last = client.chat.completions.create(**arguments, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens


def test_a_conversation(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="tiny", messages=about(TEXT), max_tokens=8)
    messages = [
        {"role": "system", "content": "Answer in one word."},
        *about(TEXT),
        first.choices[0].message.model_dump(),
        {"role": "user", "content": "And the law?"},
    ]
    second = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)
    assert second.usage is not None
    assert second.choices[0].message.content is not None


@pytest.mark.parametrize(
    ("arguments", "error", "status", "code"),
    [
        ({"model": "gpt-4"}, openai.NotFoundError, 404, "model_not_found"),
        ({"messages": about(b"")}, openai.BadRequestError, 400, "empty_document"),
        ({"messages": about(b" \n\t ")}, openai.BadRequestError, 400, "empty_document"),
        ({"max_tokens": 3_000_000_000}, openai.BadRequestError, 400, "context_length_exceeded"),
        ({"temperature": -1}, openai.BadRequestError, 400, "invalid_request"),
        ({"messages": about("data:text/plain;base64,a_b")}, openai.BadRequestError, 400, "invalid_request"),
        ({"messages": about(b"PK\x03\x04 an archive")}, openai.APIStatusError, 415, "unsupported_document"),
        ({"messages": about(b"\x89PNG\r\n\x1a\nbroken")}, openai.UnprocessableEntityError, 422, "invalid_document"),
        ({"n": 2}, openai.BadRequestError, 400, "invalid_request"),
        ({"response_format": UNSATISFIABLE}, openai.BadRequestError, 400, "invalid_request"),
        ({"extra_body": {"min_p": 0.1}}, openai.BadRequestError, 400, "invalid_request"),
        ({"messages": about(b"x" * 5 * 1024**2)}, openai.APIStatusError, 413, "document_too_large"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_at_fault_is_told_in_openais_form(
    client: openai.OpenAI, arguments: dict[str, Any], error: type[openai.APIStatusError], status: int, code: str,
    stream: bool,
) -> None:  # fmt: skip
    defaults = {"model": "tiny", "messages": about(TEXT), "max_tokens": 4, "stream": stream}
    with pytest.raises(error) as caught:
        client.chat.completions.create(**(defaults | arguments))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "code", "param"}


def test_the_life_of_a_file(client: openai.OpenAI) -> None:
    before = {file.id for file in client.files.list()}
    file = client.files.create(file=("agreement.txt", TEXT), purpose="user_data")
    brief = client.files.create(
        file=("brief.txt", TEXT), purpose="assistants", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.bytes, file.filename, file.purpose, file.expires_at) == (len(TEXT), "agreement.txt", "user_data", None)
    assert brief.expires_at == brief.created_at + 3600
    assert client.files.retrieve(file.id) == file
    assert client.files.wait_for_processing(file.id) == file
    assert [found.id for found in client.files.list(limit=1) if found.id not in before] == [brief.id, file.id]
    assert [found.id for found in client.files.list(purpose="assistants")] == [brief.id]
    assert client.files.content(file.id).read() == TEXT
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}},
                                     {"type": "text", "text": "What is the fee?"}]}
    ]  # fmt: skip
    by_id = client.chat.completions.create(model="tiny", messages=messages, max_tokens=16)
    by_data = client.chat.completions.create(model="tiny", messages=about(TEXT), max_tokens=16)
    assert by_id.choices[0].message.content == by_data.choices[0].message.content
    for deleted in (file, brief):
        assert client.files.delete(deleted.id).deleted
    for call in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(openai.NotFoundError, match="there is no file"):
            call(file.id)
    with pytest.raises(openai.NotFoundError, match="there is no file"):
        client.chat.completions.create(model="tiny", messages=messages)


@pytest.mark.parametrize(
    ("name", "content", "purpose", "error"),
    [
        ("a.txt", TEXT, "fine-tune", openai.BadRequestError),
        ("a.txt", b"x" * (64 * 1024**2 + 1), "user_data", openai.APIStatusError),
    ],
    ids=["purpose", "size"],
)
def test_what_is_wrong_with_an_upload(
    client: openai.OpenAI, name: str, content: bytes, purpose: Any, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        client.files.create(file=(name, content), purpose=purpose)
    assert caught.value.status_code in {400, 413}
    assert [file for file in client.files.list() if file.filename == name] == []


def test_vector_stores(client: openai.OpenAI) -> None:
    file = client.files.create(file=("agreement.txt", TEXT), purpose="assistants")
    store = client.vector_stores.create(name="contracts", expires_after={"anchor": "last_active_at", "days": 1})
    added = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, attributes={"year": 2026})
    assert (added.status, added.last_error, added.attributes) == ("completed", None, {"year": 2026.0})
    other = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("b.txt", b"The term is a year."))
    assert [found.id for found in client.vector_stores.files.list(store.id)] == [other.id, added.id]
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 2
    [found] = client.vector_stores.search(store.id, query="Which fee is due?", max_num_results=1)
    assert (found.file_id, found.filename) == (file.id, "agreement.txt")
    assert found.content[0].text == TEXT.decode()
    [page] = client.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert page.text == TEXT.decode()
    assert client.vector_stores.update(store.id, name="leases").name == "leases"
    assert client.vector_stores.files.delete(other.id, vector_store_id=store.id).deleted
    assert client.vector_stores.delete(store.id).deleted
    assert store.id not in {found.id for found in client.vector_stores.list()}


def test_file_search_reads_the_pages_that_it_finds(client: openai.OpenAI, tiny_folder: Path) -> None:
    text = "\n".join([*["An ordinary line."] * 200, "The fee is 400 crowns.", *["An ordinary line."] * 200])
    store = client.vector_stores.create(name="long")
    file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("long.txt", text.encode()))
    tools: list[Any] = [{"type": "file_search", "vector_store_ids": [store.id]}]
    messages: list[Any] = [{"role": "user", "content": "Which fee is due?"}]
    served = client.chat.completions.create(model="tiny", messages=messages, tools=tools, max_tokens=16)
    assert served.model_extra is not None
    [page] = served.model_extra["glyph"]["file_search"][0]["pages"]
    assert page["file_id"] == file.id
    assert page["page"] > 1
    source, shown = DocumentSource("long.txt", text.encode()), ((page["page"] - 1,),)
    request = AnswerRequest(
        (Message("user", "Which fee is due?", (0,)),), (source,), SamplingConfig(max_tokens=16), pages=shown
    )
    pipeline = Pipeline.from_pretrained(tiny_folder, PipelineConfig(engine=EngineConfig(num_blocks=280)))
    answer = pipeline.run([request])[0]
    assert served.choices[0].message.content == answer.text
    assert answer.num_pages == served.model_extra["glyph"]["pages"] == 1
    assert served.usage is not None
    assert served.usage.prompt_tokens == answer.usage.num_prompt_tokens
    assert served.usage.prompt_tokens_details is not None
    told = served.usage.prompt_tokens_details.model_extra or {}
    assert told["text_tokens_equivalent"] == answer.usage.num_text_tokens < len(text) // 8
