"""Rows of print: the lines that stand beside one another, and how the text of rows is joined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import Line, union

_TOUCH_EM, _WORD_GAP_EM = 0.15, 1.5  # gaps up to here are none, and one space; wider ones are a tab
_SAME_ROW = 0.5  # overlap in height, in heights of the lower line
# Scripts that are written without spaces between words
_UNSPACED = re.compile(r"[\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_HYPHENS = ("-", "\u2010")
_OPEN_ENDED = ("–", "—")  # between figures and names they stand without spaces
_BULLETS = r"[•◦▪▫■□●○‣⁃∙·\uf0b7\uf0a7\uf0d8➢✓✔❖]"
# No bullet: the dash before a page number, "- 12 -"
BULLET = re.compile(rf"({_BULLETS}|(?![-–—]\s*\d+\s*[-–—]\s*$)[-–—*](?=\s))\s*(?=\S)")
_NUMBERS = r"\(?(?:\d{1,3}|[A-Za-z]|[ivxlc]{1,6}|[IVXLC]{1,6})[.)]|\(?\d{1,2}(?:\.\d{1,2}){1,3}[.)]?|[①-⑳]"
NUMBER = re.compile(rf"({_NUMBERS})\s+(?=\S)")
_MARKER = re.compile(rf"{_BULLETS}|[-–—*o]|{_NUMBERS}")
_MAX_MARKER_GAP_EM = 8.0  # wider, and the marker is a column of its own
_WORD = re.compile(r"[^\W\d_]+")
_COMPOUND = re.compile(r"[^\W\d_]+-[^\W\d_]+")


@dataclass(slots=True)
class Row:
    """What is read from left to right in one go."""

    text: str
    box: Box
    size: float
    is_bold: bool
    is_gapped: bool  # there is a wide gap in it: rather a row of a table than prose
    marker: str = ""  # of an item, which begins here: "•", "2.1"
    text_left: float = 0.0  # where its text begins, after the marker

    @property
    def left(self) -> float:
        return self.box[0]


def rows_of(lines: Iterable[Line]) -> list[Row]:
    """``lines`` as rows, from top to bottom."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0])):
        if rows and _stands_beside(rows[-1], line):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_row(row) for row in rows]


def _stands_beside(row: list[Line], line: Line) -> bool:
    _, top, _, bottom = line.box
    for other in row:
        overlap = min(bottom, other.box[3]) - max(top, other.box[1])
        if overlap < _SAME_ROW * min(line.height, other.height):
            return False
        if min(line.box[2], other.box[2]) - max(line.box[0], other.box[0]) > 0.5 * line.size:
            return False  # one over the other
    return True


def _row(lines: list[Line]) -> Row:
    lines.sort(key=lambda line: line.box[0])
    text, is_gapped = lines[0].text, False
    has_marker = _begins_with_marker(lines)
    for before, line in pairwise(lines):
        gap = (line.box[0] - before.box[2]) / max(before.size, line.size)
        if before is lines[0] and has_marker:
            text = text.strip() + " " + line.text.lstrip()
        elif gap > _WORD_GAP_EM:
            text, is_gapped = text.rstrip() + "\t" + line.text.lstrip(), True
        elif gap > _TOUCH_EM and not text.endswith(" ") and not line.text.startswith(" "):
            text += " " + line.text
        else:
            text += line.text
    longest = max(lines, key=lambda line: len(line.text))
    row = Row(text.strip(), union([line.box for line in lines]), longest.size, longest.is_bold, is_gapped)
    if has_marker:
        row.marker, row.text_left = lines[0].text.strip(), lines[1].box[0]
    elif match := BULLET.match(row.text) or NUMBER.match(row.text):
        share = match.end() / len(row.text)  # as if all characters were equally wide
        row.marker, row.text_left = match[1], row.left + share * (row.box[2] - row.left)
    return row


def _begins_with_marker(lines: Sequence[Line]) -> bool:
    """Whether the first is an item's marker that stands by itself before the item's text."""
    if len(lines) < 2 or not _MARKER.fullmatch(lines[0].text.strip()):
        return False
    gap = lines[1].box[0] - lines[0].box[2]
    return 0 < gap <= _MAX_MARKER_GAP_EM * lines[1].size


def is_full(before: Row, row: Row, right: float) -> bool:
    """Whether ``before`` had no room left before ``right`` for the first word of ``row``: the text just went on."""
    word = row.text.split(maxsplit=1)[0]
    if len(word) > 0.7 * len(row.text):  # a script without spaces, or a last short word
        word = word[: max(1, len(word) // 8)]
    width = (row.box[2] - row.box[0]) * (len(word) + 1) / max(1, len(row.text))
    return before.box[2] + width > right - 0.5 * row.size


def text_of(lines: Sequence[Line], right: float) -> str:
    """The text of a cell whose right side is at ``right``: a row that was full goes on in the next."""
    rows = rows_of(lines)
    text = rows[0].text if rows else ""
    for before, row in pairwise(rows):
        goes_on = is_full(before, row, right) and not before.is_gapped and not row.is_gapped
        text = joined(text, row.text, frozenset()) if goes_on else f"{text}\n{row.text}"
    return text


def words_in(lines: Iterable[Line]) -> frozenset[str]:
    """The words of ``lines``, in lower case, less the halves of those that may be cut at a line's end."""
    words: set[str] = set()
    is_cut = False
    for line in lines:
        found = [word.lower() for word in _WORD.findall(line.text)]
        begun, is_cut = is_cut, line.text.rstrip().endswith(_HYPHENS)
        words.update(found[int(begun) : len(found) - int(is_cut)])
        words.update(compound.lower() for compound in _COMPOUND.findall(line.text))
    return frozenset(words)


def joined(before: str, after: str, words: frozenset[str]) -> str:
    """Two rows of a paragraph as running text: a word that was cut at the line's end is made whole.

    A hyphen between letters goes where the whole stands elsewhere in ``words``, and between lower-case letters also
    unless the compound or both its halves stand there, as with "long-" and "term". Where both sides are CJK nothing
    comes between them, else a space.
    """
    if before.endswith("\u00ad"):
        return before[:-1] + after
    if before.endswith(_HYPHENS) and before[-2:-1].isalpha() and after[:1].isalpha():
        left = _WORD.findall(before[:-1])[-1].lower()
        right = _WORD.findall(after)[0].lower()
        is_compound = f"{left}-{right}" in words or (left in words and right in words)
        is_cut = before[-2].islower() and after[0].islower() and not is_compound
        return before[:-1] + after if left + right in words or is_cut else before + after
    if before.endswith(_HYPHENS) and len(before) > 1 and before[-2].isalnum() and after[:1].isalnum():
        return before + after
    if before[-1:] in _OPEN_ENDED and before[-2:-1].isalnum() and after[:1].isalnum():
        return before + after
    if before.endswith("/") and "://" in before.rsplit(maxsplit=1)[-1]:
        return before + after
    if _UNSPACED.match(before[-1:]) and _UNSPACED.match(after[:1]):
        return before + after
    return f"{before} {after}"
