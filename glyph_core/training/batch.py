"""Documents and their questions packed into one batch, without padding.

Suffixes: D documents, P pages, G glyphs with ink, B squares of 28 px of the pages as composed (blocks), N visual
tokens, Q questions, T rows of the language model's input (first every document's prefix, then every question), A
answer tokens, C pages that pass through the canvas (see augment.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from glyph_core.config import PRESETS, RenderConfig
from glyph_core.training.facts import KINDS, Question
from glyph_core.training.looks import LaidOutPage
from glyph_core.training.vocabulary import ANSWER_HEAD, BEGIN_OF_IMAGE, END_OF_IMAGE, END_OF_TEXT, PROMPT_HEAD

BLOCK_PX = 28
KIND_INDEX = {kind: index for index, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class PackedPage:
    """A page and what happens to it between the renderer and the model."""

    laid_out: LaidOutPage
    photometry: tuple[float, float, float]  # ink level, paper level, noise; 0 is black, 1 white
    canvas: tuple[float, ...] | None  # see augment.CanvasFields; None: the page stays as composed
    final_size: tuple[int, int]  # (width, height) px, multiples of 28

    @property
    def composed_grid(self) -> tuple[int, int]:
        """(columns, rows) of blocks that hold the page as composed."""
        return -(-self.laid_out.width_px // BLOCK_PX), -(-self.laid_out.height_px // BLOCK_PX)

    @property
    def final_grid(self) -> tuple[int, int]:
        return self.final_size[0] // BLOCK_PX, self.final_size[1] // BLOCK_PX


@dataclass(frozen=True)
class PackedDocument:
    pages: tuple[PackedPage, ...]
    questions: tuple[Question, ...]
    spec: int = 0  # which of the curriculum's specs it was made by
    text: str = field(default="", repr=False)
    config: RenderConfig = field(default=PRESETS["mini"], repr=False)  # what its pages were laid out by

    @property
    def num_visual_tokens(self) -> int:
        return sum(page.final_grid[0] * page.final_grid[1] for page in self.pages)


@dataclass(frozen=True)
class Batch:
    """Arrays that are made on the CPU and go to the GPU as they are. Everything that a launch needs to know is here,
    so that training never waits for the GPU to tell a size."""

    cells: np.ndarray  # (G,) int32
    xy: np.ndarray  # (G, 2) int16
    classes: np.ndarray  # (G,) int16
    glyph_tokens: np.ndarray  # (G,) int32: the visual token that each glyph's middle is in
    glyph_counts: np.ndarray  # (P,) int32
    composed_grids: np.ndarray  # (P, 2) int32: columns, rows
    final_grids: np.ndarray  # (P, 2) int32
    photometry: np.ndarray  # (P, 3) float32
    canvas_fields: np.ndarray  # (C, F) float32
    canvas_source: np.ndarray  # (C, R * W) int32 into B (B itself: white)
    canvas_grid: tuple[int, int]  # (W, R): columns and rows of the canvas
    token_source: np.ndarray  # (N,) int32 into B composed blocks, then C * R * W canvas blocks
    text_ids: np.ndarray  # (S,) int16: every token of the prompt that is not a visual one
    row_source: np.ndarray  # (T,) int32 into the S text tokens, then the N visual tokens
    positions: np.ndarray  # (3, T) int16
    prefix_starts: np.ndarray  # (D + 1,) int32, rows
    asked_starts: np.ndarray  # (D + 1,) int32, rows after the prefixes: all questions of a document
    question_starts: np.ndarray  # (Q + 1,) int32, rows after the prefixes
    answer_rows: np.ndarray  # (A,) int32, rows after the prefixes: where a token is predicted
    answer_ids: np.ndarray  # (A,) int64
    answer_questions: np.ndarray  # (A,) int32
    kinds: np.ndarray  # (Q,) int8
    specs: np.ndarray  # (Q,) int16
    num_pixels_inked: int

    @property
    def num_blocks(self) -> int:
        return int(self.composed_grids.prod(1).sum())

    @property
    def num_visual_tokens(self) -> int:
        return len(self.token_source)

    @property
    def num_questions(self) -> int:
        return len(self.kinds)


def pack(documents: Sequence[PackedDocument], ink_starts: np.ndarray) -> Batch:
    """One batch of ``documents``; ``ink_starts`` is the ink table's."""
    pages = [page for document in documents for page in document.pages]
    cells = np.concatenate([page.laid_out.cells for page in pages]).astype(np.int32)
    composed = np.array([page.composed_grid for page in pages], dtype=np.int32)
    final = np.array([page.final_grid for page in pages], dtype=np.int32)
    canvas, canvas_grid, token_source = _pack_canvas(pages, composed, final)
    return Batch(
        cells=cells,
        xy=np.concatenate([page.laid_out.xy for page in pages]),
        classes=np.concatenate([page.laid_out.classes for page in pages]),
        glyph_tokens=_glyph_tokens(pages, final),
        glyph_counts=np.array([len(page.laid_out.cells) for page in pages], dtype=np.int32),
        composed_grids=composed,
        final_grids=final,
        photometry=np.array([page.photometry for page in pages], dtype=np.float32),
        canvas_fields=np.array([page.canvas for page in pages if page.canvas], dtype=np.float32),
        canvas_source=canvas,
        canvas_grid=canvas_grid,
        token_source=token_source,
        num_pixels_inked=int((ink_starts[cells + 1] - ink_starts[cells]).sum()),
        **_pack_text(documents, final),
    )


def _starts(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _glyph_tokens(pages: Sequence[PackedPage], final: np.ndarray) -> np.ndarray:
    starts = _starts(final.prod(1))
    tokens = []
    for page, (columns, rows), start in zip(pages, final, starts, strict=False):
        laid_out = page.laid_out
        scale = np.array([page.final_size[0] / laid_out.width_px, page.final_size[1] / laid_out.height_px])
        column, row = (laid_out.centres * scale // BLOCK_PX).astype(np.int32).T
        tokens.append(start + np.minimum(row, rows - 1) * columns + np.clip(column, 0, columns - 1))
    return np.concatenate(tokens).astype(np.int32)


def _pack_canvas(
    pages: Sequence[PackedPage], composed: np.ndarray, final: np.ndarray
) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """Which composed blocks each canvas holds, the canvas's size in blocks, and where visual tokens come from."""
    starts = _starts(composed.prod(1))
    num_blocks = int(starts[-1])
    chosen = [index for index, page in enumerate(pages) if page.canvas]
    width, height = (int(v) for v in np.maximum(composed[chosen], final[chosen]).max(0)) if chosen else (0, 0)
    canvas = np.full((len(chosen), height * width), num_blocks, dtype=np.int32)
    places = np.arange(height * width, dtype=np.int32).reshape(height, width)
    source = [np.arange(starts[i], starts[i + 1], dtype=np.int32) for i in range(len(pages))]
    for number, index in enumerate(chosen):
        columns, rows = composed[index]
        canvas[number, places[:rows, :columns].ravel()] = source[index]
        columns, rows = final[index]
        source[index] = places[:rows, :columns].ravel() + num_blocks + number * height * width
    return canvas, (width, height), np.concatenate(source)


def _pack_text(documents: Sequence[PackedDocument], final: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays from ``text_ids`` to ``specs``."""
    prefixes, questions = _Rows(), _Rows()
    question_starts = [0]
    kinds: list[int] = []
    specs: list[int] = []
    answer_rows: list[int] = []
    answer_ids: list[int] = []
    answer_questions: list[int] = []
    grids = iter(final.tolist())
    for document in documents:
        position = prefixes.add_text(PROMPT_HEAD, 0)
        for _ in document.pages:
            position = prefixes.add_text((BEGIN_OF_IMAGE,), position)
            columns, rows = next(grids)
            position = prefixes.add_page(columns, rows, position)
            position = prefixes.add_text((END_OF_IMAGE,), position)
        prefixes.end_document()
        for question in document.questions:
            asked = (*question.text.encode(), *ANSWER_HEAD)
            answer = (*question.answer.encode(), END_OF_TEXT)
            questions.add_text((*asked, *answer[:-1]), position)
            first = question_starts[-1] + len(asked) - 1
            answer_rows.extend(range(first, first + len(answer)))
            answer_ids.extend(answer)
            answer_questions.extend([len(kinds)] * len(answer))
            question_starts.append(question_starts[-1] + len(asked) + len(answer) - 1)
            kinds.append(KIND_INDEX[question.kind])
            specs.append(document.spec)
        questions.end_document()
    num_text = prefixes.num_text + questions.num_text
    return {
        "text_ids": np.array(prefixes.text + questions.text, dtype=np.int16),
        "row_source": np.concatenate([prefixes.sources(0, num_text), questions.sources(prefixes.num_text, num_text)]),
        "positions": np.concatenate([prefixes.positions(), questions.positions()], axis=1),
        "prefix_starts": np.array(prefixes.starts, dtype=np.int32),
        "asked_starts": np.array(questions.starts, dtype=np.int32),
        "question_starts": np.array(question_starts, dtype=np.int32),
        "answer_rows": np.array(answer_rows, dtype=np.int32),
        "answer_ids": np.array(answer_ids, dtype=np.int64),
        "answer_questions": np.array(answer_questions, dtype=np.int32),
        "kinds": np.array(kinds, dtype=np.int8),
        "specs": np.array(specs, dtype=np.int16),
    }


class _Rows:
    """Rows of the language model's input while they are lined up."""

    def __init__(self) -> None:
        self.text: list[int] = []
        self.starts = [0]
        self._sources: list[np.ndarray] = []  # ≥ 0: text token; < 0: visual token -1 - value
        self._positions: list[np.ndarray] = []
        self._num_rows = 0
        self._num_visual = 0

    @property
    def num_text(self) -> int:
        return len(self.text)

    def add_text(self, ids: Sequence[int], position: int) -> int:
        """Appends text tokens at ``position``; returns the position after them."""
        count = len(ids)
        self._sources.append(np.arange(len(self.text), len(self.text) + count, dtype=np.int32))
        self._positions.append(np.broadcast_to(np.arange(position, position + count, dtype=np.int16), (3, count)))
        self.text.extend(ids)
        self._num_rows += count
        return position + count

    def add_page(self, columns: int, rows: int, position: int) -> int:
        """Appends a page's visual tokens; rotary positions as ``Glm4vModel.get_rope_index`` gives them."""
        count = columns * rows
        self._sources.append(-1 - np.arange(self._num_visual, self._num_visual + count, dtype=np.int32))
        row, column = np.divmod(np.arange(count, dtype=np.int16), np.int16(columns))
        self._positions.append((np.stack([np.zeros_like(row), row, column]) + position).astype(np.int16))
        self._num_visual += count
        self._num_rows += count
        return position + max(columns, rows)

    def end_document(self) -> None:
        self.starts.append(self._num_rows)

    def sources(self, text_offset: int, num_text: int) -> np.ndarray:
        """Where each row comes from: all text tokens, then all visual tokens."""
        sources = np.concatenate(self._sources) if self._sources else np.zeros(0, np.int32)
        return np.where(sources >= 0, sources + text_offset, num_text - 1 - sources).astype(np.int32)

    def positions(self) -> np.ndarray:
        return np.concatenate(self._positions, axis=1) if self._positions else np.zeros((3, 0), np.int16)
