"""The routes, before a decoder that says what it is told to."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from deployments import readiness
from deployments.access import AccessConfig
from deployments.admission import Conversation
from deployments.entrance import OverloadConfig
from deployments.gateway import Gateway
from deployments.openai_types import ChatRequest
from deployments.renderer import LoadedRenderer, Renderer
from glyph_core.config import LimitConfig, PipelineConfig, StoreConfig
from glyph_core.errors import EmptyDocumentError, OverloadedError, StageError
from glyph_core.model.token_counter import TokenCount
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, Progress, TextDelta, Timings, Usage
from tests.deployments.fakes import ScriptedDecoder
from tests.deployments.local import FakeServeSide, LocalHandle, Stored

ANSWER = Answer(
    text="42 days",
    reasoning="hm",
    finish_reason="stop",
    token_ids=(1, 2, 3),
    usage=Usage(100, 3, 80, 16, 240, text_tokens_estimated=True),
    timings=Timings(0.001, 0.02, 0.03, 0.1, 0.005, 0.2),
    num_pages=2,
    confidence=0.9,
    warnings=("1 character has no glyph",),
)
ONE_WINDOW = {"windows": 1, "windows_read": 0, "reading": "windows"}
EVENTS = [Progress(2, 0, 0, 0), TextDelta("hm", is_reasoning=True), TextDelta("42 "), Progress(2, 2, 2, 2),
          TextDelta("days"), ANSWER]  # fmt: skip
QUESTION = {"model": "glyph-mini", "messages": [{"role": "user", "content": "What?"}]}
Test = Callable[[httpx.AsyncClient, ScriptedDecoder], Awaitable[None]]


@asynccontextmanager
async def serving(
    decoder: ScriptedDecoder,
    limits: LimitConfig | None = None,
    *,
    access: AccessConfig | None = None,
    overload: OverloadConfig | None = None,
    store: StoreConfig | None = None,
    warm_up: bool = True,
) -> AsyncIterator[httpx.AsyncClient]:
    store = store or StoreConfig(path=tempfile.mkdtemp(dir=os.environ["XDG_DATA_HOME"]))
    loaded = LoadedRenderer(PageRenderer, lambda text: TokenCount(len(text) // 4, estimated=True))
    gateway = Gateway(
        LocalHandle(decoder),
        LocalHandle(Renderer(lambda: loaded, pages_per_message=2)),
        PipelineConfig(limits=limits or LimitConfig()),
        access or AccessConfig(),
        overload or OverloadConfig(),
        store,
        serve_side=FakeServeSide(),
        put=Stored,
    )
    api = gateway.__serve_build_asgi_app__()
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with gateway.lifespan(api), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        while warm_up and (await client.get("/healthz")).status_code != 200:
            await asyncio.sleep(0.001)
        yield client


def run(test: Test, events: list[Any] | None = None, **limits: int) -> ScriptedDecoder:
    decoder = ScriptedDecoder([ANSWER])

    async def in_service() -> None:
        async with serving(decoder, LimitConfig(**limits)) as client:
            decoder.events = EVENTS if events is None else events
            decoder.requests.clear()
            await test(client, decoder)

    asyncio.run(asyncio.wait_for(in_service(), 20))
    return decoder


def chunks_of(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def assert_error(response: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    return str(error["message"])


def test_models() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        models = (await client.get("/v1/models")).json()
        assert models["object"] == "list"
        assert [model["id"] for model in models["data"]] == ["glyph-mini"]
        assert (await client.get("/v1/models/glyph-mini")).json() == models["data"][0]
        assert_error(await client.get("/v1/models/zai-org/Glyph"), 404, "model_not_found", "model")

    run(test)


def test_a_whole_completion() -> None:
    async def test(client: httpx.AsyncClient, decoder: ScriptedDecoder) -> None:
        completion = (await client.post("/v1/chat/completions", json=QUESTION)).json()
        assert completion["id"] == decoder.requests[0].request_id
        assert completion["object"] == "chat.completion"
        assert completion["model"] == "glyph-mini"
        message = {
            "role": "assistant", "content": "42 days", "refusal": None, "annotations": [], "reasoning_content": "hm",
        }  # fmt: skip
        assert completion["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
        assert completion["usage"] == {
            "prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103,
            "prompt_tokens_details": {
                "cached_tokens": 16, "visual_tokens": 80, "text_tokens_equivalent": 240, "estimated": True,
            },
        }  # fmt: skip
        assert completion["glyph"] == {
            "pages": 2, "compression_ratio": 3.0, "confidence": 0.9,
            "confidence_is_calibrated": False, "citations": [], "grounding": None,
            "warnings": ["1 character has no glyph"],
            "timings": {"render_ms": 1.0, "encode_ms": 20.0, "prefill_ms": 30.0, "ttft_ms": 100.0, "tpot_ms": 5.0,
                        "e2e_ms": 200.0, "overlap": 0.51},
        }  # fmt: skip

    run(test)


def test_documents_go_into_the_store_and_their_references_on() -> None:
    async def test(client: httpx.AsyncClient, decoder: ScriptedDecoder) -> None:
        part = {"type": "file", "file": {"file_data": base64.b64encode(b"text").decode(), "filename": "a.txt"}}
        message = {"role": "user", "content": [part, {"type": "text", "text": "What?"}]}
        await client.post("/v1/chat/completions", json={**QUESTION, "messages": [message]})
        [document] = decoder.requests[0].documents
        assert (document.name, document.num_bytes, await document.content) == ("a.txt", 4, b"text")

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_of_a_request_that_the_decoder_has_only_the_store_keeps_the_documents(stream: bool) -> None:
    async def test(client: httpx.AsyncClient, decoder: ScriptedDecoder) -> None:
        part = {"type": "file", "file": {"file_data": base64.b64encode(b"text").decode(), "filename": "a.txt"}}
        message = {"role": "user", "content": [part, {"type": "text", "text": "What?"}]}
        body = {**QUESTION, "messages": [message], "stream": stream}
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        while not decoder.requests:
            await asyncio.sleep(0.01)
        assert not [one for one in gc.get_objects() if type(one) in (ChatRequest, Conversation)]
        assert (await asking).status_code == 200

    run(test, [0.3, ANSWER])


def test_a_stream() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        body = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
        response = await client.post("/v1/chat/completions", json=body)
        assert response.headers["x-accel-buffering"] == "no"
        *chunks, usage, done = chunks_of(response)
        assert done == "[DONE]"
        assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
            {"role": "assistant", "content": ""}, {"reasoning_content": "hm"}, {"content": "42 "},
            {"content": "days"}, {},
        ]  # fmt: skip
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + ["stop"]
        assert len({chunk["id"] for chunk in (*chunks, usage)}) == 1
        assert all(chunk["usage"] is None for chunk in chunks)
        assert usage["choices"] == []
        assert usage["usage"]["total_tokens"] == 103
        assert chunks[-1]["glyph"]["pages"] == 2

    run(test)


def test_a_stream_with_progress() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        body = {**QUESTION, "stream": True, "glyph": {"progress": True}}
        chunks = chunks_of(await client.post("/v1/chat/completions", json=body))
        progress = [chunk["glyph"]["progress"] for chunk in chunks[:-2] if not chunk["choices"]]
        assert progress == [
            {"pages": 2, "pages_rendered": 0, "pages_encoded": 0, "completion_tokens": 0, **ONE_WINDOW},
            {"pages": 2, "pages_rendered": 2, "pages_encoded": 2, "completion_tokens": 2, **ONE_WINDOW},
        ]
        assert "usage" not in chunks[0]

    run(test)


def test_a_stream_says_that_it_lives_in_comments_that_openais_client_passes_over() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        response = await client.post("/v1/chat/completions", json={**QUESTION, "stream": True})
        assert response.text.count(": still at work\n\n") == 2
        read = openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=client)
        stream = await read.chat.completions.create(model="glyph-mini", messages=QUESTION["messages"], stream=True)  # type: ignore[call-overload]
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "42 days"
        whole = await client.post("/v1/chat/completions", json=QUESTION)
        assert whole.json()["choices"][0]["message"]["content"] == "42 days"

    run(test, [None, EVENTS[0], None, None, *EVENTS[1:]])


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_after_signs_of_life_alone_is_a_status(stream: bool) -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        response = await client.post("/v1/chat/completions", json={**QUESTION, "stream": stream})
        assert_error(response, 400, "empty_document", "messages")

    run(test, [None, None, EmptyDocumentError("nothing to read", param="messages")])


def test_a_text_that_comes_with_the_answer_only_is_streamed_too() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        chunks = chunks_of(await client.post("/v1/chat/completions", json={**QUESTION, "stream": True}))
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]
        assert deltas == [{"reasoning_content": "hm"}, {"content": "42 days"}, {}]

    run(test, [EVENTS[0], ANSWER])


def test_an_error_in_the_middle_of_a_stream_is_its_last_event() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        response = await client.post("/v1/chat/completions", json={**QUESTION, "stream": True})
        assert response.status_code == 200
        *_, last = chunks_of(response)
        assert last == {"error": {"message": "it died", "type": "server_error", "code": "stage_failed", "param": None}}

    run(test, [*EVENTS[:3], StageError("it died")])


@pytest.mark.parametrize("events", [[], EVENTS[:1], EVENTS[:3]], ids=["at once", "after progress", "in the middle"])
def test_a_decoder_that_ends_without_its_answer_is_no_end_of_a_stream(events: list[Any]) -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        assert_error(await client.post("/v1/chat/completions", json=QUESTION), 502, "stage_failed")
        *_, last = chunks_of(await client.post("/v1/chat/completions", json={**QUESTION, "stream": True}))
        assert last["error"]["code"] == "stage_failed"

    run(test, events)


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_first_event_is_a_status(stream: bool) -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        response = await client.post("/v1/chat/completions", json={**QUESTION, "stream": stream})
        assert assert_error(response, 400, "empty_document", "messages") == "nothing to read"

    run(test, [EmptyDocumentError("nothing to read", param="messages")])


def test_an_error_of_a_whole_completion_is_a_status_at_any_time() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        assert_error(await client.post("/v1/chat/completions", json=QUESTION), 429, "overloaded")

    run(test, [*EVENTS[:3], OverloadedError("full")])


def test_requests_that_are_at_fault() -> None:
    async def test(client: httpx.AsyncClient, decoder: ScriptedDecoder) -> None:
        post = lambda **fields: client.post("/v1/chat/completions", json={**QUESTION, **fields})  # noqa: E731
        assert_error(await post(model="gpt-4"), 404, "model_not_found", "model")
        assert_error(await post(temperature=-1), 400, "invalid_request", "temperature")
        assert_error(await post(max_tokens=3_000_000_000), 400, "context_length_exceeded", "max_tokens")
        assert_error(await post(functions=[{}]), 400, "invalid_request", "functions")
        assert_error(await client.post("/v1/chat/completions", content=b"no json"), 400, "invalid_request")
        assert_error(await client.get("/v1/chat/completions"), 405, "not_found")
        assert_error(await client.get("/v1/embeddings"), 404, "not_found")
        assert decoder.requests == []

    run(test)


def test_a_body_over_the_limit_is_refused_while_it_is_read() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        num_sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal num_sent
            for _ in range(1000):
                num_sent += 1
                yield b" " * 100

        assert_error(await client.post("/v1/chat/completions", content=body()), 413, "document_too_large")
        assert num_sent == 11
        announced = await client.post("/v1/chat/completions", content=b" " * 1001)
        assert_error(announced, 413, "document_too_large")

    run(test, max_request_bytes=1000)


def test_a_fault_of_ours_has_openais_form() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        message = assert_error(await client.post("/v1/chat/completions", json=QUESTION), 500, "internal_error")
        assert "division" not in message

    run(test, [ZeroDivisionError("division by zero")])


def test_health_tells_of_the_stages() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        assert (await client.head("/healthz")).status_code == 200
        health = (await client.get("/healthz")).json()
        assert (health["status"], health["model"]) == ("ready", "glyph-mini")
        assert health["stages"]["decoder"] == {"device": "cpu", "dtype": "float32"}
        assert {"glyph-serve", "ray", "torch"} <= set(health["versions"])
        assert health["fallbacks"] == ["decoder: no Triton: sdpa instead"]

    run(test)


def test_the_address_alone_leads_to_the_page_or_says_that_there_is_none() -> None:
    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        led = await client.get("/")
        assert (led.status_code, led.headers["location"]) == (307, "gradio")
        # Serve gives the page's application what comes for it; only where there is none does it come here.
        assert "no page here" in assert_error(await client.get("/gradio"), 404, "not_found")

    run(test)


def test_work_in_the_background_that_ends_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("deployments.gateway.keep_swept", broken)
    monkeypatch.setattr(logging.getLogger("ray.serve"), "propagate", True)

    async def test(client: httpx.AsyncClient, _: ScriptedDecoder) -> None:
        told = (await client.get("/healthz")).json()["fallbacks"][0]
        assert told.startswith("gateway: no sweeping of the store: it ended by ZeroDivisionError")
        lines = [line for line in caplog.records if line.levelno == logging.ERROR]
        assert {line.getMessage() for line in lines} == {"the sweeping of the store ended by ZeroDivisionError"}
        assert all(line.exc_info for line in lines)

    run(test)


def test_nothing_is_ready_before_the_chain_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "WARM_UP_RETRY_S", 0.01)
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.05)

    async def test() -> None:
        decoder = ScriptedDecoder([StageError("the encoder died")])
        async with serving(decoder, warm_up=False) as client:
            await asyncio.sleep(0.05)
            health = await client.get("/healthz")
            assert health.status_code == 503
            assert health.json()["status"] == "starting"
            assert "the encoder died" in health.json()["message"]
            refused = await client.post("/v1/chat/completions", json=QUESTION)
            assert_error(refused, 503, "not_ready")
            assert refused.headers["Retry-After"] == "5"
            decoder.events = [ANSWER]
            await asyncio.sleep(0.05)
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_request_waits_for_a_gateway_that_has_only_just_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "WARM_UP_RETRY_S", 0.01)

    async def test() -> None:
        decoder = ScriptedDecoder([StageError("the encoder is not up yet")])
        async with serving(decoder, warm_up=False) as client:
            early = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
            await asyncio.sleep(0.05)
            assert not early.done()
            decoder.events = [ANSWER]
            assert (await early).status_code == 200

    asyncio.run(asyncio.wait_for(test(), 20))


@pytest.mark.parametrize("module", ["deployments.gateway", "deployments.renderer"])
def test_a_stage_without_tensors_imports_no_torch(module: str) -> None:
    script = f"import sys, {module}; sys.exit(bool({{'torch', 'transformers'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], timeout=120, check=False).returncode == 0
