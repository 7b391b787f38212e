"""Evidence, structured answers, templates and comparisons of the served application equal those of one process."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray

from deployments.comparisons import comparison_json
from deployments.protocol import DocumentRef, ServedRequest
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import EngineConfig, EvidenceConfig, PipelineConfig, SamplingConfig, preset
from glyph_core.evidence.comparison import compare
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource
from tests.deployments.serving import App

pytestmark = pytest.mark.serve

LEASE = DocumentSource("lease.txt", b"Lease\n\nReference KX-7742-98-QD\n\nThe rent is 1,200 EUR.\n")
ANNEX = DocumentSource("annex.txt", b"Annex\n\nThe rent is 1,350 EUR.\n\nNo dogs.\n")
QUESTION = "What is the reference?"
# A random model has to say one of these, and one of them is a character off.
SCHEMA = {"type": "object", "properties": {"ref": {"type": "string", "pattern": "^KX-7742-9[18]-QD$"}}}
SCHEMA |= {"required": ["ref"], "additionalProperties": False}


@pytest.fixture(scope="module")
def pipeline(tiny_folder: Path) -> Pipeline:
    return Pipeline.from_pretrained(tiny_folder, PipelineConfig(engine=EngineConfig(num_blocks=280)))


def body(**fields: Any) -> dict[str, Any]:
    files = [
        {"type": "file", "file": {"filename": d.name, "file_data": base64.b64encode(d.content).decode()}}
        for d in (LEASE, ANNEX)
    ]
    message = {"role": "user", "content": [*files, {"type": "text", "text": QUESTION}]}
    return {"model": "tiny", "messages": [message], "max_tokens": 60, **fields}


def post(app: App, path: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{app.url}{path}", json=fields, timeout=120)


@pytest.mark.parametrize("grounding", ["repair", "off"])
def test_served_evidence_equals_the_pipelines(tiny_app: App, pipeline: Pipeline, grounding: Any) -> None:
    sampling = SamplingConfig(max_tokens=60, json_schema=json.dumps(SCHEMA))
    evidence = EvidenceConfig(grounding=grounding)
    request = AnswerRequest.about([LEASE, ANNEX], QUESTION, sampling=sampling, render=preset("mini"), evidence=evidence)
    documents = tuple(DocumentRef(d.name, d.digest, len(d.content), ray.put(d.content)) for d in request.documents)
    served_request = ServedRequest(
        request.request_id, request.messages, documents, sampling, preset("mini"), evidence=evidence
    )
    *_, served = tiny_app.handle("Decoder").answer.options(stream=True).remote(served_request)
    in_process = pipeline.run([request])[0]
    assert isinstance(served, Answer)
    assert served.token_ids == in_process.token_ids
    for name in ("text", "written", "citations", "grounding", "pages_read", "finish_reason"):
        assert getattr(served, name) == getattr(in_process, name), name
    if served.finish_reason == "stop":
        assert [citation.text for citation in served.citations] == ["KX-7742-98-QD"]
        assert grounding == "off" or json.loads(served.text) == {"ref": "KX-7742-98-QD"}


def test_over_http_and_as_a_stream(tiny_app: App) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "reference", "schema": SCHEMA}}
    fields = body(response_format=form, temperature=1.0, seed=3)
    whole = post(tiny_app, "/v1/chat/completions", **fields).json()
    with httpx.stream(
        "POST", f"{tiny_app.url}/v1/chat/completions", json={**fields, "stream": True}, timeout=120
    ) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    glyph = chunks[-1]["glyph"]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert glyph["citations"] == whole["glyph"]["citations"]
    assert glyph["grounding"] == whole["glyph"]["grounding"]
    assert glyph.get("text", text) == whole["choices"][0]["message"]["content"]
    assert text == glyph.get("written", text)
    annotations = whole["choices"][0]["message"]["annotations"]
    assert chunks[-1]["choices"][0]["delta"].get("annotations", []) == annotations
    assert len(annotations) == len(glyph["citations"])


def test_templates(tiny_app: App) -> None:
    listed = httpx.get(f"{tiny_app.url}/v1/templates", timeout=30).json()["data"]
    assert "compare" in [template["id"] for template in listed]
    asked = post(tiny_app, "/v1/chat/completions", **body(glyph={"template": "compare"}))
    assert asked.status_code == 200
    plain = post(tiny_app, "/v1/chat/completions", **body())
    assert asked.json()["usage"]["prompt_tokens"] > plain.json()["usage"]["prompt_tokens"] + 300
    refused = post(tiny_app, "/v1/chat/completions", **body(glyph={"template": "poem"}))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "glyph.template")


def test_comparing(tiny_app: App) -> None:
    files = [{"filename": d.name, "file_data": base64.b64encode(d.content).decode()} for d in (LEASE, ANNEX)]
    served = post(tiny_app, "/v1/compare", files=files).json()
    assert served == comparison_json(compare(PageRenderer(preset("mini")), LEASE, ANNEX))
    assert served["counts"]["changed"] == 1
    for fields, status, param in (
        ({"files": files[:1]}, 400, "files"),
        ({"files": files, "render": {"font_size_px": 1}}, 400, "font_size_px"),
        ({"files": [{"file_data": "%%"}, files[0]]}, 400, "files.0.file_data"),
        ({"files": [{"file_id": "file-none"}, files[0]]}, 404, None),
    ):
        response = post(tiny_app, "/v1/compare", **fields)
        assert response.status_code == status, response.text
        assert param is None or param in (response.json()["error"]["param"] or "")
