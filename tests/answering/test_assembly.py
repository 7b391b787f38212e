"""Tokens in, answer out: thinking apart, stop strings, confidence, timings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count

import pytest

from glyph_core.answering.assembly import AnswerAssembly, Markup
from glyph_core.types import Answer, Prompt

THINK, END_THINK, SILENT, EOS = 256, 257, 258, 259
MARKUP = Markup(frozenset({THINK}), frozenset({END_THINK}), frozenset({SILENT, EOS}))


def decode(token_ids: Sequence[int]) -> str:
    return bytes(token_ids).decode("utf-8", errors="replace")


def ticks() -> Callable[[], float]:
    counter = count()
    return lambda: float(next(counter))


def assemble(tokens: Sequence[int], stop: Sequence[str] = (), prompt_ids: Sequence[int] = (1, 2)) -> tuple[Answer, str]:
    """Pushes ``tokens`` until the assembly ends; returns the answer and what was shown of it, thinking in brackets."""
    assembly = AnswerAssembly(Prompt(tuple(prompt_ids), ()), decode, MARKUP, stop, clock=ticks())
    shown = ""
    for i, token in enumerate(tokens):
        reason = ("stop" if token == EOS else "length") if i == len(tokens) - 1 else None
        for delta in assembly.push(token, -0.5, reason, 7):
            shown += f"[{delta.text}]" if delta.is_reasoning else delta.text
        if assembly.finish_reason:
            break
    return assembly.answer(100, text_tokens_estimated=False), shown


def test_plain_answer() -> None:
    answer, shown = assemble([*b"42 days", EOS])
    assert (answer.text, answer.reasoning, answer.finish_reason, shown) == ("42 days", "", "stop", "42 days")
    assert answer.usage.num_completion_tokens == 8
    assert answer.usage.num_cached_tokens == 7
    assert answer.confidence == pytest.approx(math.exp(-0.5))


def test_thinking_is_kept_apart_and_out_of_the_confidence() -> None:
    answer, shown = assemble([THINK, *b"hm", END_THINK, *b"\n ", SILENT, *b"yes", SILENT, EOS])
    assert (answer.text, answer.reasoning) == ("yes", "hm")
    assert shown == "[h][m]yes"
    assert answer.finish_reason == "stop"


def test_thinking_opened_by_the_prompt() -> None:
    answer, _ = assemble([*b"hm", END_THINK, *b"yes", EOS], prompt_ids=[1, 2, THINK])
    assert (answer.text, answer.reasoning) == ("yes", "hm")


def test_thinking_that_never_ends_is_no_answer() -> None:
    answer, _ = assemble([THINK, *b"on and on"])
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("", "on and on", "length")
    assert answer.confidence == 0.0


def test_stop_string_ends_the_answer_before_the_engine_does() -> None:
    answer, shown = assemble([*b"one; two; three", EOS], stop=["; t"])
    assert (answer.text, answer.finish_reason, shown) == ("one", "stop", "one")
    assert answer.usage.num_completion_tokens == len("one; t")


def test_stop_string_in_the_thinking_does_not_count() -> None:
    answer, _ = assemble([THINK, *b"a. b", END_THINK, *b"c. d", EOS], stop=["."])
    assert (answer.text, answer.reasoning) == ("c", "a. b")


def test_markup_written_as_text_is_text() -> None:
    answer, _ = assemble([*b"<think>", EOS])
    assert answer.text == "<think>"


def test_timings() -> None:
    answer, _ = assemble([*b"abc", EOS])  # the clock ticks at the start, at each token, at the end
    assert answer.timings.ttft_s == 1
    assert answer.timings.tpot_s == 1
    assert answer.timings.e2e_s == 5
