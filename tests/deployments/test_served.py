"""The real stages on a real Serve give the answers of the pipeline in one process, which are transformers' own."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from PIL import Image

from deployments.protocol import DocumentRef, ServedRequest
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import PRESETS, PipelineConfig, RenderConfig, SamplingConfig
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource
from tests.deployments.serving import App, tiny_args
from tests.tiny_checkpoint import hf_generate, random_pages

pytestmark = pytest.mark.serve

SMALL_PAGES = PRESETS["mini"].model_copy(update={"page_width_px": 224, "page_height_px": 112})
SAMPLING = SamplingConfig(max_tokens=24)
PROSE = "\n\n".join(f"{n}. The {n}th party pays {n * 37} crowns to the keeper of the seal." for n in range(1, 60))


def text_document(num_chars: int, name: str = "contract.txt") -> DocumentSource:
    return DocumentSource(name, PROSE[:num_chars].encode())


def picture(size: tuple[int, int], seed: int) -> DocumentSource:
    file = io.BytesIO()
    Image.fromarray(random_pages([size], seed)[0]).save(file, "PNG")
    return DocumentSource(f"picture {seed}.png", file.getvalue())


@pytest.fixture(scope="module")
def pipeline(tiny_folder: Path) -> Pipeline:
    args = tiny_args(tiny_folder)
    return Pipeline(PipelineConfig(model=args.model, engine=args.engine, limits=args.limits))


def file_part(document: DocumentSource) -> dict[str, Any]:
    content = base64.b64encode(document.content).decode()
    return {"type": "file", "file": {"file_data": content, "filename": document.name}}


def ask(app: App, documents: Sequence[DocumentSource], question: str, render: RenderConfig) -> Any:
    content = [*map(file_part, documents), {"type": "text", "text": question}]
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": SAMPLING.max_tokens,
        "glyph": {"render": render.model_dump()},
    }
    response = httpx.post(f"{app.url}/v1/chat/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def served_answer(app: App, request: AnswerRequest, render: RenderConfig) -> Answer:
    """Past the gateway, where the token ids can be seen."""
    documents = tuple(DocumentRef(d.name, d.digest, len(d.content), ray.put(d.content)) for d in request.documents)
    served = ServedRequest(request.request_id, request.messages, documents, request.sampling, render)
    *_, (*_, answer) = app.handle("Decoder").answer.options(stream=True).remote(served)
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(
    ("documents", "render"),
    [
        ([text_document(300)], PRESETS["mini"]),
        ([text_document(3000)], SMALL_PAGES),
        ([picture((224, 140), 1), text_document(900), picture((420, 308), 2)], SMALL_PAGES),
        ([], PRESETS["mini"]),
    ],
    ids=["one page", "many pages", "several documents of several sizes", "no document"],
)  # fmt: skip
def test_served_equals_pipeline_equals_transformers(
    tiny_app: App, tiny_folder: Path, pipeline: Pipeline, documents: list[DocumentSource], render: RenderConfig
) -> None:
    question = "Who pays the keeper?"
    request = AnswerRequest.about(documents, question, sampling=SAMPLING, render=render)
    served = served_answer(tiny_app, request, render)
    in_process = pipeline.run([request])[0]
    renderer = PageRenderer(render)
    pages = [
        page.pixels
        for document in documents
        for page in renderer.render(document, 0, renderer.plan(document).num_pages)
    ]
    truth = hf_generate(tiny_folder, pages, question, SAMPLING.max_tokens, ignore_eos=False)
    assert list(served.token_ids) == list(in_process.token_ids) == truth
    assert served.num_pages == len(pages)
    assert served.usage.num_text_tokens == in_process.usage.num_text_tokens

    completion = ask(tiny_app, documents, question, render)
    assert completion["choices"][0]["message"]["content"] == in_process.text


def test_the_answers_are_worth_comparing(tiny_app: App) -> None:
    """Other documents, other answers; and not one token over and over."""
    answers = [
        served_answer(tiny_app, AnswerRequest.about([document], "Who?", sampling=SAMPLING), SMALL_PAGES)
        for document in (text_document(500), text_document(600), picture((224, 140), 3))
    ]
    assert len({answer.token_ids for answer in answers}) == 3
    assert all(len(set(answer.token_ids)) >= 8 for answer in answers)


def test_eight_requests_at_once_overfill_the_block_pool(tiny_app: App, pipeline: Pipeline) -> None:
    # Four of them fit the pool with their prompts, and not with their answers.
    sampling = SamplingConfig(max_tokens=150, ignore_eos=True)
    documents = [DocumentSource(f"{n}.txt", f"{PROSE[n * 150 :]} {PROSE[: n * 150]}".encode()) for n in range(8)]
    requests = [AnswerRequest.about([d], "Who pays?", sampling=sampling, render=PRESETS["mini"]) for d in documents]
    expected = [pipeline.run([request])[0].token_ids for request in requests]
    with ThreadPoolExecutor(8) as threads:
        served = list(threads.map(lambda request: served_answer(tiny_app, request, PRESETS["mini"]), requests))
    assert [answer.token_ids for answer in served] == expected
    assert tiny_app.decoder_stats().engine.num_preemptions > 0
    assert tiny_app.is_idle()


def test_the_second_question_finds_the_document_in_the_prefix_cache(tiny_app: App) -> None:
    document = DocumentSource("again.txt", f"Once more. {PROSE}".encode())
    first = ask(tiny_app, [document], "Who pays?", SMALL_PAGES)
    num_rendered = tiny_app.num_pages_rendered()
    again = ask(tiny_app, [document], "Who pays?", SMALL_PAGES)
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 0.9 * first["usage"]["prompt_tokens"]
    assert again["choices"] == first["choices"]
    assert tiny_app.num_pages_rendered() <= num_rendered + 1  # the last page, if its end shares the question's block


def test_a_long_text_part_is_read_as_the_same_document(tiny_app: App) -> None:
    part = ask(tiny_app, [text_document(2000)], "Who pays?", PRESETS["mini"])
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"{PROSE[:2000]}\nWho pays?"}],
        "max_tokens": SAMPLING.max_tokens,
    }
    plain = httpx.post(f"{tiny_app.url}/v1/chat/completions", json=body, timeout=120).json()
    assert plain["choices"] == part["choices"]
    assert plain["glyph"]["pages"] == part["glyph"]["pages"] > 0


def test_a_pinned_file_outlives_whatever_fills_the_pool(tiny_app: App) -> None:
    """Over HTTP: pinned by its id, asked, asked again when others have filled the pool, and once more when unpinned."""
    with httpx.Client(base_url=f"{tiny_app.url}/v1", timeout=120) as client:
        content = f"Kept. {PROSE[:1200]}".encode()
        sent = client.post("/files", files={"file": ("kept.txt", content)}, data={"purpose": "user_data"})
        file_id = sent.json()["id"]
        kept = {"type": "file", "file": {"file_id": file_id}}

        def cached(question: str, document: dict[str, Any] = kept) -> int:
            content = [document, {"type": "text", "text": question}]
            body = {"model": "tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 2}
            response = client.post("/chat/completions", json=body)
            assert response.status_code == 200, response.text
            return int(response.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

        def fill() -> None:
            """With one and a half times what the pool holds."""
            for number in range(7):
                text = PROSE.replace("party", f"party {number}")
                assert cached("Who?", file_part(DocumentSource("other.txt", text.encode()))) < 16

        pinned = client.post(f"/files/{file_id}/pin")
        assert pinned.json() == {"id": file_id, "object": "file.pin", "pinned": True, "pages": 1}
        whole = cached("Who pays?")
        assert whole > 300
        fill()
        assert cached("Who else?") == whole
        assert tiny_app.decoder_stats().engine.num_pinned_blocks >= whole // 16
        assert client.delete(f"/files/{file_id}/pin").json()["was_pinned"]
        fill()
        assert cached("And who?") < 16
        client.delete(f"/files/{file_id}").raise_for_status()
    assert tiny_app.is_idle()
