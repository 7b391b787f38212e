"""Documents of more pages than a model reads at once: windows of whole pages, and the best of their answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from glyph_core.types import Answer, Usage

Selection = Sequence[Sequence[int]]  # for each document, the indices of its pages that a prompt shows, ascending


def split_into_windows(num_tokens: Sequence[Sequence[int]], max_tokens: int, max_pages: int | None) -> list[Selection]:
    """Cuts documents' pages, in order, into windows.

    ``num_tokens[d][p]`` is what page p of document d takes of a prompt. A window holds at most ``max_tokens`` of
    them and at most ``max_pages`` pages; a page that is too large by itself is a window of its own (which the engine
    will refuse with the numbers). There is always a window, if only an empty one.
    """
    windows: list[Selection] = []
    current: list[list[int]] = [[] for _ in num_tokens]
    tokens = pages = 0
    for document, page_tokens in enumerate(num_tokens):
        for page, taken in enumerate(page_tokens):
            if pages and (tokens + taken > max_tokens or pages == max_pages):
                windows.append(current)
                current, tokens, pages = [[] for _ in num_tokens], 0, 0
            current[document].append(page)
            tokens, pages = tokens + taken, pages + 1
    return [*windows, current]


def combine(answers: Sequence[Answer], absent_answer: str | None) -> Answer:
    """The answer of several windows: the most confident of those that found something.

    ``absent_answer`` is what the model says where a page does not tell (glyph-mini: "not stated"). Counts and stage
    times are sums; the warning says how it was read.
    """
    if len(answers) == 1:
        return answers[0]
    found = [answer for answer in answers if answer.text and answer.text != absent_answer]
    best = max(found or answers, key=lambda answer: answer.confidence)
    if not found:  # right only if every window's answer is
        best = replace(best, confidence=math.prod(answer.confidence for answer in answers))
    warnings = [f"read in {len(answers)} windows of pages, one after another; the answer is the most confident one's"]
    for answer in answers:
        warnings += [warning for warning in answer.warnings if warning not in warnings]
    return replace(
        best,
        usage=_sum_usage([answer.usage for answer in answers]),
        num_pages=sum(answer.num_pages for answer in answers),
        warnings=tuple(warnings),
    )


def _sum_usage(usages: Sequence[Usage]) -> Usage:
    return Usage(
        num_prompt_tokens=sum(usage.num_prompt_tokens for usage in usages),
        num_completion_tokens=sum(usage.num_completion_tokens for usage in usages),
        num_visual_tokens=sum(usage.num_visual_tokens for usage in usages),
        num_cached_tokens=sum(usage.num_cached_tokens for usage in usages),
        num_text_tokens=usages[0].num_text_tokens,  # of the request's documents, the same in each
        text_tokens_estimated=usages[0].text_tokens_estimated,
    )
