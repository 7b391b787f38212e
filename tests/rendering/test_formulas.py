"""Formulas as pictures: they can be read, nothing in them is run, and what cannot be set is shown as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glyph_core.config import preset
from glyph_core.documents.blocks import FormulaBlock, TextBlock
from glyph_core.rendering.formulas import set_formula
from glyph_core.rendering.text import TextPages
from tests.rendering.documents import laid_out, read_back

GLYPH = preset("glyph-en")
MATRIX = r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}"
CASES = r"f(x)=\begin{cases} x^2 & x>0 \\ -x & \text{otherwise} \end{cases}"
INTEGRAL = r"\frac{1}{\sqrt{2\pi}}\int_{-\infty}^\infty e^{-x^2/2}\,dx"


@pytest.mark.parametrize("latex", [MATRIX, CASES, INTEGRAL, r"\frac{1}{z}dz", r"a = b \#(1)"])
def test_a_formula_is_a_picture_of_twelve_pixels_or_more(latex: str) -> None:
    small, large = set_formula(latex, 12), set_formula(latex, 24)
    assert small is not None
    assert large is not None
    assert small.dtype == np.uint8
    assert small.min() < 40
    assert small.max() == 255
    assert large.shape[1] == pytest.approx(2 * small.shape[1], rel=0.1)
    pages = laid_out(GLYPH, FormulaBlock(latex))  # with a font of 9 px
    assert isinstance(pages, TextPages)
    assert np.array_equal(pages.filled.pictures[0].pixels, small)
    assert pages.warnings == ()


def test_its_span_is_its_picture() -> None:
    pages = laid_out(GLYPH, TextBlock("x", "paragraph"), FormulaBlock(MATRIX))
    text, formula = pages.spans(0)
    assert (text.start, text.stop) == (0, 1)
    assert (formula.start, formula.stop) == (2, 2 + len(MATRIX))
    left, top, right, bottom = formula.box
    assert (pages.draw(0, 1)[0].pixels[top:bottom, left:right] < 128).any()


@pytest.mark.parametrize("latex", [r"\foo{a}", r"\begin{matrix} a", "{" * 500, "x" * 5000])
def test_what_cannot_be_set_is_shown_as_latex_and_counted(latex: str) -> None:
    pages = laid_out(GLYPH, FormulaBlock(MATRIX), FormulaBlock(latex), FormulaBlock(latex))
    (warning,) = pages.warnings
    assert warning.startswith("2 of 3 formulas could not be typeset")
    text = "\n".join([MATRIX, latex, latex])
    assert read_back(pages, text) == "".join((latex + latex).split())


@pytest.mark.parametrize(
    "attack", [r"\text{#read(%r)}", r"\text{] std.read(%r) [}", r"\text{] #eval(%r) [}", "#read(%r)", "std.read(%r)"]
)
def test_no_code_is_run(attack: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0" * 40)
    latex = attack.replace("%r", f'"{secret}"')
    pixels = set_formula(latex, 12)
    if pixels is not None:  # then it is the characters of the call, as letters of a formula
        without = set_formula(attack.replace("%r", '""'), 12)
        assert without is not None
        assert pixels.shape[1] > without.shape[1] + 100


def test_text_where_the_model_knows_plain_text_only() -> None:
    pages = laid_out(preset("mini"), FormulaBlock(MATRIX))
    assert read_back(pages, MATRIX) == "".join(MATRIX.split())
    assert pages.warnings == ()
