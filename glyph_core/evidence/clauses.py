"""A document in clauses: paragraphs, headings, items of lists and rows of tables, each with what it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.evidence.folding import loosely

MAX_LABEL_CHARS = 80
MIN_CHARS = 2  # letters and digits of a clause
_NUMBER = re.compile(
    r"\s*(?P<number>(?:(?:section|article|clause|schedule|exhibit|annex|appendix)\s+)?"
    r"(?:\d+(?:\.\d+)*|[IVXLC]{1,5}(?=\.)|§+\s*\d+|\([a-z0-9]{1,3}\))[.):]?"
    r"|第[一二三四五六七八九十百千零〇\d]+[条章节款])(?=\s|$|\D)",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(r"[\s\divxlc.–—-]*", re.IGNORECASE)
_GAP = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"\n\s*")


@dataclass(frozen=True, slots=True)
class Clause:
    """Characters ``[start, stop)`` of a document's text."""

    start: int
    stop: int
    text: str  # white space as single blanks
    number: str  # "4.2", "(a)", "第三条"; empty: it has none
    label: str  # number and first words, or those of the clause or heading that it belongs to
    is_heading: bool = False


def clauses_of(document: Document) -> list[Clause]:
    """In reading order; page numbers and the like are none."""
    clauses: list[Clause] = []
    label = ""
    for start, stop, is_heading in _pieces(document):
        text = " ".join(document.text[start:stop].split())
        if sum(character.isalnum() for character in text) < MIN_CHARS or _PAGE_NUMBER.fullmatch(text):
            continue
        match = _NUMBER.match(text)
        if match or is_heading:
            label = text if len(text) <= MAX_LABEL_CHARS else text[: MAX_LABEL_CHARS - 1].rstrip() + "…"
        number = loosely(match["number"]).strip(".):") if match else ""
        clauses.append(Clause(start, stop, text, number, label, is_heading))
    return clauses


def _pieces(document: Document) -> Iterator[tuple[int, int, bool]]:
    """(start, stop, whether it is a heading)."""
    for block, start in zip(document.blocks, document.starts, strict=True):
        if isinstance(block, TextBlock) and block.kind != "plain":
            yield start, start + len(block.text), block.kind == "heading"
        elif block.text:
            for first, last in _split(block.text):
                yield start + first, start + last, False


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Text that only its line ends divide: at blank lines where it has some, within those where a number begins a line;
    else at each line, as rows of a table."""
    has_gaps = _GAP.search(text) is not None
    at = 0
    for match in [*(_GAP if has_gaps else _LINE).finditer(text), None]:
        stop = match.start() if match else len(text)
        yield from _at_numbers(text, at, stop)
        at = match.end() if match else stop


def _at_numbers(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    at = start
    for match in _LINE.finditer(text, start, stop):
        if _NUMBER.match(text, match.end(), stop):
            yield at, match.start()
            at = match.end()
    if at < stop:
        yield at, stop
