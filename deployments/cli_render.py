"""``glyph render``: documents to page images on disk, and what they would cost as tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from PIL import Image

from glyph_core.config import LimitConfig, RenderConfig, preset
from glyph_core.documents.source import read_source
from glyph_core.model.checkpoint import Checkpoint, resolve_checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.token_counter import TokenCounter
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource, Page, Usage

PAGES_AT_ONCE = 16  # in memory, while a long document is written
PNG_COMPRESS_LEVEL = 1  # of 9: a third larger files, several times faster
WARM_UP = DocumentSource("warm-up", b"warm-up")

OnProgress = Callable[[int, int], None]  # pages written, pages in all


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page on disk."""

    file: str
    document: str
    page_index: int
    width_px: int
    height_px: int
    num_visual_tokens: int


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What ``--json`` prints. ``render_ms`` is layout and drawing, without PNG encoding and warm-up."""

    pages: int
    num_text_tokens: int
    text_tokens_estimated: bool
    num_visual_tokens: int
    compression_ratio: float
    render_ms: float
    warnings: tuple[str, ...]
    page_images: tuple[PageImage, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_lines(self) -> dict[str, str]:
        about = "about " if self.text_tokens_estimated else ""
        return {
            "pages": f"{self.pages} in {self.render_ms:.1f} ms",
            "files": f"{self.page_images[0].file} …" if self.pages > 1 else self.page_images[0].file,
            "tokens": f"{self.num_visual_tokens:,} visual for {about}{self.num_text_tokens:,} of text, "
            f"{self.compression_ratio:.2f}× compression",
        }


def render_files(
    files: Sequence[Path], out: Path, model: str, preset_name: str | None, on_progress: OnProgress
) -> RenderReport:
    """:func:`render_documents` for ``files``; raises ModelError and InvalidRequestError for what cannot be read."""
    checkpoint = resolve_checkpoint(model)
    sources = [read_source(path) for path in files]
    return render_documents(sources, out, checkpoint, preset(preset_name or checkpoint.preset), on_progress)


def render_documents(
    sources: Sequence[DocumentSource],
    out: Path,
    checkpoint: Checkpoint,
    config: RenderConfig,
    on_progress: OnProgress,
) -> RenderReport:
    """Writes ``out/NAME-0001.png`` … for each document; tokens are counted as ``checkpoint`` counts them.

    Raises the errors of :meth:`PageRenderer.plan`, and OSError where ``out`` cannot be written.
    """
    renderer = PageRenderer(config, LimitConfig())
    renderer.render(WARM_UP, 0, renderer.plan(WARM_UP).num_pages)
    out.mkdir(parents=True, exist_ok=True)
    clock = _Stopwatch()
    with clock:
        plans = [renderer.plan(source) for source in sources]
    num_pages = sum(plan.num_pages for plan in plans)
    family, images = family_of(checkpoint), list[PageImage]()
    for source, plan, stem in zip(sources, plans, file_stems([source.name for source in sources]), strict=True):
        for start in range(0, plan.num_pages, PAGES_AT_ONCE):
            with clock:
                pages = renderer.render(source, start, min(start + PAGES_AT_ONCE, plan.num_pages))
            for page in pages:
                images.append(_write(page, source.name, out / f"{stem}-{page.plan.page_index + 1:04d}.png", family))
                on_progress(len(images), num_pages)
    counter = TokenCounter.from_checkpoint(checkpoint.path)
    counts = [counter.count(renderer.text(source)) for source in sources]
    num_text_tokens = sum(count.num_tokens for count in counts)
    num_visual_tokens = sum(image.num_visual_tokens for image in images)
    return RenderReport(
        pages=num_pages,
        num_text_tokens=num_text_tokens,
        text_tokens_estimated=any(count.estimated for count in counts),
        num_visual_tokens=num_visual_tokens,
        compression_ratio=Usage(0, 0, num_visual_tokens, 0, num_text_tokens).compression_ratio,
        render_ms=clock.total_s * 1000,
        warnings=tuple(warning for plan in plans for warning in plan.warnings),
        page_images=tuple(images),
    )


def file_stems(names: Sequence[str]) -> list[str]:
    """A stem of its own for each document: its name, numbered where another took it before."""
    stems: list[str] = []
    for name in names:
        candidates = chain([name], (f"{name}~{number}" for number in count(2)))
        stems.append(next(stem for stem in candidates if stem not in stems))
    return stems


def _write(page: Page, document: str, path: Path, family: Family) -> PageImage:
    Image.fromarray(page.pixels).save(path, compress_level=PNG_COMPRESS_LEVEL)
    width_px, height_px = page.plan.width_px, page.plan.height_px
    return PageImage(
        file=str(path),
        document=document,
        page_index=page.plan.page_index,
        width_px=width_px,
        height_px=height_px,
        num_visual_tokens=family.num_visual_tokens(family.grid_thw(width_px, height_px)),
    )


class _Stopwatch:
    def __init__(self) -> None:
        self.total_s = 0.0

    def __enter__(self) -> None:
        self._started_at = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.total_s += time.perf_counter() - self._started_at
