"""How a checkpoint reads and writes: its family's adapter, its tokenizer, its marks and its range."""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.answering.assembly import Markup
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.tokenizer import Tokenizer

OPEN_REASONING = ("<think>",)
CLOSE_REASONING = ("</think>",)
SILENT = ("<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>")  # GLM-4.1V frames its answers with these


@dataclass(frozen=True, slots=True)
class Reader:
    """Everything about a checkpoint but its weights."""

    checkpoint: Checkpoint
    family: Family
    tokenizer: Tokenizer
    markup: Markup

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Reader:
        """Raises ModelError where the tokenizer or the family's small files are missing."""
        tokenizer = Tokenizer(checkpoint)
        return cls(checkpoint, family_of(checkpoint), tokenizer, _markup(tokenizer, checkpoint))

    @property
    def window_pages(self) -> int | None:
        """Pages that the model reads well at once; None: as many as its context holds."""
        return self.checkpoint.window_pages

    @property
    def absent_answer(self) -> str | None:
        """What the model answers where a page does not tell; None where it has no fixed words for it."""
        return self.checkpoint.absent_answer


def _markup(tokenizer: Tokenizer, checkpoint: Checkpoint) -> Markup:
    def ids(tokens: tuple[str, ...]) -> frozenset[int]:
        return frozenset(i for token in tokens if (i := tokenizer.special_token_id(token)) is not None)

    return Markup(ids(OPEN_REASONING), ids(CLOSE_REASONING), ids(SILENT) | frozenset(checkpoint.eos_token_ids))
