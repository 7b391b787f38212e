"""How a checkpoint reads and writes: its family's adapter, its tokenizer, its marks and its range."""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.answering.assembly import Markup
from glyph_core.answering.structure import Frame, SchemaMasks
from glyph_core.config import SamplingConfig
from glyph_core.engine.token_mask import TokenMask
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.tokenizer import Tokenizer
from glyph_core.types import Prompt

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
    masks: SchemaMasks

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Reader:
        """Raises ModelError where the tokenizer or the family's small files are missing."""
        tokenizer = Tokenizer(checkpoint)
        markup = _markup(tokenizer, checkpoint)
        eos = frozenset(checkpoint.eos_token_ids)
        frame = Frame(eos, markup.open_reasoning, markup.close_reasoning, markup.silent - eos)
        return cls(checkpoint, family_of(checkpoint), tokenizer, markup, SchemaMasks(tokenizer.as_json, frame))

    def constrain(self, sampling: SamplingConfig, prompt: Prompt, vocab_size: int) -> TokenMask | None:
        """Which tokens an answer may be made of; None: any. Raises InvalidRequestError for a schema that cannot be
        enforced."""
        if sampling.json_schema is None:
            return None
        return self.masks.mask(sampling.json_schema, vocab_size, prompt.token_ids)

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
