"""Lines of text and ruling lines of a page, as MuPDF's structured text has them. Boxes are in points, y downwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from glyph_core.documents.blocks import Box
from glyph_core.documents.symbols import readable

_MONO, _BOLD = 8, 16  # of a span's flags
_VISIBLE = 16 | 32 | 64  # of its char_flags: filled, stroked or clipped to
_BOLD_NAME = re.compile(r"bold|black|heavy|semibold|CMBX", re.IGNORECASE)
_MONO_NAME = re.compile(r"mono|courier|consol|typewriter|CMTT", re.IGNORECASE)
_STRAIGHT = 0.999  # cosine of the angle to the horizontal


@dataclass(slots=True)
class Line:
    """A run of text on one base line. MuPDF cuts a printed line where a gap is wide."""

    text: str
    box: Box
    size: float  # of most of its characters, in points
    is_bold: bool  # most of it
    is_mono: bool  # all of it in a font whose characters are equally wide
    is_straight: bool  # from left to right, not turned, not vertical
    num_hidden: int  # characters that are neither filled nor stroked

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def lines_of(page: dict[str, Any]) -> list[Line]:
    """The lines of ``page``, MuPDF's "dict", in the order in which they are drawn; those of white space left out."""
    return [
        made
        for block in page["blocks"]
        if block["type"] == 0
        for line in block["lines"]
        if (made := _line_of(line)) is not None
    ]


def _line_of(line: dict[str, Any]) -> Line | None:
    spans = line["spans"]
    text = "".join(readable(span["text"], span["font"].partition("+")[2] or span["font"]) for span in spans)
    if not text.strip():
        return None
    lengths = [len(span["text"]) for span in spans]
    longest = spans[lengths.index(max(lengths))]
    num_bold = sum(
        n for span, n in zip(spans, lengths, strict=True) if span["flags"] & _BOLD or _BOLD_NAME.search(span["font"])
    )
    num_hidden = sum(
        n for span, n in zip(spans, lengths, strict=True) if not span["char_flags"] & _VISIBLE or not span["alpha"]
    )
    return Line(
        text=text.replace("\xa0", " "),
        box=line["bbox"],
        size=longest["size"],
        is_bold=2 * num_bold > len(text),
        is_mono=all(span["flags"] & _MONO or _MONO_NAME.search(span["font"]) for span in spans),
        is_straight=line["dir"][0] > _STRAIGHT and line["wmode"] == 0,
        num_hidden=num_hidden,
    )


def vectors_of(page: dict[str, Any]) -> list[Box]:
    """The boxes of what is drawn on ``page``: lines, rectangles, curves."""
    return [block["bbox"] for block in page["blocks"] if block["type"] == 3]


def union(boxes: list[Box]) -> Box:
    """The smallest box around ``boxes``."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def holds(outer: Box, inner: Box) -> bool:
    """Whether the middle of ``inner`` lies in ``outer``."""
    x, y = middle(inner)
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]
