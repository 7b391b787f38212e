"""How documents are read that are longer than the model reads at once, and when pages are looked at again."""

from __future__ import annotations

from pydantic import Field

from glyph_core.config.base import Config


class WindowConfig(Config):
    """Windows of whole pages, one after another."""

    overlap_pages: int = Field(1, ge=0, le=64, description="pages that a window shares with the one before it")
    combine: bool = Field(True, description="ask once more about the pages of the best windows' answers, together")
    max_candidates: int = Field(8, ge=2, le=64, description="windows' answers that are looked up and told, at most")


class SecondLookConfig(Config):
    """A doubtful answer's pages, drawn larger and asked again."""

    enabled: bool = Field(False, description="look again where an answer is doubtful")
    below_confidence: float = Field(0.5, ge=0, le=1, description="an answer of less is doubtful")
    on_unsupported: bool = Field(True, description="so is one with values that the documents' text does not hold")
    dpi: float | None = Field(
        None, ge=36, le=300, description="of the second look; None: 120, or 144 where the pages have that already"
    )
    max_tokens: int = Field(4096, ge=1, description="visual tokens of the second look; pages over it are left out")


class ReadingConfig(Config):
    windows: WindowConfig = WindowConfig()
    second_look: SecondLookConfig = SecondLookConfig()
