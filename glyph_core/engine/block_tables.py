"""The block tables of running sequences on the device, brought up to date by what has changed.

A table of 80,000 tokens has 5,000 blocks and grows by one every 16 steps: making it anew for each step would take the
host longer than the step takes the device.

Shapes: R rows, W blocks of the longest context.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

import numpy as np
import torch

from glyph_core.engine.sequence import Sequence
from glyph_core.engine.transfer import to_device


class BlockTables:
    """Gives each sequence that runs a row. A sequence that has none any more gets another when it runs again."""

    def __init__(self, num_rows: int, width: int, device: torch.device) -> None:
        self.device_rows = torch.zeros(num_rows, width, dtype=torch.int32, device=device)  # (R, W); stays where it is
        self.host_rows = np.zeros((num_rows, width), dtype=np.int32)  # the same; entries beyond a table are stale
        self._free = list(range(num_rows))
        self._row_of: dict[Sequence, int] = {}  # the one that ran longest ago first

    def update(self, sequences: Seq[Sequence]) -> list[int]:
        """Brings the rows of a step's ``sequences`` up to date; their rows. Call it once a step, with all of them."""
        rows = [self._row(sequence) for sequence in sequences]
        places, blocks = [], []
        for row, sequence in zip(rows, sequences, strict=True):
            first, table = sequence.num_mirrored_blocks, sequence.block_table
            if first < len(table):
                self.host_rows[row, first : len(table)] = table[first:]
                blocks.append(self.host_rows[row, first : len(table)])
                start = row * self.host_rows.shape[1]
                places.append(np.arange(start + first, start + len(table)))
                sequence.num_mirrored_blocks = len(table)
        if blocks:
            changes = to_device(np.stack([np.concatenate(places), np.concatenate(blocks)]), self.device_rows.device)
            self.device_rows.flatten().index_copy_(0, changes[0], changes[1].int())
        return rows

    def forget(self, sequence: Sequence) -> None:
        """``sequence`` has ended; one without a row is fine."""
        row = self._row_of.pop(sequence, None)
        if row is not None:
            self._free.append(row)

    def _row(self, sequence: Sequence) -> int:
        row = self._row_of.pop(sequence, None)
        if row is None:
            row = self._free.pop() if self._free else self._take_oldest()
            sequence.num_mirrored_blocks = 0
        self._row_of[sequence] = row
        return row

    def _take_oldest(self) -> int:
        """The row of the sequence that ran longest ago: it is not in this step, which has no more than R."""
        oldest = next(iter(self._row_of))
        oldest.num_mirrored_blocks = 0
        return self._row_of.pop(oldest)
