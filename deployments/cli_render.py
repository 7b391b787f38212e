"""``glyph render``: documents to page images on disk, and what they would cost as tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from deployments.gallery import gallery_html
from glyph_core.config import LimitConfig, RenderConfig, preset
from glyph_core.documents.source import read_source
from glyph_core.errors import InvalidRequestError
from glyph_core.model.checkpoint import Checkpoint, resolve_checkpoint
from glyph_core.model.family import PageGeometry, geometry_of
from glyph_core.model.token_counter import TokenCounter
from glyph_core.rendering.placed import Span
from glyph_core.rendering.png import encode_png
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource, Page, Usage

PAGES_AT_ONCE = 16  # in memory, while a long document is written
WARM_UP = DocumentSource("warm-up", b"warm-up")

OnProgress = Callable[[int, int], None]  # pages written, pages in all


@dataclass(frozen=True, slots=True)
class RenderKnobs:
    """How pages are to be drawn; None is the preset's own."""

    preset: str | None = None  # None: what the model was made for
    dpi: float | None = None
    font_size_px: float | None = None
    line_spacing: float | None = None
    mode: Literal["auto", "reflow", "native"] | None = None
    highlight: bool = False
    newline_marks: bool = False

    def config(self, preset_of_model: str) -> RenderConfig:
        """Raises RenderConfigError for pages that nobody could read."""
        sizes = {"dpi": self.dpi, "font_size_px": self.font_size_px, "line_spacing": self.line_spacing}
        config = preset(self.preset or preset_of_model, **sizes)
        changes: dict[str, object] = {"mode": self.mode} if self.mode else {}
        changes |= {name: True for name in ("highlight", "newline_marks") if getattr(self, name)}
        return RenderConfig.model_validate(config.model_dump() | changes)


@dataclass(frozen=True, slots=True)
class Output:
    folder: Path
    spans: bool = False  # a JSON file beside each page
    gallery: bool = False  # gallery.html


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page on disk."""

    file: str
    document: str
    page_index: int
    width_px: int
    height_px: int
    num_visual_tokens: int
    spans_file: str | None = None


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
    gallery: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_lines(self) -> dict[str, str]:
        about = "about " if self.text_tokens_estimated else ""
        gallery = {"gallery": self.gallery} if self.gallery else {}
        return gallery | {
            "pages": f"{self.pages} in {self.render_ms:.1f} ms",
            "files": f"{self.page_images[0].file} …" if self.pages > 1 else self.page_images[0].file,
            "tokens": f"{self.num_visual_tokens:,} visual for {about}{self.num_text_tokens:,} of text, "
            f"{self.compression_ratio:.2f}× compression",
        }


def render_files(
    files: Sequence[Path], output: Output, model: str, knobs: RenderKnobs, on_progress: OnProgress
) -> RenderReport:
    """:func:`render_documents` for ``files``; raises ModelError and InvalidRequestError for what cannot be read, and
    RenderConfigError."""
    checkpoint = resolve_checkpoint(model)
    config = knobs.config(checkpoint.preset)
    sources = [read_source(path) for path in files]
    return render_documents(sources, output, checkpoint, config, on_progress)


def render_documents(
    sources: Sequence[DocumentSource],
    output: Output,
    checkpoint: Checkpoint,
    config: RenderConfig,
    on_progress: OnProgress,
) -> RenderReport:
    """Writes ``NAME-0001.png`` … for each document; tokens are counted as ``checkpoint`` counts them.

    Raises the errors of :meth:`PageRenderer.plan`, InvalidRequestError where the folder is a file, and OSError where it
    cannot be written.
    """
    _make_folder(output.folder)
    renderer = PageRenderer(config, LimitConfig())
    renderer.render(WARM_UP, 0, renderer.plan(WARM_UP).num_pages)
    clock = _Stopwatch()
    with clock:
        plans = [renderer.plan(source) for source in sources]
    num_pages = sum(plan.num_pages for plan in plans)
    geometry, images = geometry_of(checkpoint), list[PageImage]()
    warnings = [warning for plan in plans for warning in (*plan.warnings, *map(str, plan.page_errors))]
    for source, plan, stem in zip(sources, plans, file_stems([source.name for source in sources]), strict=True):
        for start in range(0, plan.num_pages, PAGES_AT_ONCE):
            with clock:
                pages = renderer.render(source, start, min(start + PAGES_AT_ONCE, plan.num_pages))
            for page in pages:
                path = output.folder / f"{stem}-{page.plan.page_index + 1:04d}.png"
                path.write_bytes(encode_png(page.pixels))
                images.append(_page_image(page, source.name, path, geometry))
                if output.spans:
                    spans_file = path.with_suffix(".json")
                    spans = spans_json(images[-1], renderer.spans(source, page.plan.page_index), renderer.text(source))
                    spans_file.write_text(json.dumps(spans, ensure_ascii=False), encoding="utf-8")
                    images[-1] = replace(images[-1], spans_file=str(spans_file))
                if page.error is not None:
                    warnings.append(str(page.error))
                on_progress(len(images), num_pages)
    counter = TokenCounter.from_checkpoint(checkpoint.path)
    counts = [counter.count(renderer.text(source)) for source in sources]
    num_text_tokens = sum(count.num_tokens for count in counts)
    num_visual_tokens = sum(image.num_visual_tokens for image in images)
    report = RenderReport(
        pages=num_pages,
        num_text_tokens=num_text_tokens,
        text_tokens_estimated=any(count.estimated for count in counts),
        num_visual_tokens=num_visual_tokens,
        compression_ratio=Usage(0, 0, num_visual_tokens, 0, num_text_tokens).compression_ratio,
        render_ms=clock.total_s * 1000,
        warnings=tuple(dict.fromkeys(warnings)),
        page_images=tuple(images),
    )
    return _with_gallery(report, output.folder) if output.gallery else report


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidRequestError(
            f"{folder} is a file, and pages need a folder: name one with --out; it is made where it is not there",
            param="out",
        )
    folder.mkdir(parents=True, exist_ok=True)


def _with_gallery(report: RenderReport, folder: Path) -> RenderReport:
    path = folder / "gallery.html"
    path.write_text(gallery_html(report.as_lines(), report.warnings, report.page_images), encoding="utf-8")
    return replace(report, gallery=str(path))


def file_stems(names: Sequence[str]) -> list[str]:
    """A stem of its own for each document: its name, numbered where another took it before."""
    stems: list[str] = []
    for name in names:
        candidates = chain([name], (f"{name}~{number}" for number in count(2)))
        stems.append(next(stem for stem in candidates if stem not in stems))
    return stems


def _page_image(page: Page, document: str, path: Path, geometry: PageGeometry) -> PageImage:
    width_px, height_px = page.plan.width_px, page.plan.height_px
    return PageImage(
        file=str(path),
        document=document,
        page_index=page.plan.page_index,
        width_px=width_px,
        height_px=height_px,
        num_visual_tokens=geometry.num_visual_tokens(geometry.grid_thw(width_px, height_px)),
    )


def spans_json(image: PageImage, spans: Sequence[Span], text: str) -> dict[str, Any]:
    """What stands where on a page: characters ``[start, stop)`` of the document's text, and their box in px."""
    return {
        "document": image.document,
        "page_index": image.page_index,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "spans": [
            {
                "start": span.start,
                "stop": span.stop,
                "text": text[span.start : span.stop],
                "box": list(span.box),
                "source_page": span.place.page if span.place else None,
                "source_box": list(span.place.box) if span.place and span.place.box else None,
            }
            for span in spans
        ],
    }


class _Stopwatch:
    def __init__(self) -> None:
        self.total_s = 0.0

    def __enter__(self) -> None:
        self._started_at = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.total_s += time.perf_counter() - self._started_at
