"""Pages on the GPU: atlas cells are added up where the renderer would subtract them from white paper.

The renderer's drawing is a saturating subtraction of coverage from 255. Coverages only ever subtract, so the order
does not matter and ``255 - min(255, sum of coverages)`` is the same page: a scatter-add and a clamp.
Pages are kept as blocks of 28×28 px, one visual token each, row by row.

Suffixes as in batch.py: G glyphs, P pages, B blocks as composed.
"""

from __future__ import annotations

import torch

from glyph_core.training.batch import BLOCK_PX
from glyph_core.training.looks import InkTable

BLOCK_AREA = BLOCK_PX * BLOCK_PX


class Composer:
    """Holds the ink of all looks on ``device``."""

    def __init__(self, table: InkTable, device: torch.device) -> None:
        self._starts = torch.from_numpy(table.starts).to(device)
        self._dx = torch.from_numpy(table.dx).to(device)
        self._dy = torch.from_numpy(table.dy).to(device)
        self._coverage = torch.from_numpy(table.coverage).to(device)

    def compose(
        self,
        cells: torch.Tensor,
        xy: torch.Tensor,
        glyph_counts: torch.Tensor,
        grids: torch.Tensor,
        num_blocks: int,
        num_pixels: int,
    ) -> torch.Tensor:
        """cells (G,), xy (G, 2), glyph_counts (P,), grids (P, 2: columns, rows) → coverage (B, 28, 28) uint8.

        ``num_blocks`` is B and ``num_pixels`` the number of inked pixels of all cells, so that nothing has to be read
        back from the device.
        """
        num_glyphs = len(cells)
        page_starts = torch.cumsum(grids.prod(1), 0) - grids.prod(1)
        page_of = torch.repeat_interleave(glyph_counts.long(), output_size=num_glyphs)
        counts = self._starts[cells + 1] - self._starts[cells]
        glyph_of = torch.repeat_interleave(counts.long(), output_size=num_pixels)  # (pixels,)
        first = torch.cumsum(counts, 0, dtype=torch.int32) - counts
        ink = torch.arange(num_pixels, device=cells.device, dtype=torch.int32) + (self._starts[cells] - first)[glyph_of]
        x = xy[:, 0].int()[glyph_of] + self._dx[ink].int()
        y = xy[:, 1].int()[glyph_of] + self._dy[ink].int()
        columns, start = grids[page_of, 0].int()[glyph_of], page_starts[page_of].int()[glyph_of]
        block = start + (y // BLOCK_PX) * columns + x // BLOCK_PX
        target = block * BLOCK_AREA + (y % BLOCK_PX) * BLOCK_PX + x % BLOCK_PX
        coverage = torch.zeros(num_blocks * BLOCK_AREA, dtype=torch.int32, device=cells.device)
        coverage.index_add_(0, target, self._coverage[ink].int())
        return coverage.clamp_(max=255).to(torch.uint8).view(num_blocks, BLOCK_PX, BLOCK_PX)


def page_of_blocks(blocks: torch.Tensor, columns: int, rows: int) -> torch.Tensor:
    """coverage (rows * columns, 28, 28) uint8 → page (rows * 28, columns * 28) uint8, black on white."""
    picture = blocks.view(rows, columns, BLOCK_PX, BLOCK_PX).transpose(1, 2)
    return 255 - picture.reshape(rows * BLOCK_PX, columns * BLOCK_PX)
