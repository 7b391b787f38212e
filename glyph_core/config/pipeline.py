"""The stages together: how far one runs ahead of the next, and what a request may ask for."""

from __future__ import annotations

from pydantic import Field

from glyph_core.config.base import Config
from glyph_core.config.engine import EngineConfig, ModelConfig
from glyph_core.config.reading import ReadingConfig
from glyph_core.config.render import RenderConfig


class CreditConfig(Config):
    """How far a stage may run ahead of the one that pulls from it: calls in flight × pages a call."""

    pages_per_render_call: int = Field(6, ge=1, le=64, description="at most; fewer where pages are slow to draw")
    render_calls: int = Field(3, ge=1, le=64)
    pages_per_encode_call: int = Field(8, ge=1, le=256)
    encode_calls: int = Field(4, ge=1, le=16)
    pages_per_message: int = Field(
        8, ge=1, le=64, description="at most; pages, or their features, that travel together"
    )
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
    reading: ReadingConfig = ReadingConfig()
    templates: str | None = Field(None, description="a folder of task templates beside those that are shipped")
