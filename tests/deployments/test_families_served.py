"""Checkpoints of every family on a real Serve: the served answer is transformers' ``generate``, token for token."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import ray
from ray import serve

from deployments.app import build_app
from deployments.protocol import DocumentRef, ServedRequest
from glyph_core.config import PRESETS, SamplingConfig
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource, Message
from tests.deployments.serving import App, tiny_args
from tests.tiny_families import FAMILIES, hf_generate, make_tiny

pytestmark = pytest.mark.serve

NUM_TOKENS = 24
SMALL_PAGES = PRESETS["mini"].model_copy(update={"page_width_px": 224, "page_height_px": 112})
QUESTION = "Who signed it?"
DOCUMENTS = {
    "one page": DocumentSource("entry.txt", b"1: entry 7919 of the ledger"),
    "many pages": DocumentSource(
        "ledger.txt", "\n".join(f"{i}: entry {(i * 7919) % 10007} of the ledger" for i in range(30)).encode()
    ),
}
FAST = "qwen3_vl"  # whose features are the widest; the others go the same way


@dataclass(frozen=True)
class ServedFamily:
    app: App
    folder: Path


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=() if name == FAST else pytest.mark.slow) for name in FAMILIES]
)
def served(
    request: pytest.FixtureRequest, serve_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedFamily]:
    name = request.param
    folder = make_tiny(tmp_path_factory.mktemp(name), name)
    serve.run(build_app(tiny_args(folder)), name=name, route_prefix=f"/{name}")
    app = App(name, f"{serve_url}/{name}")
    app.wait_healthy()
    yield ServedFamily(app, folder)
    serve.delete(name)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_served_answer_is_transformers(served: ServedFamily, document: DocumentSource) -> None:
    renderer = PageRenderer(SMALL_PAGES)
    pages = [page.pixels for page in renderer.render(document, 0, renderer.plan(document).num_pages)]
    reference = DocumentRef(document.name, document.digest, len(document.content), ray.put(document.content))
    sampling = SamplingConfig(max_tokens=NUM_TOKENS, ignore_eos=True)
    message = Message("user", QUESTION, (0,))
    request = ServedRequest("a", (message,), (reference,), sampling, SMALL_PAGES)
    *_, (*_, answer) = served.app.handle("Decoder").answer.options(stream=True).remote(request)
    assert isinstance(answer, Answer)
    assert answer.token_ids == tuple(hf_generate(served.folder, pages, QUESTION, NUM_TOKENS))
    assert answer.num_pages == len(pages)


def test_over_http(served: ServedFamily) -> None:
    [document, _] = DOCUMENTS.values()
    content = base64.b64encode(document.content).decode()
    body = {
        "model": served.folder.name,
        "messages": [{"role": "user", "content": [
            {"type": "file", "file": {"file_data": content, "filename": document.name}},
            {"type": "text", "text": QUESTION},
        ]}],
        "max_tokens": 4,
        "glyph": {"render": SMALL_PAGES.model_dump()},
    }  # fmt: skip
    response = httpx.post(f"{served.app.url}/v1/chat/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    assert response.json()["glyph"]["pages"] == 1
    assert response.json()["usage"]["completion_tokens"] <= 4
