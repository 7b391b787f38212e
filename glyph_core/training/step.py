"""One batch through the model: pages composed, questions read, losses and counts.

Suffixes as in batch.py: N visual tokens, T rows, A answer tokens, Q questions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from glyph_core.training import augment
from glyph_core.training.attention import Segments
from glyph_core.training.batch import Batch
from glyph_core.training.composer import Composer
from glyph_core.training.model import NUM_CLASSES, PackedReader

MAX_GLYPH_TOKENS = 12288  # visual tokens of a batch that the glyph head is trained on
EMPTY_WEIGHT = 0.3  # of a slot without a glyph in the glyph head's loss


class DeviceBatch:
    """A batch's arrays as tensors on the device, under the same names.

    Made on the host (any thread, which pins the memory) and moved by :meth:`move` on the thread and stream that use
    it: memory of another stream could be handed out again while kernels still read it.
    """

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self.batch = batch
        self.device = device
        self._tensors: dict[str, Tensor] = {}
        for field in fields(batch):
            value = getattr(batch, field.name)
            if isinstance(value, np.ndarray):
                host = torch.from_numpy(value)
                self._tensors[field.name] = host.pin_memory() if device.type == "cuda" else host

    def move(self) -> DeviceBatch:
        self._tensors = {name: tensor.to(self.device, non_blocking=True) for name, tensor in self._tensors.items()}
        return self

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def segments(self, starts: np.ndarray) -> Segments:
        return Segments.of(starts, self.device)


@dataclass(frozen=True)
class StepResult:
    """What a batch gave. ``loss`` is the mean over answer tokens; ``glyph_loss`` that of the throw-away head."""

    loss: Tensor
    glyph_loss: Tensor
    glyph_accuracy: Tensor
    is_right: Tensor  # (Q,) bool: greedy decoding would give the answer, to the last character
    is_token_right: Tensor  # (A,) bool


def compose_pictures(batch: DeviceBatch, composer: Composer, *, augmented: bool) -> Tensor:
    """The pages' brightness, (N, 28, 28) in 0..1, float32."""
    host = batch.batch
    blocks = composer.compose(
        batch["cells"], batch["xy"], batch["glyph_counts"], batch["composed_grids"], host.num_blocks,
        host.num_pixels_inked,
    )  # fmt: skip
    if len(host.canvas_fields):
        canvas = augment.to_canvas(blocks, batch["canvas_source"], host.canvas_grid)
        blocks = torch.cat([blocks, augment.to_blocks(augment.transform(canvas, batch["canvas_fields"]))])
    tokens = blocks[batch["token_source"].long()]
    counts = batch["final_grids"].prod(1)
    page_of = torch.repeat_interleave(counts, output_size=host.num_visual_tokens)
    noise = (
        torch.randn(tokens.shape, device=tokens.device)
        if augmented
        else torch.zeros(tokens.shape, device=tokens.device)
    )
    return augment.expose(tokens, batch["photometry"][page_of], noise)


def run_step(
    reader: PackedReader, composer: Composer, batch: DeviceBatch, *, augmented: bool, glyph_weight: float
) -> StepResult:
    """Forward pass and losses; the glyph head rests where ``glyph_weight`` is 0."""
    host = batch.batch
    pictures = compose_pictures(batch, composer, augmented=augmented)
    grids = [(int(columns), int(rows)) for columns, rows in host.final_grids]
    patch_starts = np.concatenate([[0], np.cumsum(4 * host.final_grids.prod(1))]).astype(np.int32)
    visual = reader.see(pictures, batch.segments(patch_starts), grids)
    rows = torch.cat([reader.embed(batch["text_ids"]), visual]).index_select(0, batch["row_source"])
    hidden = reader.read(
        rows,
        batch["positions"],
        *(batch.segments(s) for s in (host.prefix_starts, host.asked_starts, host.question_starts)),
    )
    logits = functional.linear(
        hidden.index_select(0, batch["answer_rows"]), reader.model.lm_head.weight.to(hidden.dtype)
    ).float()  # (A, vocabulary)
    loss = functional.cross_entropy(logits, batch["answer_ids"])
    is_token_right = logits.detach().argmax(-1) == batch["answer_ids"]
    wrong = torch.zeros(host.num_questions, device=batch.device)
    wrong.index_add_(0, batch["answer_questions"], (~is_token_right).float())
    glyph_loss, glyph_accuracy = _glyph_loss(reader, visual, batch) if glyph_weight else (loss.new_zeros(()),) * 2
    return StepResult(loss, glyph_loss, glyph_accuracy, wrong == 0, is_token_right)


def _glyph_loss(reader: PackedReader, visual: Tensor, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the glyphs in each visual token's square, in reading order, and the share that is right."""
    slots = reader.num_slots
    targets = _glyph_targets(batch["glyph_tokens"], batch["classes"], len(visual), slots)
    chosen = torch.randint(len(visual), (min(len(visual), MAX_GLYPH_TOKENS),), device=visual.device)
    head = reader.glyph_head
    features = visual.index_select(0, chosen)
    logits = functional.linear(features, head.weight.to(features.dtype), head.bias.to(features.dtype))
    logits = logits.view(-1, NUM_CLASSES).float()
    target = targets[chosen].view(-1)
    is_glyph = target > 0
    weight = torch.where(is_glyph, 1.0, EMPTY_WEIGHT)
    loss = (functional.cross_entropy(logits, target, reduction="none") * weight).sum() / weight.sum()
    right = ((logits.detach().argmax(-1) == target) & is_glyph).sum() / is_glyph.sum().clamp(min=1)
    return loss, right


def _glyph_targets(glyph_tokens: Tensor, classes: Tensor, num_tokens: int, slots: int) -> Tensor:
    """glyph_tokens (G,), classes (G,), both in reading order → (num_tokens, slots) int64; 0: no glyph."""
    token, order = torch.sort(glyph_tokens, stable=True)
    rank = torch.arange(len(token), device=token.device) - torch.searchsorted(token, token)
    fits = rank < slots
    place = torch.where(fits, token.long() * slots + rank, num_tokens * slots)
    targets = torch.zeros(num_tokens * slots + 1, dtype=torch.long, device=token.device)
    targets[place] = classes[order].long()
    return targets[:-1].view(num_tokens, slots)
