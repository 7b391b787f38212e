"""The page's process: what it imports, what it serves, and how it asks the endpoint."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from deployments.page.asking import chat_body, check_question
from deployments.page.assets import FOREVER, Assets, FromMemory, is_scoped
from deployments.page.document_head import DocumentHead, Head
from deployments.page.endpoint_api import EndpointApi
from deployments.page.handlers import Handlers
from deployments.page.layout import header_html
from deployments.page.page_pictures import MAX_TICKETS, NO_KEY, Tickets, pictures_router
from deployments.page.session import Document, Options, Session, Turn
from deployments.page.strings import words_of
from glyph_core.config import PRESETS
from glyph_core.errors import AuthenticationError, InvalidRequestError, StageError

KEY = "a-key-of-sixteen-characters"
LEASE = Document(id="file-1", name="lease.md", num_bytes=10)
MODEL = {"id": "glyph-mini", "render": PRESETS["mini"].model_dump(), "limits": {"max_document_bytes": 5}}
TASKS = [{"id": "compare", "title": "Compare", "min_documents": 2}]


def endpoint(request: httpx.Request) -> httpx.Response:
    """With keys, one model and one page."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        error = {"message": "this service wants an API key", "code": "invalid_api_key", "type": "x", "param": None}
        return httpx.Response(401, json={"error": error})
    if request.url.path == "/v1/models":
        return httpx.Response(200, json={"data": [MODEL]})
    if request.url.path == "/v1/templates":
        return httpx.Response(200, json={"data": TASKS})
    if request.url.path.rstrip("/") == "/v1/files/file-1":
        return httpx.Response(200, json={"filename": "secret.txt"})
    if request.url.path == "/v1/files/file-1/pages/1.png":
        return httpx.Response(200, content=str(request.url.query).encode(), headers={"etag": '"e"', "x-secret": "s"})
    return httpx.Response(502, text="no gateway")


@pytest.fixture
def api() -> EndpointApi:
    made = EndpointApi("http://endpoint")
    made._client = httpx.AsyncClient(base_url="http://endpoint", transport=httpx.MockTransport(endpoint))
    return made


@pytest.fixture
def pictures(api: EndpointApi) -> Iterator[tuple[TestClient, Tickets]]:
    site, tickets = FastAPI(), Tickets()
    site.include_router(pictures_router(api, tickets))
    with TestClient(site) as client:
        yield client, tickets


BUILT = """
import json, sys
import gradio as gr
from starlette.routing import Mount
from deployments.page.site import build_site

def polls(blocks):
    return [blocks._queue.sleep_when_free, blocks._queue.progress_update_sleep_when_free]

site = build_site("http://endpoint", 5)
ours = [polls(route.app.get_blocks()) for route in site.routes if isinstance(route, Mount)]
heavy = [name for name in ("torch", "transformers") if name in sys.modules]
print(json.dumps({"heavy": heavy, "polls_s": ours, "gradio_polls_s": polls(gr.Blocks())}))
"""


def test_the_site_imports_no_model_and_lets_gradios_queues_sleep() -> None:
    ran = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["heavy"] == []
    assert told["polls_s"] == [[0.02, 0.02]] * 2
    assert max(told["gradio_polls_s"]) < 0.02  # else there is nothing left to put to sleep


def test_a_picture_needs_a_ticket_and_passes_on_what_a_browser_needs(pictures: tuple[TestClient, Tickets]) -> None:
    client, tickets = pictures
    ticket = tickets.ticket(KEY)
    assert KEY not in ticket
    found = client.get(f"/pages/{ticket}/file-1/1.png?preset=mini")
    assert (found.status_code, found.headers["etag"]) == (200, '"e"')
    assert "preset=mini" in found.text
    assert "x-secret" not in found.headers
    for other in (NO_KEY, "guessed"):
        assert client.get(f"/pages/{other}/file-1/1.png").status_code == 401


def test_a_ticket_leads_to_pictures_and_nowhere_else(pictures: tuple[TestClient, Tickets]) -> None:
    client, tickets = pictures
    for name in ("%2E%2E", "%2E", "1", "x.jpg"):  # the test's client would take dots out by itself
        found = client.get(f"/pages/{tickets.ticket(KEY)}/file-1/{name}")
        assert (found.status_code, found.json()) == (404, {"detail": "Not Found"})


def test_tickets_are_forgotten_when_many_came_after_them() -> None:
    tickets = Tickets()
    first = tickets.ticket(KEY)
    assert tickets.ticket(KEY) == first
    for number in range(MAX_TICKETS):
        tickets.ticket(f"{KEY}-{number}")
    assert tickets.key(first) == ""
    assert tickets.ticket(KEY) != first


def test_without_a_key_the_page_asks_for_one_and_says_nothing_else(api: EndpointApi) -> None:
    handlers = Handlers(api, Tickets(), words_of("en"))

    async def models() -> list[Any]:
        return [await handlers.model(key) for key in ("", "wrong", KEY)] + [
            await handlers.pages([LEASE], Options(), Session(), "")
        ]

    without, wrong, right, pages = asyncio.run(models())
    assert 'role="alert"' not in pages
    assert without == (None, [], "")
    assert wrong[0] is None
    assert "valid API key" in wrong[2]
    assert right == (MODEL, TASKS, "")


def test_the_endpoints_errors_are_its_own(api: EndpointApi) -> None:
    with pytest.raises(AuthenticationError):
        asyncio.run(api.model(""))
    with pytest.raises(StageError, match="no Glyph Serve endpoint"):
        asyncio.run(api.pages(KEY, LEASE, {}))


def test_a_request_carries_what_was_chosen() -> None:
    options = Options(preset="readable", font_size_px=16, temperature=0.5, top_p=0.9, max_tokens=64)
    body = chat_body("How long?", "", [LEASE], Session(options=options), MODEL)
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["stream"]) == (0.5, 0.9, 64, True)
    assert body["glyph"]["preset"] == "readable"
    assert body["glyph"]["render"]["font_size_px"] == 16
    assert [part["type"] for part in body["messages"][-1]["content"]] == ["file", "text"]


def test_the_conversation_goes_along_only_where_it_is_asked_for() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {}}
    turn = Turn(question="First?", documents=[LEASE], page_query={}, answer="One.", finish_reason="stop",
                model="glyph-mini", usage=usage, glyph={})  # fmt: skip
    alone = chat_body("Second?", "", [LEASE], Session(turns=[turn]), MODEL)["messages"]
    assert len(alone) == 1
    told = Session(turns=[turn], options=Options(follow_up=True))
    messages = chat_body("Second?", "", [LEASE], told, MODEL)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    files = [sum(part["type"] == "file" for part in m["content"]) for m in messages if m["role"] == "user"]
    assert files == [1, 0]  # the documents stand once, at the beginning
    other = Document(id="file-2", name="deed.md", num_bytes=1)
    assert len(chat_body("Second?", "", [other], told, MODEL)["messages"]) == 1


@pytest.mark.parametrize(
    ("question", "task", "documents", "says"),
    [("", "", [LEASE], "Write a question"), ("Who?", "", [], "Add a document"), ("", "compare", [LEASE], "needs 2")],
)
def test_what_cannot_be_asked_is_told_before_it_is_sent(
    question: str, task: str, documents: list[Document], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        check_question(question, task, documents, TASKS, words_of("en"))


async def page_of_gradio(scope: Any, receive: Any, send: Any) -> None:
    asked_for = dict(scope["headers"]).get(b"accept-encoding", b"").decode()
    body = b"<html><head><title>x</title></head>" + asked_for.encode() + b"</html>"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body[:9], "more_body": True})
    await send({"type": "http.response.body", "body": body[9:]})


def test_the_head_stands_around_gradios() -> None:
    client = TestClient(DocumentHead(page_of_gradio, {"/en/": Head("<meta>", "<link>")}))
    page = client.get("/en/", headers={"accept-encoding": "br"})
    assert page.text == "<html><head><meta><title>x</title><link></head></html>"
    assert int(page.headers["content-length"]) == len(page.content)
    assert "<meta>" not in client.get("/en/config").text


def test_gradios_files_come_from_memory_and_small_styles_as_one(tmp_path: Path) -> None:
    script, style = "let a = 1;\n" * 100, ".a.svelte-1{color:red}"
    for name, content in (("a-1.js", script), ("a-1.css", style), ("b-2.css", "td{}"), ("c-3.woff2", "font")):
        (tmp_path / name).write_text(content)
    assets = Assets(tmp_path)
    client = TestClient(FromMemory(page_of_gradio, {"/en/assets/": assets}))

    plain = client.get("/en/assets/a-1.js", headers={"accept-encoding": "gzip"})
    compressed = client.get("/en/assets/a-1.js", headers={"accept-encoding": "gzip, br;q=0.9"})
    assert plain.text == compressed.text == script
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "br"
    assert int(compressed.headers["content-length"]) < len(script)
    assert plain.headers["cache-control"] == FOREVER
    assert plain.headers["content-type"].startswith("text/javascript")

    one, replaced = re.findall(r'<link rel="stylesheet"( disabled)? href="(.+?)">', assets.links("./assets/"))
    assert (one[0], replaced) == ("", (" disabled", "./assets/a-1.css"))
    assert client.get(f"/en/{one[1]}").text == style
    for path in ("/en/assets/..%2fa-1.js", "/en/assets/none.js", "/en/assets/", "/zh/assets/a-1.js", "/en/config"):
        assert "<title>" in client.get(path).text  # is Gradio's to answer


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (".a.svelte-1,.b.svelte-1>p{color:red}", True),
        ("@media (width<9px){.a.svelte-1{top:0}}@keyframes svelte-1-k{0%,to{top:0}50.5%{top:1px}}", True),
        (".a.svelte-1{color:red}td{padding:0}", False),
        (".a.svelte-1,td{padding:0}", False),
        ("@media (width<9px){.a.svelte-1{top:0}td{top:0}}", False),
        (".a.svelte-1:is(b,i){top:0}", False),  # in doubt
    ],
)
def test_a_style_that_marks_other_components_elements_is_told(style: str, expected: bool) -> None:
    assert is_scoped(style) is expected


def test_the_examples_are_the_repositorys(examples: Path) -> None:
    from deployments.page.examples import COMPARED, FOLDER, shown_examples

    assert FOLDER.resolve() == examples
    assert len(shown_examples()) >= 3
    assert all((FOLDER / name).exists() for name in COMPARED)


def test_the_head_tells_what_the_model_is_for() -> None:
    words = words_of("en")
    told = header_html("en", {**MODEL, "about": "is a <b>small</b> model"}, words)
    assert "glyph-mini is a &lt;b&gt;small&lt;/b&gt; model.</p>" in told
    for silent in (None, MODEL, {**MODEL, "about": None}):
        assert "None" not in header_html("en", silent, words)
