"""Text → lines of glyphs: characters are looked up, shaped where their script needs it, and broken into lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.documents.blocks import Mark
from glyph_core.rendering.atlas import IGNORED, MISSING, MISSING_WIDE, SHAPED, GlyphAtlas
from glyph_core.rendering.characters import BreakClass
from glyph_core.rendering.colours import RED
from glyph_core.rendering.fonts import REPLACEMENT
from glyph_core.rendering.glyph_stream import Offsets, StreamBuilder, offsets_in
from glyph_core.rendering.layout import break_lines, longest_word
from glyph_core.rendering.shaping import ShapedParagraph, Shaper
from glyph_core.rendering.styles import Style

_NUM_EXAMPLES = 5  # characters without a glyph that a warning names
_CR, _LF = 0x0D, 0x0A
_STYLES: dict[str, Style] = {"bold": Style.BOLD, "italic": Style.ITALIC, "code": Style.CODE}
_ENDLESS = 1 << 30  # 1/64 px


class SetLines(NamedTuple):
    """Lines as they were put into the stream."""

    bounds: np.ndarray  # (num_lines, 2) int32: [start, stop) in the stream
    right: int  # 1/64 px: how far the longest reaches
    shifts: np.ndarray | None = None  # (num_lines,) int32, 1/64 px to the right; None: none is moved

    def __len__(self) -> int:
        return len(self.bounds)


@dataclass(frozen=True)
class PlainRun:
    """Characters whose glyphs stand side by side as they are looked up."""

    glyphs: np.ndarray = field(repr=False)  # (n,) int32
    offsets: Offsets
    colours: np.ndarray | None = None
    is_last: bool = True  # else the lines without ink at its end count, for text follows


class Typesetter:
    """Sets texts into one stream, and keeps count of what no font has."""

    def __init__(self, config: RenderConfig, atlas: GlyphAtlas) -> None:
        self.config, self.atlas = config, atlas
        self.stream = StreamBuilder()
        self._shaper = Shaper(config, atlas)
        self._missing: list[np.ndarray] = []  # codepoints

    def read(
        self,
        text: str,
        offsets: Offsets,
        style: Style = Style.BODY,
        marks: tuple[Mark, ...] = (),
        colours: np.ndarray | None = None,
        newline_marks: bool = False,
    ) -> Reading:
        """``text``'s glyphs; ``offsets`` say which characters of the document's text they are."""
        codepoints = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        glyphs = self.atlas.glyphs_of(codepoints, style)
        for mark in marks:
            if mark.kind in _STYLES and (marked := codepoints[mark.start : mark.stop]).size:
                glyphs[mark.start : mark.stop] = self.atlas.glyphs_of(marked, _STYLES[mark.kind])
        if "\r" in text:
            _join_line_ends(codepoints, glyphs)
        if glyphs.size and glyphs.min() <= SHAPED:  # one of the fixed glyphs
            is_missing = (glyphs == MISSING) | (glyphs == MISSING_WIDE)
            if is_missing.any():
                self._missing.append(codepoints[is_missing])
            if (glyphs == SHAPED).any():
                return Reading(self, self._shaped_runs(text, glyphs, offsets, style, colours))
        if newline_marks:
            return Reading(self, [self._with_newline_marks(glyphs, offsets)])
        return Reading(self, [PlainRun(glyphs, offsets, colours)])

    def warnings(self) -> tuple[str, ...]:
        missing = np.concatenate([np.zeros(0, np.uint32), *self._missing, *self._shaper.missing])
        if not missing.size:
            return ()
        distinct = np.unique(missing)
        examples = ", ".join(f"U+{codepoint:04X}" for codepoint in distinct[:_NUM_EXAMPLES].tolist())
        more = ", …" if len(distinct) > _NUM_EXAMPLES else ""
        return (f"{len(missing)} characters ({examples}{more}) have no glyph in our fonts and show as {REPLACEMENT}",)

    def _shaped_runs(
        self, text: str, glyphs: np.ndarray, offsets: Offsets, style: Style, colours: np.ndarray | None
    ) -> list[PlainRun | ShapedParagraph]:
        """``text`` cut at the paragraphs that hold a character that must be shaped."""
        is_newline = self.atlas.tables.glyphs[glyphs]["break_class"] == BreakClass.NEWLINE
        newlines = np.concatenate([[-1], np.flatnonzero(is_newline), [len(text)]])
        paragraphs = np.unique(np.searchsorted(newlines, np.flatnonzero(glyphs == SHAPED)))
        runs: list[PlainRun | ShapedParagraph] = []
        plain_from = 0
        for paragraph in paragraphs.tolist():
            start, stop = int(newlines[paragraph - 1]) + 1, int(newlines[paragraph])
            if start > plain_from:
                runs.append(_plain(glyphs, offsets, colours, plain_from, start, is_last=False))
            runs.append(self._shaper.shape(text[start:stop], offsets_in(offsets, start, stop), style))
            plain_from = stop + 1
        if plain_from < len(text):
            runs.append(_plain(glyphs, offsets, colours, plain_from, len(text), is_last=True))
        return runs

    def _with_newline_marks(self, glyphs: np.ndarray, offsets: Offsets) -> PlainRun:
        """Every line end as the characters ``\\n`` in red, with a space before and after, where a line may break."""
        is_newline = self.atlas.tables.glyphs[glyphs]["break_class"] == BreakClass.NEWLINE
        mark = self.atlas.glyphs_of(np.array([ord(character) for character in " \\n "], dtype=np.uint32))
        counts = np.where(is_newline, len(mark), 1)
        marked, shown = np.repeat(glyphs, counts), np.repeat(offsets_in(offsets, 0, len(glyphs)), counts)
        in_mark = np.repeat(is_newline, counts)
        marked[in_mark] = np.tile(mark, int(is_newline.sum()))
        return PlainRun(marked, shown, np.where(in_mark, RED, 0).astype(np.uint8))


@dataclass(frozen=True)
class Reading:
    """A text's glyphs, to be measured and set at a width."""

    typesetter: Typesetter = field(repr=False)
    runs: list[PlainRun | ShapedParagraph] = field(repr=False)

    def widths(self) -> tuple[int, int]:
        """(narrowest, widest) in 1/64 px: of its longest word, and of its longest line where none is broken."""
        table = self.typesetter.atlas.tables.glyphs
        narrow = wide = 0
        for run in self.runs:
            glyphs, glyph_table = (run.glyphs, table) if isinstance(run, PlainRun) else (run.indices, run.glyph_table)
            narrow = max(narrow, longest_word(glyphs, glyph_table))
            wide = max(wide, break_lines(glyphs, glyph_table, _ENDLESS).right)
        return narrow, wide

    def set(self, max_width: int) -> SetLines:
        """Puts the glyphs into the stream; ``max_width`` in 1/64 px."""
        lines = [self._set(run, max_width) for run in self.runs]
        if len(lines) == 1:
            return lines[0]
        bounds = np.concatenate([np.zeros((0, 2), np.int32), *(line.bounds for line in lines)])
        shifts = [np.zeros(len(line), np.int32) if line.shifts is None else line.shifts for line in lines]
        right = max((line.right for line in lines), default=0)
        return SetLines(bounds, right, np.concatenate([np.zeros(0, np.int32), *shifts]))

    def _set(self, run: PlainRun | ShapedParagraph, max_width: int) -> SetLines:
        stream = self.typesetter.stream
        if isinstance(run, ShapedParagraph):
            return SetLines(*run.set(stream, max_width))
        table = self.typesetter.atlas.tables.glyphs
        start = stream.append(run.glyphs, run.offsets, colours=run.colours)
        if run.is_last:
            lines = break_lines(run.glyphs, table, max_width)
            return SetLines(lines.bounds + np.int32(start), lines.right)
        # A glyph with ink on a line of its own at the end makes the blank lines before it count
        lines = break_lines(np.append(run.glyphs, np.int32(MISSING)), table, max_width)
        return SetLines(lines.bounds[:-1] + np.int32(start), lines.right)


def _plain(
    glyphs: np.ndarray, offsets: Offsets, colours: np.ndarray | None, start: int, stop: int, *, is_last: bool
) -> PlainRun:
    return PlainRun(
        glyphs[start:stop],
        offsets + start if isinstance(offsets, int) else offsets_in(offsets, start, stop),
        None if colours is None else colours[start:stop],
        is_last,
    )


def _join_line_ends(codepoints: np.ndarray, glyphs: np.ndarray) -> None:
    """CR LF ends one line, not two: the CR is ignored, in place."""
    carriage_returns = np.flatnonzero(codepoints[:-1] == _CR)
    glyphs[carriage_returns[codepoints[carriage_returns + 1] == _LF]] = IGNORED
