"""Time, pages and visual tokens by the length of a text, for the presets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deployments.bench.render import circumstances
from deployments.bench.report import Json, Show
from deployments.bench.seed_article import render_text_to_image
from deployments.bench.texts import bench_texts
from deployments.bench.timing import Contender, cpu_in_turns, pieces_of
from glyph_core.config import LimitConfig, preset
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import geometry_of
from glyph_core.model.token_counter import LATIN_CHARS_PER_TOKEN, estimate_num_tokens
from glyph_core.rendering.paper import OwnedPaper
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource, Usage

NUM_TOKENS = (4_096, 16_384, 65_536, 262_144)
ARTICLE_MS = {4_096: 120, 16_384: 310, 65_536: 980, 262_144: 3_210}  # as the seed article has them, on its machine
PRESETS_COMPARED = ("glyph-en", "compact", "readable")
WARM_UP = DocumentSource("warm-up", b"warm-up")
MIN_TURNS = 10  # of a short text
_MEMORY_BYTES = 1 << 29  # for pages of the largest run, reused page after page


@dataclass(frozen=True, slots=True)
class PresetRow:
    preset: str
    render_ms: float
    pages: int
    num_visual_tokens: int
    compression_ratio: float


@dataclass(frozen=True, slots=True)
class TableRow:
    """``seed_ms`` is the seed article's algorithm on this machine, ``article_ms`` what the article says of its own."""

    num_text_tokens: int
    chars: int
    seed_ms: float
    article_ms: int
    presets: tuple[PresetRow, ...]


def table_report(files: Sequence[Path], num_rounds: int, show: Show) -> Json:
    text = bench_texts(files)["english"]
    rows = [asdict(_row(text.text, num_tokens, num_rounds, show)) for num_tokens in NUM_TOKENS]
    return {"rows": rows, "text": text.origin, **circumstances(), "rounds": num_rounds}


class _Sized:
    """A text in one preset."""

    def __init__(self, name: str, text: str, memory: np.ndarray) -> None:
        self.name = name
        self._renderer = PageRenderer(preset(name), LimitConfig(max_pages=1_000_000), max_cached_layouts=1)
        self._source, self._memory = DocumentSource("text", text.encode()), memory
        self.plan = self._renderer.plan(self._source)
        self.run()

    def run(self) -> None:
        self._renderer.plan(WARM_UP)  # it remembers one document: the text is laid out anew
        num_pages = self._renderer.plan(self._source).num_pages
        self._renderer.render(self._source, 0, num_pages, OwnedPaper(self._memory))


def _row(text: str, num_tokens: int, num_rounds: int, show: Show) -> TableRow:
    cut = text[: int(num_tokens * LATIN_CHARS_PER_TOKEN)]
    memory = np.zeros(_MEMORY_BYTES, dtype=np.uint8)
    sized = [_Sized(name, cut, memory) for name in PRESETS_COMPARED]
    contenders = [Contender(ours.name, [ours.run]) for ours in sized]
    contenders.append(Contender("seed", [partial(render_text_to_image, piece) for piece in pieces_of(cut)]))
    num_rounds *= max(1, MIN_TURNS // len(pieces_of(cut)))
    spent = cpu_in_turns(contenders, num_rounds, lambda name: show(f"{num_tokens} tokens: {name}"))
    num_text_tokens = estimate_num_tokens(cut)
    presets = tuple(_preset_row(ours, spent[ours.name], num_text_tokens) for ours in sized)
    return TableRow(num_text_tokens, len(cut), spent["seed"] * 1000, ARTICLE_MS[num_tokens], presets)


def _preset_row(ours: _Sized, spent_s: float, num_text_tokens: int) -> PresetRow:
    geometry = geometry_of(resolve_checkpoint("glyph-mini"))
    num_visual_tokens = sum(
        geometry.num_visual_tokens(geometry.grid_thw(page.width_px, page.height_px)) for page in ours.plan.pages
    )
    ratio = Usage(0, 0, num_visual_tokens, 0, num_text_tokens).compression_ratio
    return PresetRow(ours.name, spent_s * 1000, ours.plan.num_pages, num_visual_tokens, ratio)


def table_lines(report: Json) -> str:
    """A Markdown table: for each preset milliseconds, pages, visual tokens and compression."""
    heads = [f"{name} ms | pages | visual tokens | ratio" for name in PRESETS_COMPARED]
    lines = [f"| text tokens | {' | '.join(heads)} | seed's code here, ms | seed article, ms |"]
    lines.append("|---:" * (3 + 4 * len(PRESETS_COMPARED)) + "|")
    for row in report["rows"]:
        cells = [
            f"{of['render_ms']:.1f} | {of['pages']:,} | {of['num_visual_tokens']:,} | {of['compression_ratio']:.2f}×"
            for of in row["presets"]
        ]
        ends = f"{row['seed_ms']:,.0f} | {row['article_ms']:,}"
        lines.append(f"| {row['num_text_tokens']:,} | {' | '.join(cells)} | {ends} |")
    return "\n".join(lines) + "\n"
