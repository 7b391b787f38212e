"""What an answer tells of where it comes from."""

from __future__ import annotations

from pydantic import Field

from glyph_core.citations import GroundingMode
from glyph_core.config.base import Config


class EvidenceConfig(Config):
    citations: bool = Field(True, description="the passages that the answer rests on, with their places on the pages")
    grounding: GroundingMode = Field(
        "repair",
        description="numbers, dates, names and identifiers of the answer are looked up in the documents' text: those "
        "that don't stand there are flagged, or repaired where exactly one text is one character off; or off",
    )

    @property
    def is_off(self) -> bool:
        return not self.citations and self.grounding == "off"
