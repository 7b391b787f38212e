"""Every knob, in one place: frozen, checked, and refused when misspelt."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from glyph_core.errors import ConfigError, RenderConfigError
from glyph_core.types import digest_of


class Config(BaseModel):
    """Base of all configurations: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RENDERER_VERSION = 2  # part of every page digest: raise it when the same configuration draws other pixels

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
    highlight: bool = Field(False, description="code in colours; pages that hold some become RGB")
    newline_marks: bool = Field(
        False, description="plain text flows on at line ends, which show as a red \\n; pages become RGB"
    )
    inverted: bool = Field(False, description="white on black")

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
)  # fmt: skip
_ROOMY = RenderConfig(
    font="sans", font_size_px=14, cell_width_px=0, line_height_px=21, page_width_px=1024, page_height_px=1448,
    margin_px=28, snap_px=1, min_width_px=224, dpi=120, block_gap=0.5, styled=True, tables="ruled", formulas="set",
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
    config = PRESETS[name]
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


class SamplingConfig(Config):
    """How tokens are drawn. ``temperature`` 0 is greedy decoding."""

    temperature: float = Field(0.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = Field((), description="the answer ends before the first of these strings")
    seed: int | None = Field(None, description="same seed, same draw, whatever else is in the batch")
    repetition_penalty: float = Field(
        1.0, gt=0.0, le=10.0, description="CTRL (Keskar et al. 2019) section 4.1; 1 is off"
    )
    ignore_eos: bool = Field(False, description="for benchmarks: go on to max_tokens")


class EngineConfig(Config):
    """The language model's engine."""

    block_size: int = Field(16, ge=1, le=256, description="tokens to a KV block")
    num_blocks: int | None = Field(None, ge=2, description="KV blocks in the pool; None: what kv_memory_gb holds")
    kv_memory_gb: float = Field(1.0, gt=0, description="memory for KV blocks where num_blocks is not given")
    max_num_seqs: int = Field(32, ge=1, description="sequences that run at once")
    max_num_batched_tokens: int = Field(2048, ge=1, description="tokens in one step; a long prefill is cut to this")
    max_model_len: int | None = Field(None, ge=1, description="prompt + answer; None: the model's own context")
    prefix_cache: bool = Field(True, description="keep finished blocks for prompts that begin alike")
    attention: Literal["auto", "sdpa", "triton", "flash"] = Field(
        "auto", description="attention backend; auto: triton on CUDA where it is installed, else sdpa"
    )
    prefill: Literal["auto", "sdpa", "varlen", "split"] = Field(
        "auto", description="prefill of the triton backend; auto: varlen in half precision on CUDA, else sdpa"
    )
    shared_prefix: bool = Field(True, description="triton: read what running sequences share once for all of them")
    cuda_graphs: bool = Field(True, description="on CUDA: record decode steps once for each batch size, then replay")
    kv_dtype: Literal["auto", "fp8"] = Field("auto", description="of keys and values in the pool; auto: the model's")

    @model_validator(mode="after")
    def _step_holds_decode(self) -> Self:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ConfigError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} cannot hold one token of each of "
                f"max_num_seqs={self.max_num_seqs} sequences; raise the first or lower the second"
            )
        return self


class ModelConfig(Config):
    """Which checkpoint, and how it is loaded."""

    model: str = Field("glyph-mini", description="glyph-mini, a checkpoint folder, or a hub id such as zai-org/Glyph")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: float32 on the CPU (the vision tower bfloat16 where it is fast), else bfloat16"
    )
    weights: Literal["auto", "fp8"] = Field(
        "auto",
        description="of the language model's layers. auto: in dtype; fp8: e4m3 with a scale a row (sm_89, sm_90)",
    )
    kernels: Literal["auto", "transformers", "fused"] = Field(
        "auto",
        description="what the language model is made of: transformers' modules, or ours, which are faster; auto: ours",
    )
    gpu_memory_gb: float | None = Field(
        None, gt=0, description="GiB of one card for both stages: KV blocks take what the rest leaves; None: no limit"
    )
    device: str = Field("auto", description="auto: cuda where there is one, else cpu")
    num_threads: int | None = Field(
        None, ge=1, description="CPU threads of a stage's tensor work; None: torch's choice"
    )


class CreditConfig(Config):
    """How far a stage may run ahead of the one that pulls from it: calls in flight × pages a call."""

    pages_per_render_call: int = Field(4, ge=1, le=64)
    render_calls: int = Field(3, ge=1, le=64)
    pages_per_encode_call: int = Field(16, ge=1, le=256)
    encode_calls: int = Field(2, ge=1, le=16)
    pages_per_message: int = Field(2, ge=1, le=16, description="pages whose features travel in one message")
    max_encode_batch: int = Field(8, ge=1, le=256, description="pages in one forward of the vision tower")


class LimitConfig(Config):
    """What a request may ask for."""

    max_document_bytes: int = Field(64 * 1024**2, ge=1)
    max_request_bytes: int = Field(256 * 1024**2, ge=1)
    max_pages: int = Field(2000, ge=1, description="pages of one request")
    max_image_pixels: int = Field(64_000_000, ge=1, description="pixels of a picture that is sent as a page")
    parse_timeout_s: float = Field(18.0, gt=0, description="of computing, for a DOCX or HTML file as a whole")
    page_timeout_s: float = Field(4.0, gt=0, description="for a page of a PDF or a frame of a TIFF; then it is missing")
    parse_memory_gb: float = Field(1.5, gt=0, description="address space of a process that parses documents, in GiB")
    render_text_over_tokens: int = Field(2000, ge=1, description="a longer text part is rendered to pages")


class PipelineConfig(Config):
    """The whole way: what :class:`glyph_core.pipeline.Pipeline` and the served app are both made from."""

    model: ModelConfig = ModelConfig()
    render: RenderConfig | None = Field(None, description="None: the preset that the checkpoint names")
    engine: EngineConfig = EngineConfig()
    credits: CreditConfig = CreditConfig()
    feature_cache_gb: float = Field(
        0.25, ge=0, description="features of the pages seen last, kept in the encoder's host memory; 0 keeps none"
    )
    limits: LimitConfig = LimitConfig()
