"""What preset ``mini`` puts on a page is final: the shipped checkpoint reads exactly these pixels."""

from __future__ import annotations

import freetype
import numpy as np
import pytest

from tests.rendering.golden import FOLDER, NAMES, draw, read

FREETYPE = (2, 13, 2)  # that drew them: freetype-py 2.5.1 carries it


@pytest.mark.parametrize("name", NAMES)
def test_golden_pages(name: str) -> None:
    """Equal to the last bit; another FreeType may hint and round a little otherwise, which reading survives."""
    drawn, golden = draw(name), read(name)
    assert drawn.shape == golden.shape
    difference = np.abs(drawn.astype(int) - golden)
    allowed_mean = 0 if freetype.version() == FREETYPE else 0.5  # of 255 levels; a page moved by 1 px makes 15
    assert difference.mean() <= allowed_mean, "the look of preset mini changed: see tests/rendering/golden.py"


def test_golden_pages_show_every_printable_ascii_character() -> None:
    shown = {char for name in NAMES for char in (FOLDER / f"{name}.txt").read_text(encoding="utf-8")}
    assert set(map(chr, range(0x20, 0x7F))) <= shown
