"""What a second question about a document costs, and a third and a fourth: served, from each tier of what is kept.

The model is a tiny one with random weights, so only the ratios mean something: the first question draws, encodes and
prefills the whole document; later ones find it in the KV pool, in host memory, or as features on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx

from deployments.bench.ports import free_port
from deployments.bench.random_checkpoint import write_random_checkpoint
from deployments.bench.report import Json, Show
from deployments.bench.texts import made_up
from deployments.client import endpoint_client, file_json, raise_for_error
from deployments.endpoint import Endpoint, EndpointSettings
from glyph_core.config import EngineConfig, preset
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

PRESET = "glyph-en"
PIECE_CHARS = 4_000
HOST_KV_GB, FEATURES_GB = 2.0, 2.0


def reuse_report(num_visual_tokens: int, show: Show) -> Json:
    """Times to the first token, in milliseconds, and each as a share of the first question's."""
    with tempfile.TemporaryDirectory(prefix="glyph-reuse-") as folder:
        model = write_random_checkpoint(Path(folder) / "model", "glyph_tiny")
        first, other = (document_of(num_visual_tokens, seed) for seed in (1, 2))
        settings = _settings(model, Path(folder) / "features", num_visual_tokens)
        rows: list[Json] = []
        with _serving(settings, show) as ask:
            for name, document in (
                ("first", first), ("second", first), ("another document", other), ("from host memory", first)
            ):  # fmt: skip
                show(f"asking: {name}")
                rows.append({"question": name, **ask(document)})
        with _serving(settings, show) as ask:
            show("asking: after a restart")
            rows.append({"question": "features from disk, after a restart", **ask(first)})
    for row in rows:
        row["of_first"] = row["ttft_ms"] / rows[0]["ttft_ms"]
    return {"preset": PRESET, "questions": rows}


def as_lines(report: Json) -> str:
    head = (
        f"{'question':<38}{'cached tokens':>14}{'of':>8}{'encode ms':>11}{'prefill ms':>12}{'first token ms':>16}"
        f"{'of first':>10}"
    )
    return "\n".join(
        [head]
        + [
            f"{row['question']:<38}{row['cached_tokens']:>14,}{row['prompt_tokens']:>8,}{row['encode_ms']:>11,.0f}"
            f"{row['prefill_ms']:>12,.0f}{row['ttft_ms']:>16,.0f}{row['of_first']:>10.1%}"
            for row in report["questions"]
        ]
    )


def document_of(num_visual_tokens: int, seed: int) -> DocumentSource:
    """A made-up text whose pages come to ``num_visual_tokens`` at least, a token for each 28×28 px."""
    renderer, num_chars = PageRenderer(preset(PRESET)), PIECE_CHARS
    while True:
        document = DocumentSource(f"document-{seed}.txt", f"Document {seed}\n{made_up('english', num_chars)}".encode())
        num_tokens = sum(page.width_px * page.height_px for page in renderer.plan(document).pages) // 28**2
        if num_tokens >= num_visual_tokens:
            return document
        num_chars = num_chars * num_visual_tokens // max(1, num_tokens) + PIECE_CHARS


def _settings(model: Path, features: Path, num_visual_tokens: int) -> EndpointSettings:
    """A KV pool that holds one of the documents and a little of another."""
    block_size = EngineConfig().block_size
    app = {
        "model": {"model": str(model)},
        "render": preset(PRESET).model_dump(),
        "engine": {"num_blocks": num_visual_tokens * 5 // 4 // block_size, "host_kv_gb": HOST_KV_GB},
        "feature_store": {"gb": FEATURES_GB, "path": str(features)},
        "feature_cache_gb": 0,
    }
    return EndpointSettings(port=free_port(), app=app)


@contextmanager
def _serving(settings: EndpointSettings, show: Show) -> Iterator[Callable[[DocumentSource], Json]]:
    with Endpoint(settings) as endpoint:
        urls = endpoint.wait_ready(show)
        with endpoint_client(urls.api) as client:
            yield partial(_ask, client, client.get("/models").json()["data"][0]["id"], count())


def _ask(client: httpx.Client, model: str, numbers: Iterator[int], document: DocumentSource) -> Json:
    file = file_json(document.name, document.content)
    question = f"Question {next(numbers)}: what is agreed?"
    body = {
        "model": model,
        "messages": [
            {"role": "user", "content": [{"type": "file", "file": file}, {"type": "text", "text": question}]},
        ],
        "max_tokens": 1,
        "glyph": {"citations": False, "grounding": "off"},
    }
    response = client.post("/chat/completions", json=body)
    raise_for_error(response)
    answer = response.json()
    return {
        "prompt_tokens": answer["usage"]["prompt_tokens"],
        "cached_tokens": answer["usage"]["prompt_tokens_details"]["cached_tokens"],
        **{name: answer["glyph"]["timings"][name] for name in ("render_ms", "encode_ms", "prefill_ms", "ttft_ms")},
    }
