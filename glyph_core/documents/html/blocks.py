"""An HTML tree as blocks. Runs in a worker."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from glyph_core.documents.blocks import Block, FormulaBlock, Mark, TextBlock
from glyph_core.documents.html.formulas import latex_of
from glyph_core.documents.html.lists import BULLETS, OpenList
from glyph_core.documents.html.pictures import figure_of, is_small
from glyph_core.documents.html.tables import TableInMaking
from glyph_core.documents.html.tree import Step, layout_tables, steps

_SPACE = re.compile(r"[ \t\n\r\f]+")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# What begins on a new line and ends one (HTML standard, section 15.3, and what browsers do beyond it). All else, known
# or not, stands in a line of text.
_BLOCK_TAGS = """
    html body address article aside blockquote caption center col colgroup dd details dialog dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav ol
    optgroup option p plaintext pre search section select summary table tbody td textarea tfoot th thead tr ul xmp
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_MARKS: dict[str, Literal["bold", "italic", "code"]] = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em", "cite", "dfn", "var"), "italic"),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), "code"),
}
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|brush:|sourceCode)[-: ]?\s*([\w+#-]+)", re.IGNORECASE
)


class BlockBuilder:
    """Walks a tree once and gathers its blocks in document order."""

    def __init__(self, max_image_pixels: int) -> None:
        self.blocks: list[Block] = []
        self.lost: Counter[str] = Counter()  # kinds of things that are left out
        self._max_image_pixels = max_image_pixels
        self._text: list[str] = []
        self._length = 0
        self._ends_in_space = True  # a space now would be the line's first, or the second in a row
        self._marks: list[Mark] = []
        self._open_marks: list[tuple[int, Literal["bold", "italic", "code"]]] = []
        self._heading = 0
        self._lists: list[OpenList] = []
        self._marker: str | None = None  # of the item that is open, until its first text
        self._label: tuple[str, int] | None = None  # a number before the paragraph, and its level
        self._pre: list[str] | None = None
        self._language = ""
        self._tables: list[TableInMaking | None] = []  # None: one that only arranges
        self._layout: set[int] = set()

    def add(self, html: str) -> None:
        """The blocks of a whole HTML document."""
        root = LexborHTMLParser(html).root
        if root is None:
            return
        self._layout = layout_tables(root)
        for step, node in steps(root):
            if step is Step.TEXT:
                self._add_text(node.text_content or "")
            elif step is Step.ENTER:
                self._enter(node, node.tag or "")
            else:
                self._leave(node, node.tag or "")
        self._flush()

    def _enter(self, node: LexborNode, tag: str) -> None:
        if tag == "br":
            self._add_break()
            return
        if tag in _MARKS:
            self._open_marks.append((self._length, _MARKS[tag]))
        if tag not in _BLOCKS:
            self._enter_inline(node, tag)
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag in ("ul", "ol", "menu", "dir"):
            self._lists.append(OpenList.of(node))
        elif tag == "li":
            self._marker = self._lists[-1].marker(node, len(self._lists)) if self._lists else BULLETS[0]
        elif tag in ("pre", "textarea", "listing", "xmp", "plaintext"):
            self._pre, self._language = [], _language_of(node)
        elif tag == "table":
            self._tables.append(None if node.mem_id in self._layout else TableInMaking())
        elif self._tables and (table := self._tables[-1]) is not None:
            if tag == "thead":
                table.in_head = True
            elif tag == "tr":
                table.begin_row()
            elif tag in ("td", "th"):
                table.begin_cell(self._marker)
                self._marker = None

    def _enter_inline(self, node: LexborNode, tag: str) -> None:
        if tag == "math":
            self._add_formula(*latex_of(node))
        elif tag == "img":
            self._add_picture(node.attributes.get("src") or "", node.attributes.get("alt") or "")
        elif tag == "data" and node.attributes.get("class") == "glyph-label":  # of our own making: see documents.docx
            self._label = node.attributes.get("value") or "", int(node.attributes.get("data-level") or 0)
        elif tag == "code" and self._pre is not None and not self._language:
            self._language = _language_of(node)

    def _leave(self, node: LexborNode, tag: str) -> None:
        if tag in _MARKS and self._open_marks:
            start, kind = self._open_marks.pop()
            if self._length > start:
                self._marks.append(Mark(start, self._length, kind))
        if tag not in _BLOCKS:
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = 0
        elif tag in ("ul", "ol", "menu", "dir") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._marker = None
        elif tag == "table" and self._tables:
            self._end_table()
        elif self._tables and (table := self._tables[-1]) is not None:
            if tag == "thead":
                table.in_head = False
            elif tag in ("td", "th"):
                self._marker = table.end_cell(node)

    def _end_table(self) -> None:
        table = self._tables.pop()
        block = table.block() if table is not None else None
        if block is None:
            return
        if len(block.rows) == 1 and len(block.rows[0]) == 1:
            self._emit_text(block.rows[0][0].text)
        else:
            self._emit(block)

    def _add_text(self, text: str) -> None:
        if self._pre is not None:
            self._pre.append(text)
            return
        text = _SPACE.sub(" ", text)
        if self._ends_in_space:
            text = text.lstrip(" ")
        if text:
            self._append(text)
            self._ends_in_space = text.endswith(" ")

    def _add_break(self) -> None:
        if self._pre is not None:
            self._pre.append("\n")
        elif self._length:
            if self._text[-1].endswith(" "):
                self._text[-1] = self._text[-1][:-1]
                self._length -= 1
            self._append("\n")
            self._ends_in_space = True

    def _append(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def _add_formula(self, latex: str, is_display: bool) -> None:
        if not latex:
            return
        if is_display and self._cell() is None:
            self._flush()
            self._emit(FormulaBlock(latex))
            return
        if not self._ends_in_space:
            self._append(" ")
        start = self._length
        self._append(latex)
        self._marks.append(Mark(start, self._length, "formula"))
        self._append(" ")
        self._ends_in_space = True

    def _add_picture(self, address: str, alternative: str) -> None:
        figure = figure_of(address, alternative, self._max_image_pixels)
        if figure is None:
            self.lost["picture"] += bool(address)
        elif not is_small(figure):
            if self._cell() is None:
                self._flush()
            self.blocks.append(figure)

    def _flush(self) -> None:
        """End the paragraph that is open."""
        if self._pre is not None:
            text, self._pre = "".join(self._pre), None
            if text.strip():
                self._emit_text(text.strip("\n") if self._cell() is None else text.strip(), code=True)
        text = "".join(self._text)
        stripped = text.rstrip(" \n")
        self._open_marks = [(0, kind) for _, kind in self._open_marks]
        marks = tuple(
            Mark(mark.start, min(mark.stop, len(stripped)), mark.kind)
            for mark in self._marks
            if mark.start < len(stripped)
        )
        self._text, self._length, self._ends_in_space, self._marks = [], 0, True, []
        if stripped:
            self._emit_text(stripped, marks)

    def _emit_text(self, text: str, marks: tuple[Mark, ...] = (), *, code: bool = False) -> None:
        marker, self._marker = self._marker, "" if self._marker is not None else None
        level = len(self._lists) - 1
        if self._label is not None:
            (marker, level), self._label = self._label, None
        if self._heading and marker and any(map(str.isalnum, marker)):  # a number is part of a heading, no bullet is
            shift = len(marker) + 1
            marks = tuple(Mark(mark.start + shift, mark.stop + shift, mark.kind) for mark in marks)
            text = f"{marker} {text}"
        if (cell := self._cell()) is not None:
            cell.append(f"{marker} {text}" if marker and not self._heading else text)
        elif code:
            self.blocks.append(TextBlock(text, "code", language=self._language))
        elif self._heading:
            self.blocks.append(TextBlock(text, "heading", self._heading, marks=marks))
        elif level >= 0 and marker is not None:
            self.blocks.append(TextBlock(text, "item", level, marker, marks=marks))
        else:
            self.blocks.append(TextBlock(text, "paragraph", marks=marks))

    def _emit(self, block: Block) -> None:
        if (cell := self._cell()) is not None:
            cell.append(block.text)
        else:
            self.blocks.append(block)

    def _cell(self) -> list[str] | None:
        """The pieces of the innermost cell that is open."""
        return next((table.pieces for table in reversed(self._tables) if table is not None), None)


def _language_of(node: LexborNode) -> str:
    """The language that a code element's classes name, as highlighters write them."""
    parent = node.parent
    for element in (node, parent):
        if element is not None and (match := _LANGUAGE.search(element.attributes.get("class") or "")):
            return match[1].lower()
    return ""
