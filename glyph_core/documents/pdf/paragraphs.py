"""Paragraphs, headings and items from the rows of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import union
from glyph_core.documents.pdf.rows import BULLET, Row, is_full, joined

_NEW_BLOCK_EM = 0.5  # more space between two rows than usual by so much begins a block
_OTHER_SIZE = 1.12  # rows whose sizes differ by this factor are of different blocks
_INDENT_EM = 0.8
_HANGING_EM = 1.5  # beyond its item's text a row is no more of it
_STOPS = ".;:!?。；：！？"  # before a number these end what stood there; else the sentence may go on with it
_PRIVATE_BULLETS = "\uf0b7\uf0a7\uf0d8"  # of the Symbol and Wingdings fonts


@dataclass(slots=True)
class Paragraph:
    """Text that belongs together. ``kind`` is settled when the whole document is known."""

    text: str
    box: Box
    size: float
    is_bold: bool
    num_rows: int
    marker: str = ""  # of an item


@dataclass(slots=True)
class _Growing:
    """A block on its way, and the rows that it is made of."""

    rows: list[Row] = field(default_factory=list)

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def last(self) -> Row:
        return self.rows[-1]

    @property
    def hangs(self) -> bool:
        """Whether its first row reaches out to the left, as that of an item or a reference does."""
        return len(self.rows) > 1 and self.rows[1].left - self.first.left > _INDENT_EM * self.first.size


def paragraphs_of(rows: Sequence[Row], words: frozenset[str]) -> list[Paragraph]:
    """``rows``, which stand one under the other, as paragraphs. ``words`` are those of the page that stand whole."""
    if not rows:
        return []
    gaps = [below.box[1] - above.box[3] for above, below in pairwise(rows)]
    near = [gap for gap, row in zip(gaps, rows, strict=False) if gap < row.size]
    usual = float(np.median(near)) if near else 0.0
    right = float(np.quantile([row.box[2] for row in rows], 0.9))
    reaches_out = _reaches_out(rows, right)
    blocks = [_Growing([rows[0]])]
    for index, row in enumerate(rows[1:], 1):
        following = rows[index + 1] if index + 1 < len(rows) else None
        if _is_apart(blocks[-1].last, row, usual) or _begins(blocks[-1], row, following, right, reaches_out):
            blocks.append(_Growing([row]))
        else:
            blocks[-1].rows.append(row)
    return [_paragraph(block.rows, right, words) for block in blocks]


def _is_apart(before: Row, row: Row, usual: float) -> bool:
    """Whether ``row`` is set apart by space or type."""
    gap = row.box[1] - before.box[3]
    if gap > usual + _NEW_BLOCK_EM * min(row.size, before.size) or gap < -2 * row.size:
        return True
    return max(row.size, before.size) > _OTHER_SIZE * min(row.size, before.size) or row.is_bold != before.is_bold


def _reaches_out(rows: Sequence[Row], right: float) -> bool:
    """Whether paragraphs reach out to the left with their first rows rather than being set in there: a row that is not
    full ends one, so the step after it tells."""
    votes = 0
    for before, row in pairwise(rows):
        step = row.left - before.left
        if abs(step) > _INDENT_EM * row.size and not is_full(before, row, right):
            votes += 1 if step < 0 else -1
    return votes > 0


def _begins(block: _Growing, row: Row, following: Row | None, right: float, reaches_out: bool) -> bool:
    """Whether ``row`` begins a new block, by its marker and by where it stands."""
    before, tolerance = block.last, _INDENT_EM * row.size
    goes_on = is_full(before, row, right)
    if row.marker and (BULLET.match(row.text) or before.text[-1] in _STOPS or not goes_on or _is_next_item(block, row)):
        return True
    if row.is_gapped or before.is_gapped:
        return False
    if block.hangs:
        body = block.rows[1].left
        return row.left < body - tolerance or (row.left > body + tolerance and not goes_on)
    indent = row.left - before.left
    if len(block.rows) == 1 and before.marker:
        if tolerance < indent and row.left < before.text_left + _HANGING_EM * row.size:
            return False
        return abs(indent) <= tolerance and not goes_on
    if indent <= tolerance:
        return False
    if following is not None and abs(following.left - row.left) < tolerance:
        return not goes_on  # the rest hangs, or something else is set in
    # A last row under a first one that reaches out; or the first of a paragraph, which goes on at the left.
    is_last = following is None or reaches_out or not is_full(row, following, right)
    return not (len(block.rows) == 1 and goes_on and is_last)


def _is_next_item(block: _Growing, row: Row) -> bool:
    """Whether ``row`` with its marker stands where the items of a list stand, and is no number in running text."""
    tolerance = _INDENT_EM * row.size
    if row.text_left - row.left > 2 * tolerance + len(row.marker) * row.size / 2:
        return True  # the gap after it is a list's
    if block.hangs:
        return row.left < block.rows[1].left - tolerance
    return bool(block.first.marker) and abs(row.left - block.first.left) < tolerance and len(block.rows) == 1


def _paragraph(rows: Sequence[Row], right: float, words: frozenset[str]) -> Paragraph:
    first = rows[0]
    text, marker = first.text, ""
    bullet = BULLET.match(text)
    if bullet and not first.is_gapped:
        text = text[bullet.end() :]
        marker = "•" if bullet[1] in _PRIVATE_BULLETS else bullet[1]
    for before, row in pairwise(rows):
        is_prose = is_full(before, row, right) and not before.is_gapped and not row.is_gapped
        text = joined(text, row.text, words) if is_prose else f"{text}\n{row.text}"
    is_bold = all(row.is_bold for row in rows)
    return Paragraph(text, union([row.box for row in rows]), first.size, is_bold, len(rows), marker)
