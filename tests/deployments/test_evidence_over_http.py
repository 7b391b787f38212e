"""Evidence, structured answers, templates and comparisons of the served application equal those of one process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.access import AccessConfig
from deployments.comparisons import comparison_json
from deployments.decoder import Decoder
from deployments.encoder import Encoder
from deployments.entrance import OverloadConfig
from deployments.gateway import Gateway
from deployments.loading import load_decoder, load_encoder
from deployments.protocol import ServedRequest
from deployments.renderer import Renderer, load_renderer
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import (
    CreditConfig,
    EngineConfig,
    EvidenceConfig,
    LimitConfig,
    ModelConfig,
    PipelineConfig,
    SamplingConfig,
    StoreConfig,
    preset,
)
from glyph_core.evidence.comparison import compare
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource
from tests.deployments.fakes import stored
from tests.deployments.local import FakeServeSide, LocalHandle, Stored
from tests.tiny_checkpoint import make_tiny_glm4v

LEASE = DocumentSource("lease.txt", b"Lease\n\nReference KX-7742-98-QD\n\nThe rent is 1,200 EUR.\n")
ANNEX = DocumentSource("annex.txt", b"Annex\n\nThe rent is 1,350 EUR.\n\nNo dogs.\n")
QUESTION = "What is the reference?"
# A random model has to say one of these, and one of them is a character off.
SCHEMA = {"type": "object", "properties": {"ref": {"type": "string", "pattern": "^KX-7742-9[18]-QD$"}}}
SCHEMA |= {"required": ["ref"], "additionalProperties": False}


CONFIG = PipelineConfig(engine=EngineConfig(num_blocks=280))
Test = Callable[[httpx.AsyncClient, Decoder], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny") / "tiny", max_model_len=4096)


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return Pipeline.from_pretrained(folder, CONFIG)


def serve(folder: Path, test: Test) -> None:
    """``test`` on the four real stages, on a tiny checkpoint, joined within this process."""
    model, credits = ModelConfig(model=str(folder), num_threads=1), CreditConfig()

    async def in_service() -> None:
        renderer = LocalHandle(Renderer(lambda: load_renderer(str(folder), LimitConfig()), credits.pages_per_message))
        encoder = LocalHandle(Encoder(renderer, lambda: load_encoder(model, CONFIG.engine, credits), credits))
        decoder = Decoder(
            renderer, encoder, lambda: load_decoder(model, CONFIG.engine, credits), credits, LimitConfig()
        )
        store = StoreConfig(path=tempfile.mkdtemp(dir=os.environ["XDG_DATA_HOME"]))
        gateway = Gateway(
            LocalHandle(decoder),
            renderer,
            CONFIG.model_copy(update={"model": model}),
            AccessConfig(),
            OverloadConfig(),
            store,
            serve_side=FakeServeSide(),
            put=Stored,
        )
        api = gateway.__serve_build_asgi_app__()
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with gateway.lifespan(api), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            while (await client.get("/healthz")).status_code != 200:
                await asyncio.sleep(0.02)
            await test(client, decoder)

    asyncio.run(asyncio.wait_for(in_service(), 120))


def body(**fields: Any) -> dict[str, Any]:
    files = [
        {"type": "file", "file": {"filename": d.name, "file_data": base64.b64encode(d.content).decode()}}
        for d in (LEASE, ANNEX)
    ]
    message = {"role": "user", "content": [*files, {"type": "text", "text": QUESTION}]}
    return {"model": "tiny", "messages": [message], "max_tokens": 60, **fields}


@pytest.mark.parametrize("grounding", ["repair", "off"])
def test_served_evidence_equals_the_pipelines(folder: Path, pipeline: Pipeline, grounding: Any) -> None:
    evidence = EvidenceConfig(grounding=grounding)
    requests = [
        AnswerRequest.about(
            [LEASE, ANNEX],
            QUESTION,
            sampling=SamplingConfig(max_tokens=60, json_schema=json.dumps(SCHEMA), temperature=1.0, seed=seed),
            render=preset("mini"),
            evidence=evidence,
        )
        for seed in range(6)
    ]
    documents = tuple(stored(d.content, d.name) for d in (LEASE, ANNEX))
    answers: list[Answer] = []

    async def test(_: httpx.AsyncClient, decoder: Decoder) -> None:
        for request in requests:
            asked = ServedRequest(
                request.request_id, request.messages, documents, request.sampling, preset("mini"), evidence=evidence
            )
            answers.extend([message[-1] async for message in decoder.answer(asked) if isinstance(message[-1], Answer)])

    serve(folder, test)
    for served, in_process in zip(answers, pipeline.run(requests), strict=True):
        assert served.token_ids == in_process.token_ids
        for name in ("text", "written", "citations", "grounding", "pages_read", "finish_reason"):
            assert getattr(served, name) == getattr(in_process, name), name
        assert pickle.loads(pickle.dumps(served)) == served
    whole = [answer for answer in answers if answer.finish_reason == "stop"]  # the others went on thinking
    assert whole
    for answer in whole:
        assert [citation.text for citation in answer.citations] == ["KX-7742-98-QD"]
        assert grounding == "off" or json.loads(answer.text) == {"ref": "KX-7742-98-QD"}


def test_over_http_and_as_a_stream(folder: Path) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "reference", "schema": SCHEMA}}
    path = "/v1/chat/completions"

    async def test(client: httpx.AsyncClient, _: Decoder) -> None:
        for seed in range(3):
            fields = body(response_format=form, temperature=1.0, seed=seed)
            whole = (await client.post(path, json=fields)).json()
            sent = (await client.post(path, json={**fields, "stream": True})).text.splitlines()
            chunks = [json.loads(line.removeprefix("data: ")) for line in sent if line.startswith("data: {")]
            glyph = chunks[-1]["glyph"]
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
            assert glyph["citations"] == whole["glyph"]["citations"]
            assert glyph["grounding"] == whole["glyph"]["grounding"]
            assert glyph.get("text", text) == whole["choices"][0]["message"]["content"]
            assert text == glyph.get("written", text)
            annotations = whole["choices"][0]["message"]["annotations"]
            assert chunks[-1]["choices"][0]["delta"].get("annotations", []) == annotations
            assert len(annotations) == len(glyph["citations"])

    serve(folder, test)


def test_templates(folder: Path) -> None:
    async def test(client: httpx.AsyncClient, _: Decoder) -> None:
        async def ask(**fields: Any) -> httpx.Response:
            return await client.post("/v1/chat/completions", json=body(max_tokens=4, **fields))

        listed = (await client.get("/v1/templates")).json()["data"]
        assert "compare" in [template["id"] for template in listed]
        asked, plain = await ask(glyph={"template": "compare"}), await ask()
        assert asked.json()["usage"]["prompt_tokens"] > plain.json()["usage"]["prompt_tokens"] + 300
        refused = await ask(glyph={"template": "poem"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "glyph.template")

    serve(folder, test)


def test_comparing(folder: Path) -> None:
    files = [{"filename": d.name, "file_data": base64.b64encode(d.content).decode()} for d in (LEASE, ANNEX)]

    async def test(client: httpx.AsyncClient, _: Decoder) -> None:
        served = (await client.post("/v1/compare", json={"files": files})).json()
        assert served == comparison_json(compare(PageRenderer(preset("mini")), LEASE, ANNEX))
        assert served["counts"]["changed"] == 1
        for fields, status, param in (
            ({"files": files[:1]}, 400, "files"),
            ({"files": files, "render": {"font_size_px": 1}}, 400, "font_size_px"),
            ({"files": files, "preset": "poster"}, 400, "preset"),
            ({"files": [{"file_data": "%%"}, files[0]]}, 400, "files.0.file_data"),
            ({"files": [{"file_id": "file-none"}, files[0]]}, 404, ""),
        ):
            response = await client.post("/v1/compare", json=fields)
            assert response.status_code == status, response.text
            assert param in (response.json()["error"]["param"] or "")

    serve(folder, test)
