"""Paragraphs, headings and items from the rows of a column."""

from __future__ import annotations

import re
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
_SHORT = 0.55  # of a column's width
_LABEL = re.compile(r"[^\W_a-z][^:：.;!?]{0,40}[:：](?:\s|$|(?<=：))")  # "Notice period: 45 days"
_OPEN_ENDS = ",，、-–—/&("
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


def paragraphs_of(rows: Sequence[Row], words: frozenset[str], room_right: float) -> list[Paragraph]:
    """``rows``, which stand one under the other, as paragraphs. ``words`` are those of the page that stand whole, and
    ``room_right`` is how far to the right there would have been room."""
    if not rows:
        return []
    gaps = [below.box[1] - above.box[3] for above, below in pairwise(rows)]
    near = [gap for gap, row in zip(gaps, rows, strict=False) if gap < row.size]
    usual = float(np.median(near)) if near else 0.0
    margin = _Margin.of(rows, room_right)
    reaches_out = _reaches_out(rows, margin)
    blocks = [_Growing([rows[0]])]
    for index, row in enumerate(rows[1:], 1):
        following = rows[index + 1] if index + 1 < len(rows) else None
        if _is_apart(blocks[-1].last, row, usual) or _begins(blocks[-1], row, following, margin, reaches_out):
            blocks.append(_Growing([row]))
        else:
            blocks[-1].rows.append(row)
    return [_paragraph(block.rows, margin, words) for block in blocks]


@dataclass(frozen=True, slots=True)
class _Margin:
    """Where the rows of a column end."""

    right: float
    is_short: bool  # no row comes near to the column's end: they were hardly broken for want of room

    @classmethod
    def of(cls, rows: Sequence[Row], room_right: float) -> _Margin:
        left = min(row.left for row in rows)
        right = float(np.quantile([row.box[2] for row in rows], 0.9))
        return cls(right, right - left < _SHORT * (room_right - left))

    def goes_on(self, before: Row, row: Row) -> bool:
        """Whether the text of ``before`` just went on in ``row``, because it had no more room."""
        if not is_full(before, row, self.right) or (_LABEL.match(row.text) and _LABEL.match(before.text)):
            return False
        begins_anew = row.text[0].isupper() or row.text[0].isdigit()
        return not self.is_short or not begins_anew or before.text[-1] in _OPEN_ENDS


def _is_apart(before: Row, row: Row, usual: float) -> bool:
    """Whether ``row`` is set apart by space or type."""
    gap = row.box[1] - before.box[3]
    if gap > usual + _NEW_BLOCK_EM * min(row.size, before.size) or gap < -2 * row.size:
        return True
    return max(row.size, before.size) > _OTHER_SIZE * min(row.size, before.size) or row.is_bold != before.is_bold


def _reaches_out(rows: Sequence[Row], margin: _Margin) -> bool:
    """Whether paragraphs reach out to the left with their first rows rather than being set in there: a row that is not
    full ends one, so the step after it tells."""
    votes = 0
    for before, row in pairwise(rows):
        step = row.left - before.left
        if abs(step) > _INDENT_EM * row.size and not margin.goes_on(before, row):
            votes += 1 if step < 0 else -1
    return votes > 0


def _begins(block: _Growing, row: Row, following: Row | None, margin: _Margin, reaches_out: bool) -> bool:
    """Whether ``row`` begins a new block, by its marker and by where it stands."""
    before, tolerance = block.last, _INDENT_EM * row.size
    goes_on = margin.goes_on(before, row)
    if row.marker and (BULLET.match(row.text) or before.text[-1] in _STOPS or not goes_on or _is_next_item(block, row)):
        return True
    if row.is_gapped or before.is_gapped:
        return False
    if block.hangs:
        body = block.rows[1].left
        return row.left < body - tolerance or (row.left > body + tolerance and not goes_on)
    indent = row.left - before.left
    if len(block.rows) == 1 and before.marker:  # what is set in goes on with the item
        return abs(indent) <= tolerance and not goes_on
    if indent <= tolerance:
        return False
    if following is not None and abs(following.left - row.left) < tolerance:
        return not goes_on  # the rest hangs, or something else is set in
    # A last row under a first one that reaches out; or the first of a paragraph, which goes on at the left.
    is_last = following is None or reaches_out or not margin.goes_on(row, following)
    return not (len(block.rows) == 1 and goes_on and is_last)


def _is_next_item(block: _Growing, row: Row) -> bool:
    """Whether ``row`` with its marker stands where the items of a list stand, and is no number in running text."""
    tolerance = _INDENT_EM * row.size
    if row.text_left - row.left > 2 * tolerance + len(row.marker) * row.size / 2:
        return True  # the gap after it is a list's
    if block.hangs:
        return row.left < block.rows[1].left - tolerance
    return bool(block.first.marker) and abs(row.left - block.first.left) < tolerance and len(block.rows) == 1


def _paragraph(rows: Sequence[Row], margin: _Margin, words: frozenset[str]) -> Paragraph:
    first = rows[0]
    text, marker = first.text, ""
    bullet = BULLET.match(text)
    if bullet and not first.is_gapped:
        text = text[bullet.end() :]
        marker = "•" if bullet[1] in _PRIVATE_BULLETS else bullet[1]
    for before, row in pairwise(rows):
        is_prose = margin.goes_on(before, row) and not before.is_gapped and not row.is_gapped
        text = joined(text, row.text, words) if is_prose else f"{text}\n{row.text}"
    is_bold = all(row.is_bold for row in rows)
    return Paragraph(text, union([row.box for row in rows]), first.size, is_bold, len(rows), marker)
