"""What a checkpoint folder holds and whether its pieces fit together, in about a second: no weight is read, and neither
torch nor transformers is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from glyph_core.config import preset
from glyph_core.errors import GlyphError, ModelError
from glyph_core.model.chat_template import read_chat_template, render_chat_template
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.shape import AnyShape
from glyph_core.model.shards import PARTS, Part, shards_of, stored_weights
from glyph_core.model.token_counter import TokenCounter

PAGE_TURN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "probe"}]}


@dataclass(frozen=True, slots=True)
class PartInspection:
    """One half of a model: what its configuration makes of it, and what is stored."""

    name: Part
    num_weights: int
    files: tuple[str, ...]  # that hold it, whether they are there or not
    stored_weights: int | None  # None: not all files are there
    stored_bytes: int | None
    stored_dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    checkpoint: Checkpoint
    shape: AnyShape
    parts: tuple[PartInspection, ...]
    page_size: tuple[int, int]  # px, of the preset that the checkpoint names
    page_tokens: int  # visual tokens of such a page
    faults: tuple[str, ...]  # why it would not run, or not answer
    why_not_fused: str | None  # why its language model runs on transformers' modules; None: it does not


def inspect(checkpoint: Checkpoint) -> Inspection:
    """Raises ModelError for a family that we don't know and for small files without which nothing can be said."""
    family, render = family_of(checkpoint), preset(checkpoint.preset)
    shape = family.shape()
    page_size = render.page_width_px, render.page_height_px
    faults = [*_tokenizer_faults(checkpoint, family, shape), *_template_faults(checkpoint, family)]
    parts = []
    for name, num_weights in zip(PARTS, (shape.vision.num_weights, shape.text.num_weights), strict=True):
        part = _stored(family, name, num_weights, faults)
        parts.append(part)
        faults += _part_faults(part)
    return Inspection(
        checkpoint=checkpoint,
        shape=shape,
        parts=tuple(parts),
        page_size=page_size,
        page_tokens=family.num_visual_tokens(family.grid_thw(*page_size)),
        faults=tuple(faults),
        why_not_fused=family.why_not_fused,
    )


def _stored(family: Family, name: Part, num_weights: int, faults: list[str]) -> PartInspection:
    checkpoint = family.checkpoint
    if checkpoint.is_random:
        return PartInspection(name, num_weights, (), None, None, ())
    files = tuple(shards_of(checkpoint.path, family.keeps(name)))
    missing = [file for file in files if not (checkpoint.path / file).exists()]
    if missing:
        if checkpoint.hub_id is None:
            faults.append(f"the {name} part's weights are missing: {', '.join(missing)}")
        return PartInspection(name, num_weights, files, None, None, ())
    try:
        stored = [weight for weight in stored_weights(checkpoint.path, files) if family.keeps(name)(weight.name)]
    except ModelError as error:
        faults.append(error.message)
        return PartInspection(name, num_weights, files, None, None, ())
    return PartInspection(
        name,
        num_weights,
        files,
        sum(weight.num_numbers for weight in stored),
        sum(weight.num_bytes for weight in stored),
        tuple(sorted({weight.dtype for weight in stored})),
    )


def _part_faults(part: PartInspection) -> Iterator[str]:
    """More than config.json asks for may be stored, such as a tied head; less is not enough."""
    if part.stored_weights is not None and part.stored_weights < part.num_weights:
        yield (
            f"the {part.name} part has {part.stored_weights:,} weights, and config.json makes it {part.num_weights:,}; "
            "get the checkpoint again"
        )


def _tokenizer_faults(checkpoint: Checkpoint, family: Family, shape: AnyShape) -> Iterator[str]:
    try:
        tokens = TokenCounter.from_checkpoint(checkpoint.path).vocabulary
    except ModelError as error:
        yield error.message
        return
    largest, vocab_size = max(tokens.values(), default=0), shape.text.vocab_size
    if largest >= vocab_size:
        yield f"the tokenizer has token ids up to {largest}, and the model's vocabulary ends at {vocab_size - 1}"
    if family.placeholder_token_id not in set(tokens.values()):
        yield f"the tokenizer has no token {family.placeholder_token_id}, which stands for a page in prompts"
    outside = [token for token in checkpoint.eos_token_ids if token >= vocab_size]
    if outside:
        yield f"the end-of-sequence tokens {outside} are outside the vocabulary, which ends at {vocab_size - 1}"


def _template_faults(checkpoint: Checkpoint, family: Family) -> Iterator[str]:
    """The chat template has to make one place for a page, and to keep the question."""
    try:
        counter = TokenCounter.from_checkpoint(checkpoint.path)
        text = render_chat_template(read_chat_template(checkpoint.path), [PAGE_TURN])
    except GlyphError as error:
        yield error.message
        return
    num_places = counter.token_ids(text).count(family.placeholder_token_id)
    if num_places != 1:
        yield f"the chat template makes {num_places} places for one page"
    if "probe" not in text:
        yield "the chat template leaves the question out"
