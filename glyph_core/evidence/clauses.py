"""A document in clauses: paragraphs, headings, items of lists and rows of tables, each with what it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.evidence.folding import loosely

MAX_LABEL_CHARS = 80
MIN_CHARS = 2  # letters and digits of a clause
Kind = Literal["text", "heading", "aside"]  # aside: a page's number, a running head or foot
_KINDS: dict[str, Kind] = {"heading": "heading", "note": "aside"}
_NUMBER = re.compile(
    r"\s*(?P<number>(?:(?:section|article|clause|schedule|exhibit|annex|appendix)\s+)?"
    r"(?:\d+(?:\.\d+)*|[IVXLC]{1,5}(?=\.)|§+\s*\d+|\([a-z0-9]{1,3}\))[.):]?"
    r"|第[一二三四五六七八九十百千零〇\d]+[条章节款])(?=\s|$|\D)",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(r"[\s\divxlc.–—-]*", re.IGNORECASE)
_FIELD = re.compile(r"[^\s:：.][^:：.]{0,39}[:：][ \t]*\S")  # such as "Notice period: 30 days"
_GAP = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"\n\s*")


@dataclass(frozen=True, slots=True)
class Clause:
    """Characters ``[start, stop)`` of a document's text."""

    start: int
    stop: int
    text: str  # white space as single blanks
    number: str  # "4.2", "(a)", "第三条"; empty: it has none
    body: str  # the text after the number
    label: str  # number and first words, or those of the clause or heading that it belongs to
    kind: Kind = "text"

    @property
    def is_aside(self) -> bool:
        return self.kind == "aside"


def clauses_of(document: Document) -> list[Clause]:
    """In reading order."""
    clauses: list[Clause] = []
    label = ""
    for start, stop, kind, marker in _pieces(document):
        clause = clause_at(document.text, start, stop, label, kind, marker)
        if clause.text:
            clauses.append(clause)
            label = clause.label
    return clauses


def clause_at(document_text: str, start: int, stop: int, label: str, kind: Kind, marker: str = "") -> Clause:
    """Characters ``[start, stop)`` as a clause; ``label`` is for one that has none of its own, and ``marker`` is what
    stands before it without being part of the document's text."""
    text = " ".join(document_text[start:stop].split())
    if sum(character.isalnum() for character in text) < MIN_CHARS or _PAGE_NUMBER.fullmatch(text):
        kind = "aside"
    marker = marker if any(character.isalnum() for character in marker) else ""
    match = None if marker else _NUMBER.match(text)
    if kind != "aside" and (marker or match or kind == "heading"):
        label = f"{marker} {text}".strip()
        label = label if len(label) <= MAX_LABEL_CHARS else label[: MAX_LABEL_CHARS - 1].rstrip() + "…"
    number = loosely(match["number"] if match else marker).strip(".):")
    return Clause(start, stop, text, number, text[match.end() :].lstrip() if match else text, label, kind)


def _pieces(document: Document) -> Iterator[tuple[int, int, Kind, str]]:
    """(start, stop, kind, marker)."""
    for block, start in zip(document.blocks, document.starts, strict=True):
        is_form = isinstance(block, TextBlock) and block.kind == "paragraph" and _is_form(block.text)
        if isinstance(block, TextBlock) and block.kind != "plain" and not is_form:
            yield start, start + len(block.text), _KINDS.get(block.kind, "text"), block.marker
        elif block.text:
            for first, last in _split(block.text):
                yield start + first, start + last, "text", ""


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Text that only its line ends divide: at blank lines where it has some, within those where a number begins a line,
    or at each line of a form; else at each line, as rows of a table."""
    has_gaps = _GAP.search(text) is not None
    at = 0
    for match in [*(_GAP if has_gaps else _LINE).finditer(text), None]:
        stop = match.start() if match else len(text)
        yield from _at_numbers(text, at, stop)
        at = match.end() if match else stop


def _at_numbers(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    at = start
    is_form = _is_form(text[start:stop])
    for match in _LINE.finditer(text, start, stop):
        if is_form or _NUMBER.match(text, match.end(), stop):
            yield at, match.start()
            at = match.end()
    if at < stop:
        yield at, stop


def _is_form(text: str) -> bool:
    """Whether it is several lines, each of which names something and says what it is."""
    lines = text.strip().splitlines()
    return len(lines) > 1 and all(_FIELD.match(line.strip()) for line in lines)
