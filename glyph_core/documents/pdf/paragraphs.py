"""Paragraphs, headings and items from the rows of a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import union
from glyph_core.documents.pdf.rows import Row, is_full, joined

_NEW_BLOCK_EM = 0.5  # more space between two rows than usual by so much begins a block
_OTHER_SIZE = 1.12  # rows whose sizes differ by this factor are of different blocks
_INDENT_EM = 0.8
_BULLET = re.compile(r"([•◦▪▫■□●○‣⁃∙·\uf0b7\uf0a7\uf0d8➢✓✔❖]|[-–—*](?=\s))\s*(?=\S)")
_STOPS = ".;:!?。；：！？"  # before a number these end what stood there; else the sentence may go on with it
_PRIVATE_BULLETS = "\uf0b7\uf0a7\uf0d8"  # of the Symbol and Wingdings fonts
_NUMBER = re.compile(r"(?:\(?(?:\d{1,3}|[a-z]|[ivxlc]{1,6})[.)]|\d{1,2}(?:\.\d{1,2}){1,3}\.?|[①-⑳])\s+(?=\S)")


@dataclass(slots=True)
class Paragraph:
    """Text that belongs together. ``kind`` is settled when the whole document is known."""

    text: str
    box: Box
    size: float
    is_bold: bool
    num_rows: int
    marker: str = ""  # of an item


def paragraphs_of(rows: Sequence[Row], words: frozenset[str]) -> list[Paragraph]:
    """``rows``, which stand one under the other, as paragraphs. ``words`` are those of the page that stand whole."""
    if not rows:
        return []
    gaps = [below.box[1] - above.box[3] for above, below in pairwise(rows)]
    near = [gap for gap, row in zip(gaps, rows, strict=False) if gap < row.size]
    usual = float(np.median(near)) if near else 0.0
    right = float(np.quantile([row.box[2] for row in rows], 0.9))
    made: list[Paragraph] = []
    for index, row in enumerate(rows):
        before = rows[index - 1] if index else None
        if before is None or _begins(before, row, rows[index + 1 : index + 2], usual):
            made.append(_paragraph(row))
        else:
            last = made[-1]
            is_prose = is_full(before, row, right) and not before.is_gapped and not row.is_gapped
            last.text = joined(last.text, row.text, words) if is_prose else f"{last.text}\n{row.text}"
            last.box = union([last.box, row.box])
            last.num_rows += 1
            last.is_bold &= row.is_bold
    return made


def _begins(before: Row, row: Row, following: Sequence[Row], usual: float) -> bool:
    """Whether ``row`` begins a new block."""
    gap = row.box[1] - before.box[3]
    if gap > usual + _NEW_BLOCK_EM * min(row.size, before.size) or gap < -2 * row.size:
        return True
    if max(row.size, before.size) > _OTHER_SIZE * min(row.size, before.size) or row.is_bold != before.is_bold:
        return True
    if _BULLET.match(row.text) or (_NUMBER.match(row.text) and before.text[-1] in _STOPS):
        return True
    indent = row.box[0] - before.box[0]
    hangs = bool(following) and abs(following[0].box[0] - row.box[0]) < _INDENT_EM * row.size
    return indent > _INDENT_EM * row.size and not hangs and not _BULLET.match(before.text) and not row.is_gapped


def _paragraph(row: Row) -> Paragraph:
    bullet = _BULLET.match(row.text)
    if bullet and not row.is_gapped:
        text = row.text[bullet.end() :]
        return Paragraph(text, row.box, row.size, row.is_bold, 1, "•" if bullet[1] in _PRIVATE_BULLETS else bullet[1])
    return Paragraph(row.text, row.box, row.size, row.is_bold, 1)
