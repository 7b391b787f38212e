"""Every family through the whole way in one process equals transformers' ``generate``, token for token."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from glyph_core.config import PRESETS, EngineConfig, PipelineConfig, SamplingConfig
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
from tests.tiny_checkpoint import random_pages
from tests.tiny_families import FAMILIES, hf_generate, make_tiny

NUM_TOKENS = 24
GREEDY = SamplingConfig(max_tokens=NUM_TOKENS, ignore_eos=True)
SMALL_PAGES = PRESETS["mini"].model_copy(update={"page_width_px": 224, "page_height_px": 112})
LEDGER = "\n".join(f"{i}: entry {(i * 7919) % 10007} of the ledger" for i in range(20)).encode()
SLOW = ("llava", "qwen2_5_vl")  # much as the other of their kind


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAMILIES]
)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    config = PipelineConfig(render=SMALL_PAGES, engine=EngineConfig(max_num_batched_tokens=100))
    return Pipeline.from_pretrained(folder, config)


def picture(size: tuple[int, int], seed: int) -> DocumentSource:
    file = io.BytesIO()
    Image.fromarray(random_pages([size], seed)[0]).save(file, "PNG")
    return DocumentSource(f"picture {seed}.png", file.getvalue())


DOCUMENTS = {
    "one page": [DocumentSource("entry.txt", LEDGER[:40])],
    "many pages": [DocumentSource("ledger.txt", LEDGER), picture((140, 196), 0), picture((100, 150), 1)],
    "no page": [],
}


@pytest.mark.parametrize("documents", DOCUMENTS.values(), ids=DOCUMENTS)
def test_answers_are_transformers(folder: Path, pipeline: Pipeline, documents: list[DocumentSource]) -> None:
    renderer = PageRenderer(SMALL_PAGES)
    pages = [page.pixels for d in documents for page in renderer.render(d, 0, renderer.plan(d).num_pages)]
    answer = pipeline.ask(documents, "Who signed it?", sampling=GREEDY)
    assert answer.token_ids == tuple(hf_generate(folder, pages, "Who signed it?", NUM_TOKENS))
    assert answer.num_pages == len(pages)
    again = pipeline.ask(documents, "Who signed it?", sampling=GREEDY)
    assert again.token_ids == answer.token_ids
    assert again.usage.num_cached_tokens > 0
