"""A page that cannot be drawn is one page less, and the answer says which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pymupdf
import pytest

from glyph_core.config import LimitConfig, PipelineConfig, RenderConfig, SamplingConfig, preset
from glyph_core.pipeline import Pipeline
from glyph_core.rendering import renderer as renderer_module
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource, PageError
from tests.tiny_checkpoint import make_tiny_glm4v

NATIVE = preset("mini").model_copy(update={"mode": "native", "dpi": 72.0})


@pytest.fixture(scope="module")
def scan() -> DocumentSource:
    """A PDF of three pages of pictures."""
    document = pymupdf.open()
    for shade in (30, 90, 150):
        page = document.new_page(width=300, height=200)
        page.draw_rect(pymupdf.Rect(20, 20, 200, 120), fill=(shade / 255,) * 3)
    return DocumentSource("scan.pdf", document.tobytes())


@pytest.fixture
def second_page_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    rasterise = renderer_module.rasterise

    def failing(
        source: DocumentSource, pages: Sequence[int], dpi: float, limits: LimitConfig
    ) -> list[np.ndarray | PageError]:
        drawn = rasterise(source, pages, dpi, limits)
        error = PageError(source.name, 1, "it took more than 4 s to draw")
        return [error if page == 1 else picture for page, picture in zip(pages, drawn, strict=True)]

    monkeypatch.setattr(renderer_module, "rasterise", failing)


@pytest.mark.usefixtures("second_page_fails")
def test_the_page_says_what_is_wrong_and_the_others_go_on(scan: DocumentSource) -> None:
    renderer = PageRenderer(NATIVE)
    assert renderer.plan(scan).page_errors == ()
    pages = renderer.render(scan, 0, 3)
    assert [page.error is None for page in pages] == [True, False, True]
    words, *others = (pages[index].pixels for index in (1, 0, 2))
    width = words.shape[1]
    narrow = preset("mini").model_copy(update={"page_width_px": width, "min_width_px": width, "snap_px": 1})
    told = PageRenderer(narrow).render(DocumentSource("a", str(pages[1].error).encode()), 0, 1)[0].pixels
    assert np.array_equal(words[: told.shape[0]], told)
    assert [int(picture[60, 100]) for picture in others] == pytest.approx([30, 150], abs=2)
    assert [error.page for error in renderer.plan(scan).page_errors] == [1]  # from now on it is known


@pytest.mark.usefixtures("second_page_fails")
def test_the_answer_names_the_missing_page_each_time(scan: DocumentSource, tmp_path: Path) -> None:
    pipeline = Pipeline.from_pretrained(make_tiny_glm4v(tmp_path), PipelineConfig(render=RenderConfig(**dict(NATIVE))))
    sampling = SamplingConfig(max_tokens=4)
    for _ in range(2):  # the second time its features and its blocks are still there
        answer = pipeline.ask([scan], "What is on it?", sampling=sampling)
        missing = [warning for warning in answer.warnings if "missing" in warning]
        assert missing == ["page 2 of 'scan.pdf' is missing: it took more than 4 s to draw"]
