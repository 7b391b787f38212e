"""From the pages to the answer: calibration and range as a checkpoint declares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glyph_core.answering.confidence import calibrated, mean_probability
from glyph_core.config import EngineConfig, PipelineConfig, SamplingConfig
from glyph_core.model.declaration import Calibration
from glyph_core.pipeline import Pipeline
from glyph_core.types import Answer, DocumentSource
from tests.tiny_checkpoint import make_tiny_glm4v

CALIBRATION = Calibration(bias=3.0, weakest_token=0.4, whole_answer=0.1, absent=-1.0)
LOOK = {"font": "mono", "font_size_px": [11, 12], "line_height_px": [14, 14], "cell_width_px": 7}
READS = {"looks": [LOOK], "max_pages": 2, "scripts": ["Latin"]}
LATIN, HALF = (DocumentSource("d", text.encode()) for text in ("abcd efgh", "abcd 三国演义"))
SHORT = SamplingConfig(max_tokens=6, ignore_eos=True)


def ask(folder: Path, source: DocumentSource, **declared: Any) -> Answer:
    (folder / "glyph_config.json").write_text(json.dumps({"render_preset": "mini", **declared}))
    small = PipelineConfig(engine=EngineConfig(num_blocks=32))
    return Pipeline.from_pretrained(folder, small).ask([source], "Which?", sampling=SHORT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


def test_nothing_declared(folder: Path) -> None:
    answer = ask(folder, HALF)
    assert len(answer.token_logprobs) == 6
    assert answer.confidence == mean_probability(answer.token_logprobs)
    assert not answer.confidence_is_calibrated
    assert answer.warnings == ()


def test_confidence_is_calibrated_where_the_checkpoint_says_how(folder: Path) -> None:
    answer = ask(folder, LATIN, calibration=CALIBRATION.model_dump(), absent_answer="not stated")
    assert answer.confidence_is_calibrated
    assert answer.confidence == calibrated(CALIBRATION, answer.token_logprobs, is_absent=False)


def test_that_nothing_was_found_is_worth_as_much_as_was_legible(folder: Path) -> None:
    found = ask(folder, HALF, reads=READS)
    assert len(found.warnings) == 1
    assert "4 of 8 letters of the documents" in found.warnings[0]
    absent = ask(folder, HALF, reads=READS, absent_answer=found.text)
    assert absent.warnings == found.warnings
    assert absent.text == found.text
    assert absent.confidence == pytest.approx(found.confidence / 2)


def test_pages_that_it_cannot_read_at_all(folder: Path) -> None:
    other_look = {**READS, "looks": [{**LOOK, "line_height_px": [10, 12]}]}
    text = ask(folder, LATIN).text
    absent = ask(folder, LATIN, reads=other_look, absent_answer=text)
    assert (absent.text, absent.confidence) == (text, 0.0)
    assert "does not read well" in absent.warnings[0]


def test_that_nothing_was_found_comes_with_what_the_model_is_for(folder: Path) -> None:
    about = "is a model of six tokens"
    found = ask(folder, LATIN, about=about)
    assert found.warnings == ()
    absent = ask(folder, LATIN, about=about, absent_answer=found.text)
    assert absent.warnings == (f"nothing was found; {folder.name} {about}",)


def test_inside_the_range_nothing_changes(folder: Path) -> None:
    plain = ask(folder, LATIN)
    declared = ask(folder, LATIN, reads=READS, absent_answer=plain.text)
    assert (declared.confidence, declared.warnings) == (plain.confidence, ())
