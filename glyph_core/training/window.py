"""What a training run counts between two reports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from glyph_core.training.facts import KINDS
from glyph_core.training.step import DeviceBatch, StepResult


class Window:
    """Counts since the last report, kept on the device so that a step never waits."""

    def __init__(self, device: torch.device) -> None:
        self._kinds = torch.zeros(len(KINDS), 4, device=device)  # right and all answers, right and all tokens
        self._sums = torch.zeros(4, device=device)  # loss, glyph loss, glyph accuracy, steps
        self._work = torch.zeros(3, dtype=torch.float64)  # visual tokens, rows, pages
        self._started = time.monotonic()
        self._waited_s = 0.0
        self._device = device

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for the loader."""
        started = time.monotonic()
        yield
        self._waited_s += time.monotonic() - started

    def add(self, result: StepResult, batch: DeviceBatch, *, is_current: bool) -> None:
        if is_current:
            kinds = batch["kinds"].long()
            kinds_of_tokens = kinds[batch["answer_questions"]]
            is_right, is_token_right = result.is_right, result.is_token_right
            for column, index, values in (
                (0, kinds, is_right), (1, kinds, torch.ones_like(is_right)),
                (2, kinds_of_tokens, is_token_right), (3, kinds_of_tokens, torch.ones_like(is_token_right)),
            ):  # fmt: skip
                self._kinds[:, column].index_add_(0, index, values.float())
        one = torch.ones((), device=self._sums.device)
        self._sums += torch.stack(
            [result.loss.detach(), result.glyph_loss.detach(), result.glyph_accuracy.float(), one]
        )
        host = batch.batch
        self._work += torch.tensor([host.num_visual_tokens, host.positions.shape[1], len(host.final_grids)])

    def share(self, kind: int, counted: str) -> float:
        column = 0 if counted == "answers" else 2
        right, total = self._kinds[kind, column : column + 2].tolist()
        return right / total if total else 0.0

    def summary(self, num_ranks: int = 1) -> dict[str, Any]:
        """Shares and losses of this rank; rates of all ranks, taken to work alike."""
        seconds = time.monotonic() - self._started
        loss, glyph_loss, glyph_accuracy = (self._sums[:3] / self._sums[3].clamp(min=1)).tolist()
        visual, rows, pages = (self._work * num_ranks / seconds).tolist()
        shares = {
            kind.value: round(self.share(i, "answers"), 3) for i, kind in enumerate(KINDS) if self._kinds[i, 1] > 0
        }
        return {
            "loss": round(loss, 4), "glyph_loss": round(glyph_loss, 4), "glyphs": round(glyph_accuracy, 4),
            "steps_per_s": round(float(self._sums[3]) / seconds, 2), "visual_per_s": round(visual),
            "rows_per_s": round(rows), "pages_per_s": round(pages), "memory_gib": _reserved_gib(self._device),
            "waited": round(self._waited_s / seconds, 3), **shares,
        }  # fmt: skip


def _reserved_gib(device: torch.device) -> float:
    """What torch holds of the device's memory, in use or not."""
    return round(torch.cuda.memory_reserved(device) / 2**30, 1) if device.type == "cuda" else 0.0
