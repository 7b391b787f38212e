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


RENDERER_VERSION = 1  # part of every page digest: raise it when the same configuration draws other pixels


class RenderConfig(Config):
    """How a document's text becomes page images.

    Sizes are pixels of the page image. A page is cropped to the document's right edge and the last page to its last
    line, both rounded up to ``snap_px``.
    """

    font: Literal["mono", "sans"] = Field("mono", description="DejaVu Sans Mono or DejaVu Sans")
    font_size_px: float = Field(11.625, gt=0, le=64, description="size of the em square")
    cell_width_px: int = Field(7, ge=0, le=64, description="fixed advance of a Latin glyph; 0: the font's own advances")
    line_height_px: int = Field(14, ge=6, le=128)
    page_width_px: int = Field(476, ge=56, le=8192)
    page_height_px: int = Field(868, ge=56, le=8192)
    margin_px: int = Field(14, ge=0, le=512)
    snap_px: int = Field(28, ge=1, le=64, description="page sizes are multiples of this")
    min_width_px: int = Field(224, ge=28, le=8192, description="a page is never cropped narrower")
    tab_columns: int = Field(4, ge=1, le=16, description="a tab goes on to the next multiple of so many spaces")
    inverted: bool = Field(False, description="white on black")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.font_size_px < 6:
            raise RenderConfigError(
                f"font_size_px={self.font_size_px} makes an em under 6 px, which no vision tower reads; use 6 or more",
                param="font_size_px",
            )
        inner_width, inner_height = (side - 2 * self.margin_px for side in (self.page_width_px, self.page_height_px))
        if inner_width < 2 * self.font_size_px or inner_height < self.line_height_px:
            raise RenderConfigError(
                f"a page of {self.page_width_px}×{self.page_height_px} px with margins of {self.margin_px} px holds no "
                "line of text; make the page larger or the margins smaller",
                param="margin_px",
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


PRESETS: dict[str, RenderConfig] = {
    # What glyph-mini is trained on. A visual token is a square of 28 px: with cells of 7×14 px and margins of 14 px,
    # every character lies wholly in one token's square, four by two to a token. Final: golden pages guard it.
    "mini": RenderConfig(),
    # zai-org/Glyph's published rendering at 72 dpi: 595×842 pt, font 9, line height 10, margins 10.
    "glyph-en": RenderConfig(
        font="sans", font_size_px=9, cell_width_px=0, line_height_px=10, page_width_px=595, page_height_px=842,
        margin_px=10, snap_px=1, min_width_px=112,
    ),
}  # fmt: skip


def preset(name: str) -> RenderConfig:
    """The preset called ``name``; raises RenderConfigError naming those that exist."""
    if name not in PRESETS:
        raise RenderConfigError(f"no render preset {name!r}; there are: {', '.join(PRESETS)}", param="preset")
    return PRESETS[name]


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
    attention: Literal["auto", "sdpa"] = Field("auto", description="attention backend")

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
        "auto", description="auto: float32 on the CPU, else bfloat16"
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
    parse_timeout_s: float = Field(18.0, gt=0, description="for a DOCX or HTML file as a whole")
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
