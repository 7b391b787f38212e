"""Questions about collections: only the pages that were found are read, in up to three rounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from deployments.protocol import ServedRequest
from deployments.refusals import yields_refusals
from glyph_core.errors import OverloadedError
from glyph_core.types import Answer, AnswerEvent, Progress, TextDelta, Timings, Usage
from tests.deployments.fakes import ScriptedDecoder
from tests.deployments.test_http_api import QUESTION, assert_error, serving
from tests.deployments.test_vector_stores_http import CHINESE, CONTRACT, a_collection, settled

FALCON = b"Acme pays for the project Falcon, and for nothing else.\n"
ALBRIGHT = b"Falcon is led by Ruth Albright.\n"
Test = Callable[[httpx.AsyncClient, "ReadingDecoder"], Awaitable[None]]


@dataclass
class ReadingDecoder(ScriptedDecoder):
    """Answers with the first of ``replies`` whose key stands in a document that it is shown; else 'not stated'."""

    replies: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    max_rounds: int = 100  # it has no room for more

    @yields_refusals
    async def answer(self, request: ServedRequest) -> AsyncGenerator[tuple[AnswerEvent, ...]]:
        self.requests.append(request)
        if len(self.requests) > self.max_rounds:
            raise OverloadedError("the service is full")
        content = b"".join([await document.content for document in request.documents])
        found = [reply for key, reply in self.replies.items() if key in content]
        text, confidence = found[0] if found else ("not stated", 0.9)
        num_pages = sum(len(pages or ()) for pages in request.pages)
        yield Progress(num_pages, 0, 0, 0), TextDelta(text)
        yield (Answer(text, "stop", (1,), Usage(100, 2, 80, 0, 90), Timings(), num_pages, confidence=confidence),)


def run(test: Test, **replies: tuple[str, float]) -> None:
    decoder = ReadingDecoder(replies={key.encode(): reply for key, reply in replies.items()})

    async def in_service() -> None:
        async with serving(decoder) as client:
            decoder.requests.clear()
            await test(client, decoder)

    asyncio.run(asyncio.wait_for(in_service(), 300))


def about(collection_id: str, question: str, *, rounds: int = 1, **tool: Any) -> dict[str, Any]:
    search = {"type": "file_search", "vector_store_ids": [collection_id], **tool}
    messages = [{"role": "user", "content": question}]
    return {**QUESTION, "messages": messages, "tools": [search], "glyph": {"search_rounds": rounds}}


async def ask(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    completion: dict[str, Any] = answer.json()
    return completion


def test_only_the_pages_that_were_found_are_read() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, ids = await a_collection(client, CONTRACT, CHINESE)
        await settled(client, collection_id)
        completion = await ask(client, about(collection_id, "What is the monthly fee?"))
        [request] = decoder.requests
        assert [(document.name, await document.content) for document in request.documents] == [("0.txt", CONTRACT)]
        [[page]] = request.pages
        assert page > 0
        assert request.messages[-1].documents == (0,)
        [told] = completion["glyph"]["file_search"]
        assert (told["query"], told["answer"], told["confidence"]) == ("What is the monthly fee?", "400 crowns", 0.8)
        assert [(p["file_id"], p["filename"], p["page"]) for p in told["pages"]] == [(ids[0], "0.txt", page + 1)]

        decoder.requests.clear()
        body = {**about(collection_id, "甲方和 crowns"), "stream": True}
        lines = (await client.post("/v1/chat/completions", json=body)).text.split("\n\n")
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
        [request] = decoder.requests
        assert sorted(document.name for document in request.documents) == ["0.txt", "1.txt"]
        assert len(request.pages) == 2
        assert len(chunks[-1]["glyph"]["file_search"][0]["pages"]) == 2

    run(test, monthly=("400 crowns", 0.8))


def test_a_document_beside_the_collection_is_read_whole() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, _ = await a_collection(client, CONTRACT)
        await settled(client, collection_id)
        body = about(collection_id, "")
        body["messages"][0]["content"] = [
            {"type": "file", "file": {"file_data": "YmVzaWRl", "filename": "beside.txt"}},
            {"type": "text", "text": "What is the fee?"},
        ]
        await ask(client, body)
        [request] = decoder.requests
        assert [document.name for document in request.documents] == ["beside.txt", "0.txt"]
        assert request.pages[0] is None
        assert request.pages[1] is not None
        assert request.messages[-1].documents == (0, 1)

    run(test)


def test_nothing_that_fits_is_a_question_without_documents() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, _ = await a_collection(client, CONTRACT)
        await settled(client, collection_id)
        completion = await ask(client, about(collection_id, "Wer?", rounds=3))
        assert decoder.requests[0].documents == ()
        assert completion["glyph"]["file_search"] == [
            {"query": "Wer?", "pages": [], "answer": "not stated", "confidence": 0.9}
        ]

    run(test)


def test_a_round_that_is_refused_costs_no_answer() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        decoder.max_rounds = 1
        collection_id, _ = await a_collection(client, FALCON, ALBRIGHT, CONTRACT)
        await settled(client, collection_id)
        question = about(collection_id, "What does Acme pay for?", rounds=3, max_num_results=2)
        completion = await ask(client, question)
        assert completion["choices"][0]["message"]["content"] == "Falcon"
        assert completion["glyph"]["warnings"] == ["a further round was refused: the service is full"]
        assert [round["answer"] for round in completion["glyph"]["file_search"]] == ["Falcon", None]
        assert_error(await client.post("/v1/chat/completions", json=question), 429, "overloaded")  # the first one

    run(test, Acme=("Falcon", 0.9))


def test_an_answer_is_what_is_looked_up_next() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, ids = await a_collection(client, FALCON, ALBRIGHT, CONTRACT)
        await settled(client, collection_id)
        question = "What does Acme pay for?"
        completion = await ask(client, about(collection_id, question, rounds=3, max_num_results=2))
        told = completion["glyph"]["file_search"]
        assert [(round["query"], round["answer"]) for round in told] == [
            (question, "Falcon"), ("Falcon", "Ruth Albright"),
        ]  # fmt: skip
        assert [[page["file_id"] for page in round["pages"]] for round in told] == [[ids[0]], [ids[1]]]
        assert [[document.name for document in request.documents] for request in decoder.requests] == [
            ["0.txt"], ["0.txt", "1.txt"],
        ]  # fmt: skip
        assert completion["choices"][0]["message"]["content"] == "Ruth Albright"
        assert completion["usage"]["prompt_tokens"] == 200
        assert "2 rounds" in completion["glyph"]["warnings"][-1]
        once = await ask(client, about(collection_id, question, max_num_results=2))
        assert once["choices"][0]["message"]["content"] == "Falcon"

    run(test, led=("Ruth Albright", 0.9), Acme=("Falcon", 0.7))


def test_where_nothing_is_told_the_next_pages_are_read() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        contents = [f"fee fee fee of {n}".encode() for n in range(4)] + [b"a fee of three hundred crowns, once only"]
        collection_id, _ = await a_collection(client, *contents)
        await settled(client, collection_id)
        completion = await ask(client, about(collection_id, "fee?", rounds=3, max_num_results=2))
        told = completion["glyph"]["file_search"]
        assert [round["answer"] for round in told] == ["not stated", "not stated", "300"]
        read = [page["file_id"] for round in told for page in round["pages"]]
        assert len(read) == len(set(read)) == 5
        assert [request.messages[-1].text for request in decoder.requests] == ["fee?"] * 3
        assert completion["choices"][0]["message"]["content"] == "300"

    run(test, hundred=("300", 0.4))


def test_rounds_in_a_stream_show_the_answer_once() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, _ = await a_collection(client, FALCON, ALBRIGHT)
        await settled(client, collection_id)
        body = {**about(collection_id, "What does Acme pay for?", rounds=3, max_num_results=2), "stream": True}
        lines = (await client.post("/v1/chat/completions", json=body)).text.split("\n\n")
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
        assert text == "Ruth Albright"
        assert len(chunks[-1]["glyph"]["file_search"]) == 2

    run(test, led=("Ruth Albright", 0.9), Acme=("Falcon", 0.7))


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"tools": [{"type": "function", "function": {}}]}, 400, "tools.0.type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, 400, "tools.0.vector_store_ids"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_nowhere"]}]}, 404, "vector_store_id"),
        ({"glyph": {"search_rounds": 4}}, 400, "glyph.search_rounds"),
        ({"glyph": {"preset": "readable"}}, 400, "glyph.preset"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], status: int, param: str) -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        collection_id, _ = await a_collection(client)
        answer = await client.post("/v1/chat/completions", json={**about(collection_id, "What?"), **fields})
        assert_error(answer, status, "not_found" if status == 404 else "invalid_request", param)
        assert decoder.requests == []

    run(test)


def test_no_tool_is_used_where_none_is_to_be() -> None:
    async def test(client: httpx.AsyncClient, decoder: ReadingDecoder) -> None:
        completion = await ask(client, {**about("vs_nowhere", "What?"), "tool_choice": "none"})
        assert "file_search" not in completion["glyph"]

    run(test)
