"""Paragraphs that hold scripts whose letters change by their neighbours or run from right to left.

HarfBuzz (uharfbuzz) shapes the runs of such scripts; everything between them is drawn as in any other paragraph. Lines
are broken in the order of the text and each is then put into the order of the eye.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple
from unicodedata import category

import numpy as np
import uharfbuzz

from glyph_core.config import RenderConfig
from glyph_core.rendering.atlas import GLYPH, IGNORED, MISSING, SHAPED, GlyphAtlas, ShapedGlyph
from glyph_core.rendering.bidi import levels_of, mirrored, visual_order
from glyph_core.rendering.characters import BreakClass, break_class, is_ignored, needs_shaping
from glyph_core.rendering.fonts import UNITS, FontStack, GlyphRef, font_bytes
from glyph_core.rendering.glyph_stream import StreamBuilder
from glyph_core.rendering.layout import break_lines
from glyph_core.rendering.styles import Style

_FIRST_EMOJI = 0x2600  # what is emoji beside other emoji; between words these signs are drawn like letters
_INKLESS = (BreakClass.SPACE, BreakClass.TAB, BreakClass.IGNORED)


class Cluster(NamedTuple):
    """Characters [start, stop) that are drawn together."""

    start: int
    stop: int
    glyphs: tuple[int, ...]  # of the atlas, from left to right
    advance: int  # 1/64 px
    break_class: int


@dataclass(frozen=True)
class ShapedParagraph:
    """A paragraph of n characters without line ends."""

    clusters: list[Cluster] = field(repr=False)
    levels: np.ndarray = field(repr=False)  # (n,) int8
    base_level: int
    offsets: np.ndarray = field(repr=False)  # (n,) int32 into the document's text

    @property
    def indices(self) -> np.ndarray:
        """(n,) int32, rows of :attr:`glyph_table`: the paragraph as line breaking reads it."""
        return np.arange(len(self.levels), dtype=np.int32)

    @property
    def glyph_table(self) -> np.ndarray:
        """(n,) of GLYPH: a row for each character; a cluster's first carries it all, the others move with it."""
        table = np.zeros(len(self.levels), dtype=GLYPH)
        table["break_class"] = BreakClass.IGNORED
        starts = [cluster.start for cluster in self.clusters]
        table["advance"][starts] = [cluster.advance for cluster in self.clusters]
        table["break_class"][starts] = [cluster.break_class for cluster in self.clusters]
        return table

    def set(self, stream: StreamBuilder, max_width: int) -> tuple[np.ndarray, int, np.ndarray]:
        """Puts the lines into ``stream``; returns bounds, right and shifts as SetLines has them."""
        lines = break_lines(self.indices, self.glyph_table, max_width)
        cluster_starts = [cluster.start for cluster in self.clusters]
        cuts = np.searchsorted(cluster_starts, lines.bounds)
        bounds, shifts, right = np.zeros((len(lines), 2), dtype=np.int32), np.zeros(len(lines), dtype=np.int32), 0
        for number, (first, last) in enumerate(cuts.tolist()):
            clusters = self.clusters[first:last]
            while clusters and clusters[-1].break_class in _INKLESS:  # what hangs over the edge has no ink
                clusters.pop()
            width = sum(cluster.advance for cluster in clusters)
            order = visual_order([int(self.levels[cluster.start]) for cluster in clusters])
            start, stop = self._append([clusters[index] for index in order], stream)
            bounds[number] = start, stop
            shifts[number] = max(0, max_width - width) if self.base_level % 2 and clusters else 0
            right = max(right, int(shifts[number]) + width)
        return bounds, right, shifts

    def _append(self, clusters: list[Cluster], stream: StreamBuilder) -> tuple[int, int]:
        glyphs = [glyph for cluster in clusters for glyph in cluster.glyphs]
        starts = [cluster.start for cluster in clusters for _ in cluster.glyphs]
        lengths = [
            min(255, cluster.stop - cluster.start) if number == 0 else 0
            for cluster in clusters
            for number in range(len(cluster.glyphs))
        ]
        offsets = self.offsets[np.array(starts, dtype=np.intp)]
        start = stream.append(np.array(glyphs, dtype=np.int32), offsets, np.array(lengths, dtype=np.uint8))
        return start, start + len(glyphs)


class Shaper:
    """Shapes paragraphs under one configuration. Not thread-safe."""

    def __init__(self, config: RenderConfig, atlas: GlyphAtlas) -> None:
        self._config, self._atlas = config, atlas
        self._stack = FontStack("sans", config.font_size_px)  # joined letters in cells of one width are hard to read
        self._plain_glyphs: dict[tuple[str, Style], tuple[int, int, int]] = {}  # glyph, advance, break class
        self._shaped_runs: dict[tuple[str, str, int, Style], list[Cluster]] = {}
        self.missing: list[np.ndarray] = []  # codepoints that no font has

    def shape(self, text: str, offsets: np.ndarray, style: Style) -> ShapedParagraph:
        """``text`` (n characters) holds no line end; ``offsets`` (n,) int32 are in the document's text."""
        base, levels = levels_of(text)
        clusters: list[Cluster] = []
        for start, stop, face in _runs(text, levels, self._stack):
            if face is None:
                clusters += self._plain(text, start, stop, levels, style)
            else:
                clusters += self._shaped(text, start, stop, face, int(levels[start]), style)
        return ShapedParagraph(clusters, levels, base, offsets)

    def _plain(self, text: str, start: int, stop: int, levels: np.ndarray, style: Style) -> list[Cluster]:
        """Characters as any paragraph has them; combining marks stay behind their base."""
        clusters: list[Cluster] = []
        for index in range(start, stop):
            character = mirrored(text[index]) if levels[index] % 2 else text[index]
            if (character, style) not in self._plain_glyphs:
                (glyph,) = self._atlas.glyphs_of(np.array([ord(character)], dtype=np.uint32), style).tolist()
                glyph = IGNORED if glyph == SHAPED else glyph  # a joiner with nothing to join
                row = self._atlas.tables.glyphs[glyph]
                self._plain_glyphs[character, style] = glyph, int(row["advance"]), int(row["break_class"])
            glyph, advance, kind = self._plain_glyphs[character, style]
            if clusters and (kind == BreakClass.MARK or glyph == IGNORED):
                last = clusters[-1]
                drawn = last.glyphs if glyph == IGNORED else (*last.glyphs, glyph)
                clusters[-1] = last._replace(stop=index + 1, glyphs=drawn)
            else:
                clusters.append(Cluster(index, index + 1, (glyph,), advance, kind))
        return clusters

    def _shaped(self, text: str, start: int, stop: int, face: str, level: int, style: Style) -> list[Cluster]:
        """A run between characters that need no shaping: most often a word, which is shaped once for a document."""
        key = text[start:stop], face, level % 2, style
        if key not in self._shaped_runs:
            self._shaped_runs[key] = self._shape_run(*key)
        clusters = self._shaped_runs[key]
        missing = [ord(text[start + cluster.start]) for cluster in clusters if MISSING in cluster.glyphs]
        if missing:
            self.missing.append(np.array(missing, dtype=np.uint32))
        return [cluster._replace(start=start + cluster.start, stop=start + cluster.stop) for cluster in clusters]

    def _shape_run(self, run: str, face: str, is_from_right: int, style: Style) -> list[Cluster]:
        buffer = uharfbuzz.Buffer()
        buffer.add_str(run)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if is_from_right else "ltr"
        uharfbuzz.shape(_font(face, self._config.font_size_px), buffer)
        placed: dict[int, list[tuple[int, int]]] = {}  # cluster → glyphs of the atlas and advances, from left to right
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            placed.setdefault(info.cluster, []).append(self._glyph(run[info.cluster], face, info, position, style))
        starts = sorted(placed)
        clusters = []
        for start, stop in zip(starts, [*starts[1:], len(run)], strict=True):
            glyphs = tuple(glyph for glyph, _ in placed[start])
            advance = sum(advance for _, advance in placed[start])
            clusters.append(Cluster(start, stop, glyphs, advance, max(break_class(run[start]), BreakClass.LETTER)))
        return clusters

    def _glyph(
        self,
        character: str,
        face: str,
        info: uharfbuzz.GlyphInfo,
        position: uharfbuzz.GlyphPosition,
        style: Style,
    ) -> tuple[int, int]:
        """(index in the atlas, advance in 1/64 px)"""
        if info.codepoint == 0:
            if is_ignored(character):
                return IGNORED, 0
            return MISSING, int(self._atlas.tables.glyphs[MISSING]["advance"])
        glyph = ShapedGlyph(
            GlyphRef(face, info.codepoint),
            position.x_advance,
            (position.x_offset, position.y_offset),
            character,
            BreakClass.LETTER,
        )
        return self._atlas.shaped(glyph, style), position.x_advance


def _runs(text: str, levels: np.ndarray, stack: FontStack) -> list[tuple[int, int, str | None]]:
    """[start, stop) of one level and one face each; face None: characters that need no shaping."""
    runs: list[tuple[int, int, str | None]] = []
    for index, character in enumerate(text):
        face = _face_of(character, runs[-1][2] if runs else None, stack)
        if runs and runs[-1][2] == face and levels[runs[-1][0]] == levels[index]:
            runs[-1] = (runs[-1][0], index + 1, face)
        else:
            runs.append((index, index + 1, face))
    return runs


def _face_of(character: str, before: str | None, stack: FontStack) -> str | None:
    """The face that shapes ``character``; joiners and marks go with the letter ``before`` them."""
    if is_ignored(character) or (before is not None and category(character)[0] == "M" and _has(before, character)):
        return before
    if ord(character) >= _FIRST_EMOJI and _has("emoji", character):
        return "emoji"
    if not needs_shaping(character):
        return None
    if before is not None and _has(before, character):
        return before
    ref = stack.find(character)
    return None if ref is None else ref.face


@cache
def _characters(face: str) -> frozenset[int]:
    return frozenset(_hb_face(face).unicodes)


def _has(face: str, character: str) -> bool:
    return ord(character) in _characters(face)


@cache
def _hb_face(face: str) -> uharfbuzz.Face:
    return uharfbuzz.Face(font_bytes(face))


@cache
def _font(face: str, size_px: float) -> uharfbuzz.Font:
    font = uharfbuzz.Font(_hb_face(face))
    font.scale = (round(size_px * UNITS), round(size_px * UNITS))
    return font
