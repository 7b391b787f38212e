"""What an operator sees of a real Serve instance: metrics, logs and the live picture."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx
import pytest

from deployments import metrics
from deployments.cli_status import as_text, fetch_status
from tests.deployments.serving import FREED_S, MAX_OPEN, App, ServeInstance, wait_until

pytestmark = pytest.mark.serve

EXPORTED_S = 20.0  # replica to Ray's agent to Prometheus: two intervals of a second, on a busy machine


LONG_TALK = [{"role": "system", "content": "Be brief. " * 3000}, {"role": "user", "content": "What?"}]


def question(content: bytes, **fields: Any) -> dict[str, Any]:
    file = {"type": "file", "file": {"file_data": base64.b64encode(content).decode()}}
    messages = [{"role": "user", "content": [file, {"type": "text", "text": "What?"}]}]
    return {"model": "tiny", "messages": messages, **fields}


def ask(app: App, content: bytes, request_id: str, **fields: Any) -> httpx.Response:
    headers = {"X-Request-ID": request_id}
    url = f"{app.url}/v1/chat/completions"
    return httpx.post(url, json=question(content, **fields), headers=headers, timeout=120)


@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (b"PK\x03\x04 an archive of something", {}, 415, "unsupported_document"),
        (b" \n", {}, 400, "empty_document"),
        (b"word " * 700_000, {}, 413, "document_too_large"),
        (b"word", {"messages": LONG_TALK}, 400, "context_length_exceeded"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_refusal_is_one_line_and_no_traceback(
    serve_instance: ServeInstance, tiny_app: App, content: bytes, fields: dict[str, Any], status: int, code: str
) -> None:
    """Refused by the renderer's plan, by the gateway's limits, or by the decoder's context."""
    response = ask(tiny_app, content, f"refused-{code}", **fields)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)

    def lines_of_the_gateway() -> list[dict[str, Any]]:
        return serve_instance.own_lines("tiny", "Gateway", f"refused-{code}")

    wait_until(lines_of_the_gateway, 10)  # it is written after the last byte was sent
    [line] = lines_of_the_gateway()
    stages = ("Gateway", "Decoder", "Encoder", "Renderer")
    lines = [line for stage in stages for line in serve_instance.log_lines("tiny", stage)]
    assert not [line for line in lines if "exc_text" in line or "Traceback" in str(line)]
    assert (line["outcome"], line["http_status"], line["error_code"]) == ("refused", status, code)


def test_the_requests_id_stands_in_the_lines_of_all_stages(serve_instance: ServeInstance, fake_app: App) -> None:
    response = ask(fake_app, b"5", "my-own-id")
    assert response.headers["X-Request-ID"] == "my-own-id"
    answer_id = response.json()["id"]

    def lines_of(stage: str) -> list[dict[str, Any]]:
        return serve_instance.own_lines("fakes", stage, "my-own-id")

    wait_until(lambda: lines_of("Gateway"), 10)
    [gateway], [decoder], [encoder] = lines_of("Gateway"), lines_of("Decoder"), lines_of("Encoder")
    assert gateway["answer_id"] == decoder["answer_id"] == answer_id
    assert (gateway["outcome"], gateway["http_status"], gateway["pages"]) == ("answered", 200, 5)
    assert (encoder["message"], encoder["pages"]) == ("encodes", 5)
    renderer = lines_of("Renderer")
    assert sum(line["pages"] for line in renderer if line["message"] == "renders") == 5
    assert {line["deployment"] for line in renderer} == {"fakes_Renderer"}


def value_of(text: str, name: str, **tags: str) -> float:
    """The sum of a metric's series that have these tags."""
    total = 0.0
    for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
        found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if tags.items() <= found.items():
            assert {"deployment", "replica", "application"} <= found.keys(), found
            total += float(value)
    return total


def missing_in(text: str) -> set[str]:
    """The metrics of ours that are not there, but for those of which nothing has happened."""
    rare = {"glyph_preemptions_total", "glyph_cached_tokens_total", "glyph_pages_kept_total", "glyph_pages_waiting"}
    names = {name for metric in metrics.ALL for name in metric.prometheus_names}
    return {name for name in names - {f"ray_{name}" for name in rare} if f"\n{name}{{" not in text}


def test_prometheus_sees_every_stage(serve_instance: ServeInstance, fake_app: App, tiny_app: App) -> None:
    before = serve_instance.metrics()
    pages = value_of(before, "ray_glyph_pages_rendered_total", application="fakes")
    ask(fake_app, b"7", "counted")
    ask(tiny_app, b"Some words to count. " * 50, "counted too", max_tokens=8)
    ask(tiny_app, b"", "refused")

    def arrived() -> bool:
        """From each stage's process by itself."""
        text = serve_instance.metrics()
        rendered = value_of(text, "ray_glyph_pages_rendered_total", application="fakes") - pages
        refused = value_of(text, "ray_glyph_requests_total", application="tiny", status="400", code="empty_document")
        num_blocks = value_of(text, "ray_glyph_kv_blocks_total", application="tiny", deployment="Decoder")
        return rendered == 7 and refused >= 1 and num_blocks == 280 and not missing_in(text)

    wait_until(arrived, EXPORTED_S)
    text = serve_instance.metrics()
    assert value_of(text, "ray_glyph_requests_total", application="fakes", outcome="answered", deployment="Gateway") > 0


def test_the_live_picture_of_a_running_service(fake_app: App) -> None:
    fetch_status(fake_app.url)  # the first one makes connections, which can take longer than an answer
    num_before = fake_app.num_pages_rendered()
    body = question(b"2000", stream=True)
    with httpx.stream("POST", f"{fake_app.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        assert next(lines)
        wait_until(lambda: fake_app.num_pages_rendered() > num_before, 30)
        while not (picture := fetch_status(fake_app.url))["encoder"]["ranges_open"]:  # between two ranges there is none
            assert picture["requests"]["open"], "the request ended, and no range of it was ever open"
    [gateway] = fake_app.replicas("Gateway")
    assert not [part.path for part in gateway.memory_maps() if "torch" in part.path]  # 190 MB, for some numbers
    assert picture["requests"] == {"open": 1, "max_open": MAX_OPEN}
    assert (picture["decoder"]["requests"], picture["decoder"]["sequences_running"]) == (1, 1)
    assert picture["decoder"]["kv_blocks_used"] == 1
    assert picture["stages"]["renderer"]["replicas"] == {"RUNNING": 2}
    text = as_text(picture, fake_app.url)
    assert max(map(len, text.splitlines())) <= 80
    assert f"1 of {MAX_OPEN} requests open" in text
    wait_until(fake_app.is_idle, FREED_S)
