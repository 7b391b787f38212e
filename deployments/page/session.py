"""What a browser keeps of its visit: the documents, the options, the questions and their answers.

It lives in the browser (Gradio's BrowserState) and travels with each event, so that the server keeps nothing, a reload
loses nothing and the page may be restarted under everybody. The API key is not part of it.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.openai_answers import Json
from glyph_core.config import RenderConfig, preset, varied

STORAGE_KEY = "glyph-serve"
MAX_TURNS = 20  # the browser keeps some megabytes
DEFAULT_MAX_TOKENS = 256


class Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Document(Kept):
    """An uploaded file of the endpoint's."""

    id: str
    name: str
    num_bytes: int


class Options(Kept):
    """As the page shows them; None or an empty string: the model's own."""

    preset: str = ""
    font_size_px: float | None = None
    line_spacing: float | None = None
    dpi: float | None = None
    highlight: bool = False
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=1)
    top_p: float = Field(1.0, gt=0, le=1)
    follow_up: bool = False

    def render_fields(self, models_own: Json) -> Json:
        """``glyph.render``: what differs from the preset. Raises RenderConfigError for pages that nobody could read."""
        base = preset(self.preset) if self.preset else RenderConfig.model_validate(models_own)
        wanted = varied(base, dpi=self.dpi, font_size_px=self.font_size_px, line_spacing=self.line_spacing)
        fields = {**wanted.model_dump(), **({"highlight": True} if self.highlight else {})}
        return {name: value for name, value in fields.items() if value != getattr(base, name)}

    def page_query(self, models_own: Json) -> dict[str, str]:
        """The same for ``/v1/files/{id}/pages``."""
        fields = {name: str(value).lower() for name, value in self.render_fields(models_own).items()}
        return {**({"preset": self.preset} if self.preset else {}), **fields}


class Turn(Kept):
    """A question and its answer; ``usage`` and ``glyph`` are the endpoint's."""

    question: str
    template: str = ""
    documents: list[Document]
    page_query: dict[str, str]
    answer: str
    reasoning: str = ""
    finish_reason: str
    model: str
    usage: Json
    glyph: Json


class Session(Kept):
    documents: list[Document] = Field(default_factory=list)
    options: Options = Field(default_factory=Options)
    turns: list[Turn] = Field(default_factory=list)  # the newest last

    @classmethod
    def of(cls, kept: Any) -> Self:
        """From what a browser sent; what an older page left there begins anew."""
        try:
            return cls.model_validate(kept or {})
        except ValidationError:
            return cls()

    def with_turn(self, turn: Turn) -> Session:
        return self.model_copy(update={"turns": [*self.turns, turn][-MAX_TURNS:]})

    def chosen(self, ids: list[str]) -> list[Document]:
        return [document for document in self.documents if document.id in ids]

    def as_json(self) -> Json:
        return self.model_dump()
