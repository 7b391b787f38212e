"""``glyph ask --url`` against a small endpoint made of prepared replies: what it sends and what it makes of them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deployments.cli import app
from deployments.openai_answers import Chunks, glyph_json
from deployments.openai_types import parse_chat_request
from glyph_core.types import Answer, Progress, TextDelta, Timings, Usage

ANSWER = Answer(
    text="State of Vermont",
    finish_reason="stop",
    token_ids=(1, 2),
    usage=Usage(510, 2, num_visual_tokens=476, num_cached_tokens=16, num_text_tokens=364, text_tokens_estimated=True),
    timings=Timings(0.001, 0.08, 0.03, 0.12, 0.01, 0.13),
    num_pages=1,
    reasoning="Let me look.",
    confidence=0.99,
    warnings=("3 characters have no glyph",),
)


@dataclass
class FakeEndpoint:
    """Answers every chat request with ``reply``, and keeps what it was asked."""

    url: str = ""
    status: int = 200
    reply: bytes = b""
    models: bytes = b'{"data": [{"id": "served-model"}]}'
    asked: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    fake = FakeEndpoint(reply=stream(*whole_answer()))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path in ("/v1/models", "/status")
            self._send(200, fake.models)

        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            parse_chat_request(body)  # nothing that the real endpoint would refuse
            fake.asked.append(json.loads(body))
            self._send(fake.status, fake.reply)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        yield fake
        server.shutdown()


def whole_answer() -> list[dict[str, Any]]:
    chunks = Chunks("chatcmpl-1", "served-model", include_usage=True)
    return [
        chunks.first(),
        chunks.progress(Progress(1, 1, 0, 0)),
        chunks.delta(TextDelta("Let me look.", is_reasoning=True)),
        chunks.delta(TextDelta("State of ")),
        chunks.delta(TextDelta("Vermont")),
        chunks.finish(ANSWER),
        chunks.usage(ANSWER.usage),
    ]


def stream(*chunks: dict[str, Any], done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + (["data: [DONE]\n\n"] if done else [])
    return "".join(lines).encode()


def ask(endpoint: FakeEndpoint, document: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["ask", str(document), "Which law?", "--url", endpoint.url, *options])


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("Governing Law: State of Vermont")
    return path


def test_the_document_goes_as_a_file_before_the_question(endpoint: FakeEndpoint, document: Path) -> None:
    assert ask(endpoint, document, "--system", "Be brief.").exit_code == 0
    (request,) = endpoint.asked
    system, user = request["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    file, text = user["content"]
    assert file["file"]["filename"] == "note.txt"
    assert base64.b64decode(file["file"]["file_data"]) == document.read_bytes()
    assert text == {"type": "text", "text": "Which law?"}


def test_the_served_model_is_asked_unless_another_is_named(endpoint: FakeEndpoint, document: Path) -> None:
    ask(endpoint, document)
    ask(endpoint, document, "--model", "another")
    assert [request["model"] for request in endpoint.asked] == ["served-model", "another"]


def test_what_an_answer_shall_rest_on_is_sent(endpoint: FakeEndpoint, document: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    ask(endpoint, document, "--grounding", "flag", "--no-citations", "--template", "risk-list", "--schema", str(schema))
    (request,) = endpoint.asked
    assert request["glyph"] == {"progress": True, "grounding": "flag", "citations": False, "template": "risk-list"}
    form = {"name": "answer", "schema": {"type": "object"}}
    assert request["response_format"] == {"type": "json_schema", "json_schema": form}


def test_sampling_and_preset_are_sent(endpoint: FakeEndpoint, document: Path) -> None:
    ask(
        endpoint, document, "--max-tokens", "7", "--temperature", "0.5", "--top-p", "0.9", "--seed", "3",
        "--preset", "glyph-en",
    )  # fmt: skip
    (request,) = endpoint.asked
    sent = {name: request[name] for name in ("max_tokens", "temperature", "top_p", "seed")}
    assert sent == {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3}
    assert request["glyph"] == {"progress": True, "preset": "glyph-en"}


def test_the_default_length_is_sent_too(endpoint: FakeEndpoint, document: Path) -> None:
    ask(endpoint, document)
    assert endpoint.asked[0]["max_tokens"] == 256


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_url_may_or_may_not_end_with_v1(endpoint: FakeEndpoint, document: Path, suffix: str) -> None:
    endpoint.url += suffix
    assert ask(endpoint, document).stdout == "State of Vermont\n"


def test_json_is_what_asking_in_process_prints(endpoint: FakeEndpoint, document: Path) -> None:
    result = ask(endpoint, document, "--json")
    report = json.loads(result.stdout)
    assert report["answer"] == ANSWER.text
    assert report["reasoning"] == ANSWER.reasoning
    assert (report["finish_reason"], report["model"]) == ("stop", "served-model")
    assert report["usage"]["prompt_tokens_details"]["cached_tokens"] == 16
    assert report["glyph"] == glyph_json(ANSWER)


def test_warnings_go_to_stderr(endpoint: FakeEndpoint, document: Path) -> None:
    assert ask(endpoint, document).stderr == "warning: 3 characters have no glyph\n"


def test_an_error_in_the_stream_is_the_error(endpoint: FakeEndpoint, document: Path) -> None:
    error = {"error": {"message": "the encoder died", "type": "server_error", "code": "stage_failed", "param": None}}
    endpoint.reply = stream(*whole_answer()[:4], error, done=False)
    result = ask(endpoint, document, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, error)


def test_a_stream_that_breaks_off_is_an_error(endpoint: FakeEndpoint, document: Path) -> None:
    endpoint.reply = stream(*whole_answer()[:4], done=False)
    result = ask(endpoint, document)
    assert result.exit_code == 1
    assert "broke off" in result.stderr


def test_a_refusal_is_told_in_the_endpoints_words(endpoint: FakeEndpoint, document: Path) -> None:
    refusal = {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found", "param": "model"}
    endpoint.status, endpoint.reply = 404, json.dumps({"error": refusal}).encode()
    result = ask(endpoint, document, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"error": refusal})
    assert result.stderr == "error: no such model\n"


def test_something_else_at_that_address_is_told(endpoint: FakeEndpoint, document: Path) -> None:
    endpoint.status, endpoint.reply = 502, b"<html>Bad Gateway</html>"
    result = ask(endpoint, document)
    assert result.exit_code == 1
    assert "502" in result.stderr
    assert "no Glyph Serve endpoint" in result.stderr


@pytest.mark.parametrize(
    "reply", [b'{"error": "Not found"}', b'{"error": {"message": null}}', b'["error"]', b"null", b'{"detail": "no"}']
)
def test_an_error_that_is_none_of_ours_is_told(endpoint: FakeEndpoint, document: Path, reply: bytes) -> None:
    endpoint.status, endpoint.reply = 404, reply
    result = ask(endpoint, document)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "answered 404 Not Found, which is no Glyph Serve endpoint" in result.stderr


@pytest.mark.parametrize("command", ["ask", "status", "batch"])
@pytest.mark.parametrize("reply", [b"<html>It works!</html>", b'{"data": []}', b'{"data": "x"}', b"[]"])
def test_another_service_that_answers_is_told(
    endpoint: FakeEndpoint, document: Path, reply: bytes, command: str, tmp_path: Path
) -> None:
    endpoint.models = reply
    questions = ["--questions", str(document), "--out", str(tmp_path / "out.jsonl")]
    arguments = {"ask": [str(document), "Which law?"], "status": [], "batch": [str(tmp_path), *questions]}[command]
    result = CliRunner().invoke(app, [command, *arguments, "--url", endpoint.url])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "answered 200 OK, which is no Glyph Serve endpoint" in result.stderr


def test_the_url_may_leave_out_its_scheme(endpoint: FakeEndpoint, document: Path) -> None:
    endpoint.url = endpoint.url.removeprefix("http://")
    assert ask(endpoint, document).stdout == "State of Vermont\n"


@pytest.mark.parametrize(
    ("url", "named"),
    [("http://127.0.0.1:9", "http://127.0.0.1:9/v1"), ("127.0.0.1:9", "http://127.0.0.1:9/v1"),
     ("http://[broken", "http://[broken/v1")],
    ids=["closed", "no-scheme", "broken"],
)  # fmt: skip
def test_nobody_at_that_address_is_told(endpoint: FakeEndpoint, document: Path, url: str, named: str) -> None:
    endpoint.url = url
    result = ask(endpoint, document)
    assert result.exit_code == 1
    assert f"no answer from {named}" in result.stderr


def test_what_is_no_address_of_an_endpoint_is_told(endpoint: FakeEndpoint, document: Path) -> None:
    endpoint.url = "ftp://127.0.0.1"
    result = ask(endpoint, document)
    assert result.exit_code == 1
    assert "is no address of an endpoint; give one such as http://" in result.stderr


def test_a_proxy_is_not_asked_for_our_own_machine(
    endpoint: FakeEndpoint, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(endpoint, document).exit_code == 0
