"""From samples to what a step computes: prompts as they are served, pages as they are drawn, answers to learn.

Shapes: B examples, T tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from glyph_core.answering.prompts import build_prompt
from glyph_core.answering.reader import Reader
from glyph_core.config import LimitConfig, RenderConfig
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.training.stages.config import StageConfig
from glyph_core.training.stages.samples import Sample
from glyph_core.types import Message, Prompt

TRANSCRIBE = "Transcribe the page."
IGNORED = -100  # as a label: not learnt


@dataclass(frozen=True, slots=True)
class Example:
    prompt: Prompt
    answer_ids: tuple[int, ...]  # ended, unless it was cut
    pages: tuple[np.ndarray, ...] = field(repr=False)

    @property
    def num_tokens(self) -> int:
        return len(self.prompt.token_ids) + len(self.answer_ids)


class ExampleMaker:
    def __init__(self, config: StageConfig, reader: Reader, render: RenderConfig) -> None:
        self._config, self._reader = config, reader
        self._renderer = PageRenderer(render, LimitConfig())

    def make(self, sample: Sample, number: int) -> Example:
        """``number`` decides which page of a document is transcribed."""
        plan = self._renderer.plan(sample.source)
        pages, question, answer = range(plan.num_pages), sample.question, sample.answer
        if self._config.stage == "align":
            page = number % plan.num_pages
            pages, question = range(page, page + 1), TRANSCRIBE
            answer = self._renderer.page_text(sample.source, page).text.strip()
        message = Message("user", question, (0,))
        prompt = build_prompt([message], [plan], self._reader, [pages]).prompt
        drawn = self._renderer.render(sample.source, pages.start, pages.stop)
        answer_ids = (*self._reader.tokenizer.encode(answer), self._reader.checkpoint.eos_token_ids[0])
        kept = answer_ids[: self._config.max_answer_tokens]  # what is cut does not end there, nor is it to be learnt
        return Example(prompt, kept, tuple(page.pixels for page in drawn))


@dataclass(frozen=True, slots=True)
class ExampleBatch:
    examples: tuple[Example, ...]
    token_ids: torch.Tensor  # (B, T) int64, filled up with the last token
    labels: torch.Tensor  # (B, T) int64: the token itself where it is an answer's, else IGNORED
    mask: torch.Tensor  # (B, T) int64: 1 where there is a token

    @property
    def num_answer_tokens(self) -> int:
        return sum(len(example.answer_ids) for example in self.examples)


def collate(examples: Sequence[Example]) -> ExampleBatch:
    longest = max(example.num_tokens for example in examples)
    token_ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    labels, mask = torch.full_like(token_ids, IGNORED), torch.zeros_like(token_ids)
    for row, example in enumerate(examples):
        ids = torch.tensor([*example.prompt.token_ids, *example.answer_ids])
        token_ids[row, : len(ids)], token_ids[row, len(ids) :] = ids, ids[-1]
        labels[row, len(example.prompt.token_ids) : len(ids)] = torch.tensor(example.answer_ids)
        mask[row, : len(ids)] = 1
    return ExampleBatch(tuple(examples), token_ids, labels, mask)
