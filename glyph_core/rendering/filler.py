"""Fills pages from top to bottom: what comes next goes below what came before, or on a new page."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.compositor import SEGMENT
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.typeset import SetLines

_EPSILON = 1e-6  # px: line heights may be fractions


class Rule(NamedTuple):
    """A filled rectangle, px on its page."""

    page: int
    left: int
    top: int
    width: int
    height: int


class PlacedPicture(NamedTuple):
    """A picture on a page, and the characters [start, stop) of the document's text that it shows."""

    page: int
    left: int
    top: int
    pixels: np.ndarray  # (height, width) or (height, width, 3) uint8
    start: int
    stop: int


@dataclass
class Filled:
    """What stands on the pages."""

    segments: np.ndarray = field(repr=False)  # (n,) of SEGMENT, page after page
    first_segments: np.ndarray = field(repr=False)  # (num_pages + 1,): where each page's begin
    rules: list[Rule] = field(repr=False)
    pictures: list[PlacedPicture] = field(repr=False)
    sizes: tuple[tuple[int, int], ...] = field(repr=False)  # (width, height) px of each page

    @property
    def num_bytes(self) -> int:
        return self.segments.nbytes + sum(picture.pixels.nbytes for picture in self.pictures)

    def rules_of(self, page_index: int) -> list[Rule]:
        start, stop = (bisect_left(self.rules, page, key=attrgetter("page")) for page in (page_index, page_index + 1))
        return self.rules[start:stop]

    def pictures_of(self, page_index: int) -> list[PlacedPicture]:
        return [picture for picture in self.pictures if picture.page == page_index]


class PageFiller:
    """``x`` is always measured from the left margin in 1/64 px, ``dy`` in px from where the next thing goes."""

    def __init__(self, config: RenderConfig) -> None:
        self._config = config
        self._top, self._bottom = config.margin_px, config.page_height_px - config.margin_px
        self._page, self._y = 0, float(self._top)
        self._right = 0  # 1/64 px from the left margin
        self._is_empty = True
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []  # pages, segments
        self._rules: list[Rule] = []
        self._pictures: list[PlacedPicture] = []

    @property
    def width(self) -> int:
        """Of the column, 1/64 px."""
        return (self._config.page_width_px - 2 * self._config.margin_px) * UNITS

    @property
    def room_px(self) -> float:
        """What is left of the page."""
        return self._bottom - self._y

    @property
    def page_room_px(self) -> int:
        return self._bottom - self._top

    @property
    def is_at_top(self) -> bool:
        return self._y == self._top

    def skip(self, height_px: float) -> None:
        """Leaves a gap, none at a page's top."""
        if not self.is_at_top:
            self._y += height_px

    def need(self, height_px: float) -> None:
        """Goes on to the next page where less than ``height_px`` is left of this one."""
        if height_px > self.room_px + _EPSILON and not self.is_at_top:
            self.next_page()

    def next_page(self) -> None:
        self._page, self._y = self._page + 1, float(self._top)

    def add_lines(self, lines: SetLines, x: int = 0) -> None:
        """``lines`` one under the other, over as many pages as they take."""
        count = len(lines)
        if not count:
            return
        height = self._config.line_height_px
        num_here = max(0, math.floor((self.room_px + _EPSILON) / height))
        per_page = math.floor((self.page_room_px + _EPSILON) / height)
        rest = np.arange(count) - num_here  # lines on later pages count from 0
        pages = np.where(rest < 0, self._page, self._page + 1 + rest // per_page)
        rows = np.where(rest < 0, np.arange(count), rest % per_page)
        tops = np.where(rest < 0, self._y, self._top) + rows * height
        segments = np.empty(count, dtype=SEGMENT)
        segments["start"], segments["stop"] = lines.bounds.T
        segments["x"] = self._config.margin_px * UNITS + x
        if lines.shifts is not None:
            segments["x"] += lines.shifts
        segments["top"] = np.floor(tops + _EPSILON)
        self._parts.append((pages, segments))
        self._page, self._y = int(pages[-1]), float(tops[-1]) + height
        self.reach(x + lines.right)

    def add_segments(self, pieces: Sequence[tuple[int, int, int, float]]) -> None:
        """Pieces (start, stop, x, dy) of this page; nothing moves on."""
        if pieces:
            segments = np.zeros(len(pieces), dtype=SEGMENT)
            starts, stops, xs, dys = zip(*pieces, strict=True)
            segments["start"], segments["stop"] = starts, stops
            segments["x"] = np.array(xs) + self._config.margin_px * UNITS
            segments["top"] = np.floor(np.array(dys) + self._y + _EPSILON)
            self._parts.append((np.full(len(pieces), self._page), segments))
            self._is_empty = False

    def add_rule(self, x_px: int, dy: float, width_px: int, height_px: int) -> None:
        top = math.floor(self._y + dy + _EPSILON)
        self._rules.append(Rule(self._page, self._config.margin_px + x_px, top, width_px, height_px))
        self.reach((x_px + width_px) * UNITS)

    def add_picture(self, pixels: np.ndarray, x_px: int, dy: float, start: int, stop: int) -> None:
        top = math.floor(self._y + dy + _EPSILON)
        left = self._config.margin_px + x_px
        self._pictures.append(PlacedPicture(self._page, left, top, pixels, start, stop))
        self.reach((x_px + pixels.shape[1]) * UNITS)

    def advance(self, height_px: float) -> None:
        self._y += height_px

    def finish(self) -> Filled:
        """The pages; none where nothing was put on them."""
        if self._is_empty:
            empty = np.zeros(0, dtype=SEGMENT)
            return Filled(empty, np.zeros(1, dtype=np.int64), [], [], ())
        pages = np.concatenate([np.zeros(0, np.int64), *(pages for pages, _ in self._parts)])
        segments = np.concatenate([np.zeros(0, SEGMENT), *(segments for _, segments in self._parts)])
        num_pages = self._page + 1 if not self.is_at_top else self._page
        first_segments = np.searchsorted(pages, np.arange(num_pages + 1))
        return Filled(segments, first_segments, self._rules, self._pictures, self._sizes(num_pages))

    def reach(self, right: int) -> None:
        """Something on a page reaches so far to the right, 1/64 px."""
        self._right = max(self._right, right)
        self._is_empty = False

    def _sizes(self, num_pages: int) -> tuple[tuple[int, int], ...]:
        """One width for all pages, to the longest line's end; full height for all but the last."""
        config = self._config

        def snap(length_px: int) -> int:
            return -(-length_px // config.snap_px) * config.snap_px

        right_px = -(-self._right // UNITS)
        width = min(max(snap(right_px + 2 * config.margin_px), config.min_width_px), config.page_width_px)
        is_full = self.is_at_top or self.room_px + _EPSILON < config.line_height_px
        cropped = snap(math.ceil(self._y - _EPSILON) + config.margin_px)
        last = config.page_height_px if is_full else min(cropped, config.page_height_px)
        return ((width, config.page_height_px),) * (num_pages - 1) + ((width, last),)
