"""What a checkpoint says of itself that transformers has no place for: its ``glyph_config.json``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from glyph_core.config import Config, RenderConfig

DEFAULT_PRESET = "glyph-en"
Bounds = tuple[float, float]  # both included


class LookRange(Config):
    """Render configurations that a checkpoint reads; what is not named here (page size, margins) doesn't matter."""

    font: str
    font_size_px: Bounds
    line_height_px: Bounds
    cell_width_px: int = Field(0, description="fixed advance; 0: the font's own advances")

    def holds(self, config: RenderConfig) -> bool:
        return (
            (config.font, config.cell_width_px) == (self.font, self.cell_width_px)
            and self.font_size_px[0] <= config.font_size_px <= self.font_size_px[1]
            and self.line_height_px[0] <= config.line_height_px <= self.line_height_px[1]
        )


def is_decorated(config: RenderConfig) -> bool:
    """Whether pages may hold more than plain text: see ``ReadingRange.decorated``."""
    more_than_text = (config.tables, config.formulas, config.figures) != ("text", "text", "text")
    return more_than_text or config.styled or config.highlight or config.newline_marks


class ReadingRange(Config):
    """What a checkpoint was measured on. Outside of it answers come with a warning."""

    looks: tuple[LookRange, ...] = Field(min_length=1)
    inverted: bool = Field(False, description="white on black too")
    decorated: bool = Field(
        False, description="bold and slanted words, ruled tables, typeset formulas, figures, colours"
    )
    pictures: bool = Field(False, description="pages that come as pictures, rather than set by us")
    max_pages: int | None = Field(None, ge=1, description="pages of a request, windows included")
    max_question_chars: int | None = Field(None, ge=1, description="of the last user message's text")
    scripts: tuple[str, ...] = Field((), description="as documents.scripts names them; none: any")

    def holds_look(self, config: RenderConfig) -> bool:
        """Whether text that is set as ``config`` says is inside."""
        return (
            (self.inverted or not config.inverted)
            and (self.decorated or not is_decorated(config))
            and any(look.holds(config) for look in self.looks)
        )


class Calibration(Config):
    """From an answer's log-probabilities to the probability that it is right: a logistic model, fitted on held-out
    questions by scripts/calibrate_confidence.py. Never falls where a token becomes more likely."""

    bias: float
    weakest_token: float = Field(ge=0, description="of the least likely token's log-odds")
    whole_answer: float = Field(ge=0, description="of the log-odds of all tokens together")
    absent: float = Field(0.0, description="added where the answer is absent_answer")


class GlyphConfig(Config):
    about: str | None = Field(
        None, description="what its users should know, to be read after its name: 'is a model that …'"
    )
    render_preset: str = Field(DEFAULT_PRESET, description="what its pages were rendered with in training")
    window_pages: int | None = Field(None, ge=1, description="pages that it reads well at once")
    page_labels: bool = Field(
        False,
        description="each page of several documents stands behind its document's name and its number; wants a chat "
        "template that leaves a turn's parts in their order",
    )
    absent_answer: str | None = Field(None, description="what it answers where the pages don't tell")
    reads: ReadingRange | None = Field(None, description="None: not declared, so nothing is warned of")
    calibration: Calibration | None = Field(None, description="None: confidence is the tokens' mean probability")
    weights: Literal["files", "random"] = Field(
        "files", description="random: drawn when loaded, to measure a shape's speed and memory; answers mean nothing"
    )

    @model_validator(mode="after")
    def _absent_is_named(self) -> Self:
        if self.calibration and self.calibration.absent and self.absent_answer is None:
            raise ValueError("calibration.absent is of no use without absent_answer")
        return self
