"""How documents become page images: the knobs, and the presets that set them together."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, model_validator

from glyph_core.config.base import Config
from glyph_core.errors import RenderConfigError
from glyph_core.types import digest_of

RENDERER_VERSION = 3  # part of every page digest: raise it when the same configuration draws other pixels

MIN_EM_PX = 6
MIN_LINE_EMS = 0.85  # DejaVu's capitals and descenders together: lines touch, none covers another
MIN_CELL_EMS = 0.5  # DejaVu Sans Mono advances 0.6
MAX_PAGE_PIXELS = 28 * 28 * 6000  # 6,000 visual tokens: more than that and a model of 8k context has no room to answer


class RenderConfig(Config):
    """How a document becomes page images.

    Sizes are pixels of the page image. A page is cropped to the document's right edge and the last page to its last
    line, both rounded up to ``snap_px``.
    """

    font: Literal["mono", "sans", "cjk"] = Field(
        "mono", description="DejaVu Sans Mono, DejaVu Sans, or Droid Sans Fallback before it (full-width punctuation)"
    )
    font_size_px: float = Field(11.625, gt=0, le=64, description="size of the em square")
    cell_width_px: int = Field(7, ge=0, le=64, description="fixed advance of a Latin glyph; 0: the font's own advances")
    line_height_px: float = Field(14, ge=4, le=128)
    page_width_px: int = Field(476, ge=56, le=8192)
    page_height_px: int = Field(868, ge=56, le=8192)
    margin_px: int = Field(14, ge=0, le=512)
    snap_px: int = Field(28, ge=1, le=64, description="page sizes are multiples of this")
    min_width_px: int = Field(224, ge=28, le=8192, description="a page is never cropped narrower")
    dpi: float = Field(96, ge=36, le=300, description="of pages that are shown as the file draws them, and of figures")
    mode: Literal["auto", "reflow", "native"] = Field(
        "auto", description="set a PDF's text anew, show its pages as they are, or decide for each page"
    )
    tab_columns: int = Field(4, ge=1, le=16, description="a tab goes on to the next multiple of so many spaces")
    block_gap: float = Field(1, ge=0, le=4, description="lines left blank between paragraphs, tables and the like")
    styled: bool = Field(False, description="headings and strong words bold, emphasised ones slanted")
    tables: Literal["text", "ruled"] = Field("text", description="columns of text, or cells with rules between them")
    formulas: Literal["text", "set"] = Field("text", description="as LaTeX, or typeset")
    figures: Literal["text", "set"] = Field("text", description="as their captions alone, or as pictures in the text")
    highlight: bool = Field(False, description="code in colours; pages that hold some become RGB")
    newline_marks: bool = Field(
        False, description="plain text flows on at line ends, which show as a red \\n; pages become RGB"
    )
    inverted: bool = Field(False, description="white on black")
    picture_scale: float = Field(1.0, gt=0, le=4, description="of PNG, JPEG and TIFF pages, beside their own size")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        em = self.font_size_px
        if em < MIN_EM_PX:
            raise RenderConfigError(
                f"font_size_px={em} makes an em under {MIN_EM_PX} px, which no vision tower reads; use {MIN_EM_PX} or "
                "more",
                param="font_size_px",
            )
        if self.line_height_px < MIN_LINE_EMS * em:
            raise RenderConfigError(
                f"line_height_px={self.line_height_px:g} is less than {MIN_LINE_EMS} em of {em:g} px: lines would "
                f"cover one another; use {MIN_LINE_EMS * em:.1f} or more",
                param="line_height_px",
            )
        if self.cell_width_px and self.cell_width_px < MIN_CELL_EMS * em:
            raise RenderConfigError(
                f"cell_width_px={self.cell_width_px} is narrower than the glyphs of an em of {em:g} px; use "
                f"{MIN_CELL_EMS * em:.1f} or more, or 0 for the font's own advances",
                param="cell_width_px",
            )
        inner_width, inner_height = (side - 2 * self.margin_px for side in (self.page_width_px, self.page_height_px))
        if inner_width < 2 * em or inner_height < self.line_height_px:
            raise RenderConfigError(
                f"a page of {self.page_width_px}×{self.page_height_px} px with margins of {self.margin_px} px holds no "
                "line of text; make the page larger or the margins smaller",
                param="margin_px",
            )
        if self.page_width_px * self.page_height_px > MAX_PAGE_PIXELS:
            raise RenderConfigError(
                f"a page of {self.page_width_px}×{self.page_height_px} px has more than {MAX_PAGE_PIXELS} px: the "
                "model would scale it down, and small type with it; make the page smaller",
                param="page_height_px",
            )
        if (
            self.page_width_px % self.snap_px
            or self.page_height_px % self.snap_px
            or self.min_width_px > self.page_width_px
        ):
            raise RenderConfigError(
                f"page_width_px and page_height_px must be multiples of snap_px={self.snap_px}, and min_width_px at "
                "most page_width_px",
                param="snap_px",
            )
        return self

    def page_digest(self, document_digest: str, page_index: int) -> str:
        """Names the pixels of a page without drawing it: rendering is deterministic."""
        return digest_of(document_digest.encode(), self.digest.encode(), str(page_index).encode())

    @property
    def digest(self) -> str:
        """Names what this configuration draws; part of every page digest."""
        return _render_digest(self)


@lru_cache(maxsize=256)
def _render_digest(config: RenderConfig) -> str:
    return digest_of(f"{RENDERER_VERSION}".encode(), config.model_dump_json().encode())


_OFFICIAL = RenderConfig(
    font="sans", font_size_px=9, cell_width_px=0, line_height_px=10, page_width_px=595, page_height_px=842,
    margin_px=10, snap_px=1, min_width_px=112, dpi=72, block_gap=0.5, tables="ruled", formulas="set",
    figures="set",
)  # fmt: skip
_ROOMY = RenderConfig(
    font="sans", font_size_px=14, cell_width_px=0, line_height_px=21, page_width_px=1024, page_height_px=1448,
    margin_px=28, snap_px=1, min_width_px=224, dpi=120, block_gap=0.5, styled=True, tables="ruled", formulas="set",
    figures="set",
)  # fmt: skip

PRESETS: dict[str, RenderConfig] = {
    # What glyph-mini is trained on. A visual token is a square of 28 px: with cells of 7×14 px and margins of 14 px,
    # every character lies wholly in one token's square, four by two to a token. Final: golden pages guard it.
    "mini": RenderConfig(),
    # zai-org/Glyph's published rendering at 72 dpi: 595×842 pt, font 9, line height 10, margins 10; for Chinese too.
    "glyph-en": _OFFICIAL,
    "glyph-zh": _OFFICIAL.model_copy(update={"font": "cjk"}),
    "readable": _ROOMY,
    "compact": _ROOMY.model_copy(
        update={"font_size_px": 12.0, "line_height_px": 14.0, "page_width_px": 768, "page_height_px": 1086,
                "margin_px": 14, "dpi": 96.0}
    ),
}  # fmt: skip


def preset(
    name: str, *, dpi: float | None = None, font_size_px: float | None = None, line_spacing: float | None = None
) -> RenderConfig:
    """The preset called ``name``; raises RenderConfigError naming those that exist.

    ``dpi`` scales the whole page, as the official configurations at 96 and 120 do those at 72. ``font_size_px`` and
    ``line_spacing`` (line height over font size) change the type on a page of the same size.
    """
    if name not in PRESETS:
        raise RenderConfigError(f"no render preset {name!r}; there are: {', '.join(PRESETS)}", param="preset")
    return varied(PRESETS[name], dpi=dpi, font_size_px=font_size_px, line_spacing=line_spacing)


def varied(
    config: RenderConfig,
    *,
    dpi: float | None = None,
    font_size_px: float | None = None,
    line_spacing: float | None = None,
) -> RenderConfig:
    """``config`` with what :func:`preset` can be told beside a name."""
    size, spacing = font_size_px or config.font_size_px, line_spacing or config.line_height_px / config.font_size_px
    changes: dict[str, object] = {}
    if font_size_px or line_spacing:
        cell = round(config.cell_width_px * size / config.font_size_px)
        changes = {"font_size_px": size, "line_height_px": size * spacing, "cell_width_px": cell}
    if dpi is not None:
        scale = dpi / config.dpi
        lengths = ("page_width_px", "page_height_px", "margin_px", "min_width_px")
        changes |= {length: round(getattr(config, length) * scale) for length in lengths}
        cell = round(config.cell_width_px * size / config.font_size_px * scale)
        changes |= {"dpi": dpi, "snap_px": 1, "cell_width_px": cell}
        changes |= {"font_size_px": size * scale, "line_height_px": size * spacing * scale}
    return RenderConfig.model_validate(config.model_dump() | changes)
