"""Around the routes: keys, limits, deadlines, the line in the log and the live picture, before a scripted decoder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments import metrics
from deployments.access import AccessConfig
from deployments.entrance import OverloadConfig
from deployments.gateway import Gateway
from deployments.visits import Visits
from glyph_core.config import PipelineConfig, StoreConfig
from glyph_core.errors import ConfigError, EmptyDocumentError, StageError
from tests.deployments.fakes import ScriptedDecoder
from tests.deployments.local import FakeServeSide, LocalHandle
from tests.deployments.test_http_api import ANSWER, EVENTS, QUESTION, assert_error, chunks_of, serving

KEY = "sk-0123456789abcdef"
CHAT = "/v1/chat/completions"
Visit = Callable[[httpx.AsyncClient], Awaitable[None]]
Lines = Callable[[], list[logging.LogRecord]]


def run(visit: Visit, events: list[Any] | None = None, overload: dict[str, Any] | None = None, **access: Any) -> None:
    async def in_service() -> None:
        decoder = ScriptedDecoder([ANSWER])
        config = AccessConfig.model_validate(access)
        async with serving(decoder, access=config, overload=OverloadConfig(**overload or {})) as client:
            decoder.events = EVENTS if events is None else events
            await visit(client)

    asyncio.run(asyncio.wait_for(in_service(), 20))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    file = tmp_path / "keys"
    file.write_text(f"ana: {KEY}\nbob: {KEY[::-1]}\n")
    return str(file)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The log of the service; Serve's logger gives nothing on to others."""
    caplog.set_level(logging.DEBUG, "ray.serve")
    monkeypatch.setattr(logging.getLogger("ray.serve"), "propagate", True)
    return lambda: caplog.records


def the_line(lines: Lines) -> Any:
    [line] = [line for line in lines() if line.name == "ray.serve.glyph"]
    return line


def test_with_keys_nobody_else_comes_in_but_to_healthz(keys_file: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/status"), ("GET", "/nowhere")):
            for headers in ({}, bearer(KEY + "x")):
                response = await client.request(method, path, headers=headers)
                assert_error(response, 401, "invalid_api_key")
                assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/v1/models", headers=bearer(KEY))).status_code == 200
        assert (await client.post(CHAT, json=QUESTION, headers=bearer(KEY))).status_code == 200

    run(visit, keys_file=keys_file)


def test_a_refused_visitors_body_is_not_read(keys_file: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        async def body() -> Any:
            raise AssertionError("read")
            yield b""

        assert_error(await client.post(CHAT, content=body()), 401, "invalid_api_key")

    run(visit, keys_file=keys_file)


def test_a_key_over_its_rate_is_told_when_to_come_back(keys_file: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, json=QUESTION, headers=bearer(KEY))).status_code == 200
        response = await client.post(CHAT, json=QUESTION, headers=bearer(KEY))
        assert "ana" in assert_error(response, 429, "rate_limit_exceeded")
        assert 28 <= int(response.headers["Retry-After"]) <= 30
        assert (await client.get("/v1/models", headers=bearer(KEY))).status_code == 200  # costs nothing
        assert (await client.post(CHAT, json=QUESTION, headers=bearer(KEY[::-1]))).status_code == 200

    run(visit, keys_file=keys_file, requests_per_minute=2, burst=1)


@pytest.mark.parametrize("stream", [False, True])
def test_room_is_taken_until_the_last_byte_and_then_given_back(stream: bool) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post(CHAT, json={**QUESTION, "stream": stream}))
        await asyncio.sleep(0.1)
        response = await client.post(CHAT, json=QUESTION)
        assert_error(response, 429, "overloaded")
        assert response.headers["Retry-After"] == "1"
        assert (await first).status_code == 200
        assert (await client.post(CHAT, json=QUESTION)).status_code == 200

    run(visit, [EVENTS[0], 0.3, ANSWER], overload={"max_open_requests": 1})


def test_room_is_given_back_by_a_client_that_leaves(lines: Lines) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        leaving = asyncio.create_task(client.post(CHAT, json=QUESTION))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        assert the_line(lines).outcome == "left"
        assert (await client.get("/status")).json()["requests"] == {"open": 0, "max_open": 1}

    run(visit, [EVENTS[0], 30.0, ANSWER], overload={"max_open_requests": 1})


@pytest.mark.parametrize("events", [[30.0], [EVENTS[0], 30.0]], ids=["before the first event", "in the middle"])
def test_a_deadline_is_a_504(events: list[Any], lines: Lines) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        response = await client.post(CHAT, json={**QUESTION, "glyph": {"timeout_s": 0.2}})
        assert "0.2 s" in assert_error(response, 504, "timeout")
        assert (the_line(lines).outcome, the_line(lines).error_code) == ("expired", "timeout")

    run(visit, events)


def test_a_deadline_in_a_stream_is_its_last_event() -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        response = await client.post(CHAT, json={**QUESTION, "stream": True, "glyph": {"timeout_s": 0.2}})
        *_, last = chunks_of(response)
        assert last["error"]["code"] == "timeout"

    run(visit, [*EVENTS[:3], 30.0])


def test_the_services_own_deadline_holds_without_one_and_above_it() -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        assert_error(await client.post(CHAT, json=QUESTION), 504, "timeout")
        asked = await client.post(CHAT, json={**QUESTION, "glyph": {"timeout_s": 5}})
        assert_error(asked, 400, "invalid_request", "glyph.timeout_s")

    run(visit, [30.0], overload={"timeout_s": 0.2})


def test_an_answer_is_one_line_without_a_word_of_it(lines: Lines) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        answer_id = (await client.post(CHAT, json={**QUESTION, "stream": True})).text.split('"id":"')[1].split('"')[0]
        line = the_line(lines)
        assert (line.outcome, line.http_status, line.answer_id, line.stream) == ("answered", 200, answer_id, True)
        assert (line.pages, line.prompt_tokens, line.cached_tokens, line.completion_tokens) == (2, 100, 16, 3)
        assert not [value for value in vars(line).values() if "42 days" in str(value) or "What?" in str(value)]

    run(visit)


@pytest.mark.parametrize(
    ("events", "outcome", "status", "level"),
    [([EmptyDocumentError("of Ana's", param="messages")], "refused", 400, "INFO"),
     ([StageError("it died")], "failed", 502, "ERROR"), ([ZeroDivisionError()], "failed", 500, "ERROR")],
    ids=["refused", "a stage's fault", "nobody's"],
)  # fmt: skip
def test_an_error_is_one_line(events: list[Any], outcome: str, status: int, level: str, lines: Lines) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json=QUESTION)
        line = the_line(lines)
        assert (line.outcome, line.http_status, line.levelname) == (outcome, status, level)
        assert "Ana's" not in line.getMessage()

    run(visit, events)


def test_keys_are_in_no_line(keys_file: str, lines: Lines) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for key in (KEY, KEY + "x"):
            await client.post(CHAT, json=QUESTION, headers=bearer(key))
        mine = [line for line in lines() if line.name == "ray.serve.glyph"]
        assert [line.caller for line in mine] == ["ana", "unknown"]  # type: ignore[attr-defined]
        assert not [line for line in lines() if KEY in str(vars(line))]

    run(visit, keys_file=keys_file)


def test_browsers_of_other_origins_are_served_where_told() -> None:
    asked = "authorization,content-type,x-stainless-arch,x-stainless-retry-count,x-stainless-runtime"  # by OpenAI's
    preflight = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }

    async def refused(client: httpx.AsyncClient) -> None:
        response = await client.options(CHAT, headers=preflight)
        assert "access-control-allow-origin" not in response.headers

    async def served(client: httpx.AsyncClient) -> None:
        response = await client.options(CHAT, headers=preflight)
        assert response.status_code == 200, response.text
        assert response.headers["access-control-allow-origin"] == "https://a.example"
        assert response.headers["access-control-allow-headers"] == asked
        other = await client.post(CHAT, json=QUESTION, headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers

    run(refused)
    run(served, cors_origins=["https://a.example"])


LOCAL_HOSTS = ("localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "glyph.localhost", "LOCALHOST")
OTHER_HOSTS = ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example", "[", "10.0.0.7")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/models", "/status"])
def test_without_keys_nobody_asks_by_a_name_that_was_made_to_lead_here(path: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for host in LOCAL_HOSTS:
            assert (await client.get(path, headers={"Host": host})).status_code == 200
        for host in OTHER_HOSTS:
            assert "API keys" in assert_error(await client.get(path, headers={"Host": host}), 403, "forbidden")
            assert (await client.get("/healthz", headers={"Host": host})).status_code == 200

    run(visit)


def test_without_keys_no_page_of_another_site_posts_anything() -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for origin in ("http://evil.example", "https://localhost.evil.example", "null"):
            response = await client.post(CHAT, json=QUESTION, headers={"Origin": origin})
            assert "cors_origins" in assert_error(response, 403, "forbidden")
        for origin in ("http://localhost:3000", "http://127.0.0.1:7860", "https://a.example"):
            assert (await client.post(CHAT, json=QUESTION, headers={"Origin": origin})).status_code == 200

    run(visit, cors_origins=["https://a.example"])


@pytest.mark.parametrize("told", ["keys", "allow_unauthenticated"])
def test_a_service_for_others_is_asked_by_any_name(keys_file: str, told: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        headers = {"Host": "glyph.example", "Origin": "https://glyph.example", **bearer(KEY)}
        assert (await client.post(CHAT, json=QUESTION, headers=headers)).status_code == 200

    run(visit, **({"keys_file": keys_file} if told == "keys" else {"allow_unauthenticated": True}))


def test_the_live_picture() -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for body in (QUESTION, {**QUESTION, "stream": True}, {**QUESTION, "model": "other"}):
            await client.post(CHAT, json=body)
        picture = (await client.get("/status")).json()
        assert (picture["status"], picture["model"]) == ("ready", "glyph-mini")
        assert picture["stages"]["renderer"]["replicas"] == {"RUNNING": 2, "STARTING": 1}
        assert picture["stages"]["decoder"] == {"device": "cpu", "memory": None, "replicas": {"RUNNING": 1}}
        last = picture["last_minute"]
        assert (last["answered"], last["refused"], last["failed"]) == (2, 1, 0)
        assert last["ttft_ms"] == {"p50": 100.0, "p95": 100.0}
        assert last["pages_per_s"] > 0
        decoder = picture["decoder"]
        assert (decoder["kv_blocks_used"], decoder["kv_blocks_cached"], decoder["kv_blocks_total"]) == (300, 320, 400)
        assert picture["encoder"]["mean_batch_pages"] == 3.5

    run(visit)


def test_every_metric_takes_the_tags_that_it_names() -> None:
    """Each metric can be recorded with the tags that it names."""
    for metric in metrics.ALL:
        tags = dict.fromkeys(metric.tags, "x")
        match metric:
            case metrics.Counter():
                metric.inc(1, **tags)
            case metrics.Gauge():
                metric.set(1, **tags)
            case metrics.Histogram():
                metric.observe(1, **tags)


class Exposed(FakeServeSide):
    def listening_host(self) -> str:
        return "0.0.0.0"


def test_a_gateway_that_other_machines_reach_does_not_start_without_keys(keys_file: str) -> None:
    """Under ``serve deploy`` nobody else looks at the address."""

    def start(access: AccessConfig) -> None:
        decoder = LocalHandle(ScriptedDecoder())
        Gateway(decoder, decoder, PipelineConfig(), access, OverloadConfig(), StoreConfig(), serve_side=Exposed())  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"0\.0\.0\.0"):
        start(AccessConfig())
    start(AccessConfig(keys_file=keys_file))
    start(AccessConfig(allow_unauthenticated=True))


def test_every_layer_of_the_app_is_inside_the_visits() -> None:
    """CORS alone stands outside; nothing else sees a request before its key was looked at."""

    async def visit(client: httpx.AsyncClient) -> None:
        api = client._transport.app  # type: ignore[attr-defined]
        assert [layer.cls for layer in api.user_middleware] == [Visits]

    run(visit)


def test_a_client_that_leaves_in_the_middle_of_the_upload_is_no_fault(lines: Lines) -> None:
    async def test() -> None:
        async with serving(ScriptedDecoder([ANSWER])) as client:
            gateway = client._transport.app  # type: ignore[attr-defined]
            arriving = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
            scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [], "query_string": b"",
                     "root_path": ""}  # fmt: skip

            async def receive() -> Any:
                return arriving.pop(0)

            async def send(message: Any) -> None:
                """Nobody is there to read it."""

            await gateway(scope, receive, send)
            line = the_line(lines)
            assert (line.outcome, line.http_status, line.body_bytes) == ("left", 499, 1)
            picture = (await client.get("/status")).json()
            assert picture["requests"]["open"] == 0

    asyncio.run(asyncio.wait_for(test(), 20))
