"""Small signs beside the base line, such as the "th" of 18th or a note's number, that a file draws after the line.

Where a line leaves a gap for one, MuPDF has the line without it, and the sign as a line of its own over or under the
gap: read by itself it would be a paragraph that cuts the one around it in two. Runs in a worker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import Line

_MAX_CHARS = 4  # of a sign; the line has more
_SMALLER = (1.25, 2.5)  # times as large is the line's type
_BESIDE = 0.5  # of the sign's height, that stands at the height of the line
_COVERED = 0.3  # of the sign's width, that letters of the line may reach over or under it

Characters = list[tuple[str, Box]]


def put_into_gaps(lines: Sequence[Line], rawdict: Callable[[], dict[str, Any]]) -> list[Line]:
    """``lines`` of a page with such signs in their places; ``rawdict`` makes MuPDF's of the same page, if there is need
    for it."""
    long = [line for line in lines if len(line.text) > _MAX_CHARS and line.is_straight]
    short = [line for line in lines if len(line.text.strip()) <= _MAX_CHARS and line.is_straight]
    signs = [(line, hosts) for line in short if (hosts := _hosts_of(line, long))]
    if not signs:
        return list(lines)
    characters = _characters(rawdict())
    inserted: dict[int, list[tuple[int, str]]] = {}  # by the host's id: places in its text
    taken: set[int] = set()
    for sign, hosts in signs:
        for host in hosts:
            place = _gap(sign.box, characters.get(host.box, []), host)
            if place is not None:
                inserted.setdefault(id(host), []).append((place, sign.text.strip()))
                taken.add(id(sign))
                break
    return [_with(line, inserted.get(id(line), [])) for line in lines if id(line) not in taken]


def _hosts_of(sign: Line, lines: Sequence[Line]) -> list[Line]:
    """Those of ``lines`` that ``sign`` stands inside of, as far as their boxes say, the nearest first."""
    left, top, right, bottom = sign.box
    found = [
        line
        for line in lines
        if line.box[0] < left
        and right < line.box[2]
        and min(bottom, line.box[3]) - max(top, line.box[1]) >= _BESIDE * sign.height
        and _SMALLER[0] * sign.size <= line.size <= _SMALLER[1] * sign.size
    ]
    return sorted(found, key=lambda line: abs(line.box[1] + line.box[3] - top - bottom))


def _characters(page: dict[str, Any]) -> dict[Box, Characters]:
    """Of each line, by its box."""
    return {
        line["bbox"]: [(char["c"], char["bbox"]) for span in line["spans"] for char in span["chars"]]
        for block in page["blocks"]
        if block["type"] == 0
        for line in block["lines"]
    }


def _gap(sign: Box, characters: Characters, host: Line) -> int | None:
    """Where in the host's text the sign belongs; None where there is no gap for it."""
    if len(characters) != len(host.text):
        return None
    left, _, right, _ = sign
    for character, (begin, _, end, _) in characters:
        if not character.isspace() and min(end, right) - max(begin, left) > _COVERED * (right - left):
            return None
    return bisect_left(characters, left, key=lambda one: (one[1][0] + one[1][2]) / 2)


def _with(line: Line, inserted: list[tuple[int, str]]) -> Line:
    text = line.text
    for place, sign in sorted(inserted, reverse=True):
        text = text[:place] + sign + text[place:]
    return replace(line, text=text) if inserted else line
