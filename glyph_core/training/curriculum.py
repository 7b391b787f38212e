"""Which documents come when: from two lines of text to eight full pages.

A stage is a mix of specs; the trainer goes on to the next when the stage's measure is reached or its time is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from glyph_core.config import Config, RenderConfig
from glyph_core.training.batch import BLOCK_PX, PackedDocument, PackedPage
from glyph_core.training.charset import CHARSET
from glyph_core.training.facts import QuestionKind
from glyph_core.training.generator import DEFAULT_MIX, DEFAULT_STYLES, DocumentSpec, generate
from glyph_core.training.looks import LOOKS, MEAN_ADVANCE_PX, LaidOutPage, Typesetter
from glyph_core.training.material import Material

Range = tuple[int, int]
_DRAWN = frozenset(CHARSET + "\n\t")
MAX_PAGES = 10  # a document whose lines were estimated too few may grow to this


class PageSpec(Config):
    """A size of document. ``share`` is of the batch's units of work, not of its documents."""

    name: str
    share: float = Field(1.0, gt=0)
    looks: Mapping[str, float] = Field({"mono": 1.0}, description="look: weight")
    columns: Range = Field((17, 17), description="page width in squares of 28 px")
    rows: Range = Field((31, 31), description="page height in squares of 28 px")
    fill: tuple[float, float] = Field((0.9, 1.0), description="how much of the pages the text fills")
    pages: Range = Field((1, 1))
    num_questions: int = Field(10, ge=1)
    styles: Mapping[str, float] = Field(dict(DEFAULT_STYLES), description="style of generator.STYLES: weight")
    mix: Mapping[str, float] = Field(dict(DEFAULT_MIX), description="sort of question: weight")
    max_answer_chars: int = Field(48, ge=4, le=80)
    plain: float = Field(0.6, ge=0, le=1, description="share of pages that are black on white, as rendered")
    scans: float = Field(0.05, ge=0, le=1, description="share of documents that are shifted, blurred or compressed")


class Stage(Config):
    """A mix of specs until ``measure`` is over ``threshold``, or until a share of the whole training is over."""

    specs: tuple[PageSpec, ...] = Field(min_length=1)
    measure: QuestionKind = QuestionKind.KEY_VALUE
    counted: Literal["tokens", "answers"] = "answers"
    threshold: float = 0.85
    until: float = Field(1.0, gt=0, le=1)


def make_document(material: Material, typesetter: Typesetter, spec: PageSpec, number: int = 0) -> PackedDocument | None:
    """A document of ``spec`` with its pages laid out; None where it came out too long or nothing could be asked."""
    look = material.random.choices(list(spec.looks), list(spec.looks.values()))[0]
    config = _page_of(material, look, spec)
    num_pages = material.number(*spec.pages)
    lines_per_page = (config.page_height_px - 2 * config.margin_px) // config.line_height_px
    fill = material.random.uniform(*spec.fill)
    max_lines = max(1, int(lines_per_page * (num_pages - 1 + fill)))
    columns = int((config.page_width_px - 2 * config.margin_px) / MEAN_ADVANCE_PX[look])
    document = generate(
        material,
        DocumentSpec(columns, max_lines, spec.num_questions, tuple(spec.styles.items()), tuple(spec.mix.items()),
                     spec.max_answer_chars),
    )  # fmt: skip
    if not _DRAWN.issuperset(document.text):  # small letters may have capitals that the ink table lacks
        return None
    pages = typesetter.lay_out(document.text, look, config)
    if not document.questions or not 1 <= len(pages) <= max(MAX_PAGES, num_pages):
        return None
    return PackedDocument(_finished(material, pages, config, spec), document.questions, number, document.text, config)


def _page_of(material: Material, look: str, spec: PageSpec) -> RenderConfig:
    """The look on a page of the spec's size, but no larger than the look's own."""
    config = LOOKS[look]
    width = min(material.number(*spec.columns) * BLOCK_PX, config.page_width_px)
    height = min(material.number(*spec.rows) * BLOCK_PX, config.page_height_px)
    min_width = min(config.min_width_px, width)
    return config.model_copy(update={"page_width_px": width, "page_height_px": height, "min_width_px": min_width})


def _finished(
    material: Material, pages: list[LaidOutPage], config: RenderConfig, spec: PageSpec
) -> tuple[PackedPage, ...]:
    """One treatment for all pages of a document, as one scanner or one configuration would give."""
    photometry = _photometry(material, spec.plain)
    scan = _scan(material) if material.chance(spec.scans) else None
    finished = []
    for page in pages:
        zoom = scan[0] if scan else 1.0
        final = tuple(max(1, round(side * zoom / BLOCK_PX)) * BLOCK_PX for side in (page.width_px, page.height_px))
        if final[0] * final[1] * 2 < 112 * 112:  # the processor would enlarge so small a page
            final = (8 * BLOCK_PX, max(final[1], BLOCK_PX))
        needs_canvas = scan is not None or final != (page.width_px, page.height_px)
        effects = scan[1] if scan else (0.0, 0.0, 0.0, 0.0)
        canvas = (page.width_px, page.height_px, *final, *effects) if needs_canvas else None
        finished.append(PackedPage(page, photometry, canvas, (final[0], final[1])))
    return tuple(finished)


def _photometry(material: Material, plain: float) -> tuple[float, float, float]:
    draw = material.random.uniform
    if material.chance(plain):
        return 0.0, 1.0, 0.0
    ink, paper, noise = draw(0, 0.3), draw(0.85, 1), draw(0, 0.06) if material.chance(0.5) else 0.0
    if material.chance(0.35):
        return (1.0, 0.0, 0.0) if material.chance(0.5) else (paper, ink, noise)  # inverted
    return ink, paper, noise


def _scan(material: Material) -> tuple[float, tuple[float, float, float, float]]:
    """Zoom, and shift right, shift down, blur and JPEG quality."""
    draw = material.random.uniform
    zoom = 1.0 if material.chance(0.6) else draw(0.92, 1.12)
    is_blurred = material.chance(0.6)
    shift = (draw(-2, 2), draw(-2, 2)) if is_blurred else (0.0, 0.0)
    blur = draw(0.2, 0.7) if is_blurred else 0.0
    return zoom, (*shift, blur, float(material.number(35, 95)) if material.chance(0.7) else 0.0)
