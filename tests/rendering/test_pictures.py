"""Pages of every kind stay as they were when somebody looked at them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.rendering.pictures import DRAWN, FOLDER, path_of

MEAN_TOLERANCE = 1.0  # of 255 levels: another FreeType or Typst rounds otherwise; text moved by a pixel makes 8 or more
MEAN_OF_SCAN = 3.0  # MuPDF resamples pictures a little otherwise from release to release


@pytest.mark.parametrize("name", DRAWN)
def test_a_page_looks_as_it_did(name: str) -> None:
    drawn = DRAWN[name]()
    assert len(drawn) == len(list(FOLDER.glob(f"{name}-*.png")))
    for number, pixels in enumerate(drawn):
        golden = np.asarray(Image.open(path_of(name, number)))
        assert pixels.shape == golden.shape
        difference = np.abs(pixels.astype(int) - golden).mean()
        assert difference <= (MEAN_OF_SCAN if name == "scan" else MEAN_TOLERANCE), "see tests/rendering/pictures.py"
        assert golden.std() > 20  # and it is no blank page
