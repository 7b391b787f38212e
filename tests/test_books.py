"""Whole books go the whole way: every page is read, in windows, and a fact in the midst of one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyph_core.answering.request import AnswerRequest
from glyph_core.config import SamplingConfig, preset
from glyph_core.pipeline import Pipeline, read_source
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource, Progress
from tests.documents.make_pdf import PROSE, pdf, write
from tests.tiny_checkpoint import make_tiny_glm4v

BOOKS = (
    "合同编.md",
    "刑法.md",
    "1946-Truman.txt",
    "english-kjv.txt",
    "972.txt",
    "debian-reference.zh-cn.txt",
    "三国演义.txt",
)


@pytest.fixture(scope="module")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.from_pretrained(make_tiny_glm4v(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("name", [BOOKS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in BOOKS[1:])])
def test_a_book_is_read_to_its_last_page(tiny_pipeline: Pipeline, shared_data: Path, name: str) -> None:
    book = read_source(shared_data / "long_text" / name)
    num_pages = PageRenderer(preset("mini")).plan(book).num_pages
    request = AnswerRequest.about([book], "How does it end?", sampling=SamplingConfig(max_tokens=4, ignore_eos=True))
    *events, answer = tiny_pipeline.stream(request)
    assert isinstance(answer, Answer)
    assert answer.num_pages == num_pages
    assert [e.num_pages_encoded for e in events if isinstance(e, Progress)][-1] == num_pages
    assert "windows" in answer.warnings[0]
    stats = tiny_pipeline.engine.stats()
    assert stats.num_free_blocks == stats.num_blocks


@pytest.mark.slow
def test_glyph_mini_finds_a_planted_fact_in_a_book(shared_data: Path) -> None:
    text = (shared_data / "long_text" / "1946-Truman.txt").read_text()[:60_000]
    middle = text.index("\n", len(text) // 2) + 1
    planted = text[:middle] + "The access code for Maria is 48213.\n" + text[middle:]
    answer = Pipeline.from_pretrained().ask(
        [DocumentSource("address.txt", planted.encode())], "What is the access code for Maria?"
    )
    assert answer.text == "48213"
    assert answer.num_pages > 10
    assert answer.windows is not None
    assert answer.windows.num_windows > 3
    assert answer.confidence > 0.9


@pytest.mark.slow
def test_glyph_mini_reads_a_pdf_of_700_pages() -> None:
    """Four lines a page make some sixty pages of ours, which are read in twenty windows: a minute or two on a CPU."""
    lines = [f"Section {number}. {PROSE}" for number in range(700)]
    lines[512] = "Section 512. The access code for Maria Vogel is 48213."
    pages = [write(*(((60, 80 + 14 * i), line[75 * i : 75 * i + 75]) for i in range(4))) for line in lines]
    answer = Pipeline.from_pretrained().ask([pdf(*pages)], "What is the access code for Maria Vogel?")
    assert (answer.text, answer.confidence > 0.9) == ("48213", True)
    assert answer.windows is not None
    assert answer.windows.num_windows >= 20
    assert [region.source_page for citation in answer.citations for region in citation.regions] == [512]
