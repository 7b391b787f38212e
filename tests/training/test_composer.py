"""Pages composed from the atlas are the renderer's pages, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glyph_core.rendering.renderer import PageRenderer
from glyph_core.training.batch import BLOCK_PX
from glyph_core.training.charset import CHARSET
from glyph_core.training.composer import Composer, page_of_blocks
from glyph_core.training.generator import DocumentSpec, generate
from glyph_core.training.looks import LOOKS, LaidOutPage, Typesetter
from glyph_core.training.material import Material
from glyph_core.training.text_sources import Split, TextSources
from glyph_core.types import DocumentSource


def compose(typesetter: Typesetter, pages: list[LaidOutPage]) -> list[np.ndarray]:
    table = typesetter.ink_table()
    grids = [(-(-page.width_px // BLOCK_PX), -(-page.height_px // BLOCK_PX)) for page in pages]
    cells = np.concatenate([page.cells for page in pages]).astype(np.int32)
    blocks = Composer(table, torch.device("cpu")).compose(
        torch.from_numpy(cells), torch.from_numpy(np.concatenate([page.xy for page in pages])),
        torch.tensor([len(page.cells) for page in pages]), torch.tensor(grids),
        sum(columns * rows for columns, rows in grids), int((table.starts[cells + 1] - table.starts[cells]).sum()),
    )  # fmt: skip
    composed = []
    for page, (columns, rows) in zip(pages, grids, strict=True):
        whole = page_of_blocks(blocks[: columns * rows], columns, rows).numpy()
        blocks = blocks[columns * rows :]
        composed.append(whole[: page.height_px, : page.width_px])
    return composed


@pytest.mark.parametrize("look", LOOKS)
def test_composed_pages_equal_rendered_pages(look: str, sources: TextSources, typesetter: Typesetter) -> None:
    material = Material(sources.side(Split.TRAIN), Split.TRAIN, seed=11)
    text = generate(material, DocumentSpec(60, 200, 1)).text + "\n" + CHARSET
    source = DocumentSource("generated.txt", text.encode())
    rendered = PageRenderer(LOOKS[look]).render(source, 0, len(PageRenderer(LOOKS[look]).plan(source).pages))
    composed = compose(typesetter, typesetter.lay_out(text, look, LOOKS[look]))
    assert len(composed) == len(rendered) > 1
    for page, reference in zip(composed, rendered, strict=True):
        np.testing.assert_array_equal(page, reference.pixels)
        assert (page < 128).any()


def test_every_character_of_the_set_has_a_glyph(typesetter: Typesetter) -> None:
    for look, config in LOOKS.items():
        pages = typesetter.lay_out(" ".join(CHARSET), look, config)
        assert {int(c) for page in pages for c in page.classes} >= set(range(2, len(CHARSET) + 1))  # 1 is the space
