"""The table's rows through the pipeline: what is sent, what counts as right, and that a page is encoded once."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glyph_core.config import PRESETS
from glyph_core.errors import ConfigError
from glyph_core.pipeline import Pipeline
from glyph_core.training.facts import Question, QuestionKind
from glyph_core.training.looks import Typesetter
from glyph_core.training.material import Material
from glyph_core.training.reading import Asked, AskedDocument, RowMaker, RowResult, ask, wilson_interval
from glyph_core.training.rows import PIPELINE_ROWS, ROWS, Row
from glyph_core.training.scans import Scanner
from glyph_core.training.table import Table, table_line
from glyph_core.training.text_sources import Split, TextSources
from glyph_core.types import DocumentSource
from tests.tiny_checkpoint import make_tiny_glm4v

BY_NAME = {row.name: row for row in (*ROWS, *PIPELINE_ROWS)}
ROW = BY_NAME["mono, key-value"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prose in paragraphs, contracts in hard lines, and a Chinese book."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("long_text", "contracts"):
        (folder / name).mkdir()
    prose = "It was a fine morning in Vermont. The boats lay still. Nobody had come down to the harbour yet. "
    (folder / "long_text" / "a.txt").write_text("\n\n".join(prose * 6 for _ in range(60)))
    (folder / "contracts" / "b.txt").write_text("\n".join(f"{i}. The parties shall agree on it." for i in range(2000)))
    (folder / "long_text" / "c.md").write_text("话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。\n" * 900)
    return folder


@pytest.fixture(scope="module")
def maker(sources: TextSources, typesetter: Typesetter, real: Path) -> RowMaker:
    return RowMaker(sources.side(Split.HELD_OUT), typesetter, real, seed=4)


def pixels_of(source: DocumentSource) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(source.content)))


@pytest.mark.parametrize("name", [row.name for row in PIPELINE_ROWS])
def test_rows_have_the_questions_that_were_asked_for(maker: RowMaker, name: str) -> None:
    documents = maker.documents(BY_NAME[name], 20)
    questions = [question for document in documents for question in document.questions]
    assert len(questions) >= 20
    assert all(BY_NAME[name].counts(question) for question in questions)


@pytest.mark.parametrize("name", [row.name for row in PIPELINE_ROWS if row.filler])
def test_planted_facts_stand_in_the_text_once_and_the_filler_does_not_answer(maker: RowMaker, name: str) -> None:
    for document in maker.documents(BY_NAME[name], 30):
        text = " ".join(document.sources[0].content.decode().split())
        for question in document.questions:
            assert " ".join(question.answer.split()) in text


def test_filler_is_of_the_sort_that_was_asked_for(maker: RowMaker) -> None:
    def text_of(name: str) -> str:
        return maker.documents(BY_NAME[name], 10)[0].sources[0].content.decode()

    assert "harbour" in text_of("real prose, 1-4 pages")
    assert "parties shall" in text_of("real contracts, 1-4 pages")
    assert "天下大势" in text_of("Chinese pages")


def test_real_rows_need_a_folder(sources: TextSources, typesetter: Typesetter, tmp_path: Path) -> None:
    row = BY_NAME["real prose, 1-4 pages"]
    with pytest.raises(ConfigError, match="--real"):
        RowMaker(sources.side(Split.HELD_OUT), typesetter, None, 4).documents(row, 5)
    with pytest.raises(ConfigError, match="long_text"):
        RowMaker(sources.side(Split.HELD_OUT), typesetter, tmp_path, 4).documents(row, 5)


def test_a_blank_page_is_white_and_of_the_page_s_size(maker: RowMaker) -> None:
    row = BY_NAME["blank page (control)"]
    blank = maker.documents(row, 5)[0]
    drawn = maker.documents(replace(row, blank=False, is_control=False), 5)[0]
    assert blank.questions == drawn.questions
    assert pixels_of(blank.sources[0]).min() == 255


def test_the_control_asks_of_another_document(maker: RowMaker) -> None:
    for document in maker.documents(BY_NAME["wrong page (control)"], 20):
        assert all(question.answer not in document.sources[0].content.decode() for question in document.questions)


def test_a_scan_is_the_page_still_but_no_pixel_of_it(sources: TextSources) -> None:
    page = np.full((280, 224), 255, np.uint8)
    page[40:60, 30:180] = 0
    scanner = replace(Scanner.draw(Material(sources, Split.TRAIN, 3)), zoom=1.0)
    scanned = pixels_of(DocumentSource("s", scanner.scan(page, 1))).astype(float)
    assert scanned.shape == page.shape
    assert not np.array_equal(scanned, page)
    assert scanned[45:55, 40:170].mean() < 110 < 190 < scanned[100:].mean()
    assert scanner.scan(page, 1) == scanner.scan(page, 1) != scanner.scan(page, 2)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.from_pretrained(make_tiny_glm4v(tmp_path_factory.mktemp("tiny")))


def asked_document(number: int) -> AskedDocument:
    questions = tuple(Question(QuestionKind.NEEDLE, f"What is {i}?", "nothing") for i in range(5))
    return AskedDocument((DocumentSource("d", f"Page {number}".encode()),), PRESETS["mini"], questions)


def test_pages_are_encoded_once_for_all_their_questions(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = pipeline.encoder.encode
    monkeypatch.setattr(
        pipeline.encoder, "encode", lambda pages: encoded.extend(page.plan.digest for page in pages) or encode(pages)
    )
    outcomes = list(ask(pipeline, [asked_document(number) for number in range(3)], num_at_once=10))
    assert [len(outcome) for outcome in outcomes] == [10, 5]
    assert len(encoded) == len(set(encoded)) == 3
    assert all(len(outcome) == 0 or outcome[0].question == "What is 0?" for outcome in outcomes)
    assert all(asked.min_logprob <= asked.mean_logprob < 0 for outcome in outcomes for asked in outcome)


def outcome(*, right: bool, logprob: float = -0.1) -> Asked:
    return Asked("q", "a", "a" if right else "b", 0.9, logprob / 2, logprob, 2, 0)


def test_a_table_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table = Table.open(path, "glyph-mini", 7)
    table.add(RowResult(ROW.name, [outcome(right=True), outcome(right=False)], 1.5))
    again = Table.open(path, "glyph-mini", 8)
    assert again.seed == 7
    assert again.has(ROW.name, 2)
    assert not again.has(ROW.name, 3)
    assert not again.has("2-4 pages", 1)
    assert "| 0.500 |" in again.line(ROW)
    assert again.results == table.results
    assert len(Table.merged([path, path]).results[ROW.name].asked) == 4
    with pytest.raises(ConfigError, match="glyph-mini"):
        Table.open(path, "another", 7)


def test_intervals_and_lines() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(490, 500) == pytest.approx((0.9636, 0.9891), abs=1e-4)  # statsmodels' proportion_confint
    assert wilson_interval(0, 500)[0] == 0.0 < wilson_interval(0, 500)[1] < 0.01
    control: Row = BY_NAME["blank page (control)"]
    assert table_line(control, 1, 500, 500) == "| blank page (control) | 0.002 | 0.000–0.011 | 500 | 1.00 | ≤ 0.01 |"
