"""Readers that stop or leave, and replicas that die: on a real Serve, with stages of fixed cost."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import ray

from deployments.cli_status import fetch_status
from deployments.credits import pull_ranges
from deployments.protocol import DocumentRef
from glyph_core.config import CreditConfig
from glyph_core.types import digest_of
from tests.deployments.fake_renderer import SLOW_DOCUMENT, SLOW_PLAN_S
from tests.deployments.fakes import range_of
from tests.deployments.serving import FAKE_ANSWER, FREED_S, App, ServeInstance, wait_until

pytestmark = pytest.mark.serve

CREDITS = CreditConfig()
LEAVES_S = 4.0  # a client that waits no longer
MB = 1024**2


def question(num_pages: int, **fields: Any) -> dict[str, Any]:
    """About a fake document of so many pages."""
    content = base64.b64encode(str(num_pages).encode()).decode()
    parts = [{"type": "file", "file": {"file_data": content}}, {"type": "text", "text": "What?"}]
    return {"model": "tiny", "messages": [{"role": "user", "content": parts}], **fields}


def ask(app: App, num_pages: int) -> str:
    response = httpx.post(f"{app.url}/v1/chat/completions", json=question(num_pages), timeout=120)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def test_the_first_health_says_that_it_is_starting(first_health: httpx.Response, fake_app: App) -> None:
    assert first_health.status_code == 503
    assert first_health.json()["status"] == "starting"
    health = httpx.get(f"{fake_app.url}/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "ready")


def test_pages_never_touch_the_gateway(fake_app: App) -> None:
    """120 MB of pixels and 300 MB of features pass from stage to stage."""
    ask(fake_app, 8)
    [gateway] = fake_app.replicas("Gateway")
    before = gateway.memory_info().rss
    num_rendered = fake_app.num_pages_rendered()
    assert ask(fake_app, 300) == FAKE_ANSWER
    assert fake_app.num_pages_rendered() == num_rendered + 300
    assert gateway.memory_info().rss - before < 5 * MB


def test_a_reader_that_stops_leaves_at_most_the_credit_window_rendered(fake_app: App) -> None:
    num_before = fake_app.num_pages_rendered()

    async def read_twenty() -> None:
        content = b"300"
        document = DocumentRef("300 pages", digest_of(content), len(content), ray.put(content))
        ranges = range_of(300, document).cut(CREDITS.pages_per_encode_call)
        issue = fake_app.handle("Encoder").encode_range.options(stream=True).remote
        pages = pull_ranges(ranges, issue, max_calls=CREDITS.encode_calls, stage="encoder")
        async with aclosing(pages):
            for index in range(20):
                assert (await anext(pages)).plan.page_index == index
            await asyncio.sleep(1.5)  # all 300 would be through
            num_rendered = await asyncio.to_thread(fake_app.num_pages_rendered) - num_before
            assert 20 <= num_rendered <= 20 + CREDITS.encode_calls * CREDITS.pages_per_encode_call

    asyncio.run(read_twenty())
    wait_until(fake_app.renders_nothing, FREED_S)


def gateway_says_left(instance: ServeInstance) -> list[dict[str, Any]]:
    lines = instance.log_lines("fakes", "Gateway")
    return [line for line in lines if line.get("outcome") == "left"]


def test_leaving_in_the_middle_of_the_upload_frees_its_room(serve_instance: ServeInstance, fake_app: App) -> None:
    num_before = len(gateway_says_left(serve_instance))
    url = httpx.URL(f"{fake_app.url}/v1/chat/completions")
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {MB}\r\n\r\n"
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode() + b"x" * (MB // 2))
        wait_until(lambda: fetch_status(fake_app.url)["requests"]["open"] == 1, 20)
    wait_until(lambda: fetch_status(fake_app.url)["requests"]["open"] == 0, FREED_S)
    wait_until(lambda: len(gateway_says_left(serve_instance)) > num_before, 20)


def test_leaving_while_a_document_is_planned_frees_the_decoder(fake_app: App) -> None:
    content = base64.b64encode(SLOW_DOCUMENT).decode()
    body = question(1)
    body["messages"][0]["content"][0]["file"]["file_data"] = content
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(httpx.post, f"{fake_app.url}/v1/chat/completions", json=body, timeout=LEAVES_S)
        wait_until(lambda: not fake_app.is_idle(), LEAVES_S)
        with pytest.raises(httpx.ReadTimeout):
            asking.result()
    wait_until(fake_app.is_idle, SLOW_PLAN_S - LEAVES_S)


def test_leaving_in_the_middle_of_prefill_frees_everything(fake_app: App) -> None:
    num_before = fake_app.num_pages_rendered()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{fake_app.url}/v1/chat/completions", json=question(2000), timeout=LEAVES_S)
    wait_until(fake_app.is_idle, FREED_S)
    wait_until(fake_app.renders_nothing, FREED_S)
    assert 0 < fake_app.num_pages_rendered() - num_before < 2000


def test_leaving_a_stream_in_the_middle_frees_everything(fake_app: App) -> None:
    body = question(3, stream=True)
    with httpx.stream("POST", f"{fake_app.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = (line for line in response.iter_lines() if '"content":' in line)
        assert next(lines)
        assert next(lines)
        assert not fake_app.is_idle()
    wait_until(fake_app.is_idle, FREED_S)


def test_leaving_the_real_engine_in_the_middle_frees_its_blocks(tiny_app: App) -> None:
    text = base64.b64encode(b"The parties agree. " * 300).decode()
    parts = [{"type": "file", "file": {"file_data": text}}, {"type": "text", "text": "Sum it up."}]
    body = {"model": "tiny", "messages": [{"role": "user", "content": parts}], "stream": True, "temperature": 2.0,
            "seed": 1}  # fmt: skip
    with httpx.stream("POST", f"{tiny_app.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = (line for line in response.iter_lines() if '"content":' in line)
        assert next(lines)
        assert next(lines)
        engine = tiny_app.decoder_stats().engine
        assert engine.num_free_blocks < engine.num_blocks
    wait_until(tiny_app.is_idle, FREED_S)


def test_a_renderer_that_is_killed_in_the_middle_is_unseen(fake_app: App) -> None:
    wait_until(lambda: len(fake_app.replicas("Renderer")) == 2, 60)
    num_before = fake_app.num_pages_rendered()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(ask, fake_app, 200)
        wait_until(lambda: fake_app.num_pages_rendered() > num_before + 20, 30)
        fake_app.replicas("Renderer")[0].kill()
        assert answer.result() == FAKE_ANSWER
    wait_until(lambda: len(fake_app.replicas("Renderer")) == 2, 60)


def test_a_decoder_that_is_killed_in_the_middle_ends_the_stream_with_an_error(fake_app: App) -> None:
    body = question(3, stream=True)
    with httpx.stream("POST", f"{fake_app.url}/v1/chat/completions", json=body, timeout=60) as response:
        events = (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))
        assert "assistant" in next(events)
        assert "content" in next(events)
        fake_app.replicas("Decoder")[0].kill()
        *_, last = events
    assert json.loads(last)["error"]["code"] == "stage_failed"
    assert "decoder" in json.loads(last)["error"]["message"]
    wait_until(lambda: httpx.get(f"{fake_app.url}/healthz", timeout=10).status_code == 200, 60)
    assert ask(fake_app, 3) == FAKE_ANSWER


def test_a_decoder_that_is_killed_before_the_first_word_is_replaced_unseen(fake_app: App) -> None:
    num_before = fake_app.num_pages_rendered()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(ask, fake_app, 300)
        wait_until(lambda: fake_app.num_pages_rendered() > num_before + 20, 30)
        fake_app.replicas("Decoder")[0].kill()
        assert answer.result() == FAKE_ANSWER
    fake_app.wait_healthy()


def test_a_gateway_that_is_killed_says_no_end_and_what_its_requests_held_is_free(tiny_app: App) -> None:
    """The answer would go on for a minute, for nobody."""
    text = base64.b64encode(b"The parties agree. " * 300).decode()
    parts = [{"type": "file", "file": {"file_data": text}}, {"type": "text", "text": "Sum it up."}]
    body = {"model": "tiny", "messages": [{"role": "user", "content": parts}], "stream": True, "temperature": 2.0,
            "seed": 1}  # fmt: skip
    lines: list[str] = []
    with httpx.stream("POST", f"{tiny_app.url}/v1/chat/completions", json=body, timeout=60) as response:
        coming = response.iter_lines()
        while not any('"content":"' in line and '"content":""' not in line for line in lines):
            lines.append(next(coming))
        tiny_app.replicas("Gateway")[0].kill()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            lines.extend(coming)  # keeps those before the connection's end
    assert "data: [DONE]" not in lines
    wait_until(tiny_app.is_idle, FREED_S)
    tiny_app.wait_healthy()
