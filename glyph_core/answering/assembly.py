"""Token by token to an :class:`Answer`: text, thinking, stop strings, confidence, usage and timings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from glyph_core.answering.channel import IncrementalDecoder, TextChannel
from glyph_core.answering.confidence import mean_probability
from glyph_core.types import Answer, FinishReason, Prompt, TextDelta, Timings, Usage


@dataclass(frozen=True, slots=True)
class Markup:
    """The tokens by which a model marks its thinking. They are no part of any text.

    Thinking stands between ``open_reasoning`` and ``close_reasoning``; ``silent`` tokens (end of sequence, <answer>,
    boxes) are dropped.
    """

    open_reasoning: frozenset[int] = frozenset()
    close_reasoning: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()


@dataclass(slots=True)
class StageTimes:
    """Work of the stages for one request, in seconds; whoever drives the request adds to it."""

    render_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0


@dataclass(slots=True)
class AnswerAssembly:
    """One answer in the making.

    Drive it with :meth:`push` for each generated token, until ``finish_reason`` is set: by the engine's own end or,
    earlier, by a stop string (then abort the sequence in the engine). :meth:`answer` closes it.
    """

    prompt: Prompt
    decode: Callable[[Sequence[int]], str]
    markup: Markup
    stop: Sequence[str] = ()
    clock: Callable[[], float] = time.perf_counter
    started_at: float | None = None
    stages: StageTimes = field(default_factory=StageTimes)

    finish_reason: FinishReason | None = field(default=None, init=False)
    token_ids: list[int] = field(default_factory=list, init=False)
    num_cached_tokens: int = field(default=0, init=False)
    _answer: TextChannel = field(init=False)
    _reasoning: TextChannel = field(init=False)
    _decoder: IncrementalDecoder = field(init=False)
    _is_reasoning: bool = field(init=False)
    _logprobs: list[float] = field(default_factory=list, init=False)
    _first_token_at: float = field(default=0.0, init=False)
    _last_token_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if self.started_at is None:
            self.started_at = self.clock()
        self._answer, self._reasoning = TextChannel(self.stop), TextChannel()
        self._decoder = IncrementalDecoder(self.decode)
        # Some chat templates open the thinking themselves, at the end of the prompt.
        tail = [token_id for token_id in self.prompt.token_ids[-4:] if token_id in self._turns]
        self._is_reasoning = bool(tail) and tail[-1] in self.markup.open_reasoning

    def push(
        self, token_id: int, logprob: float, finish_reason: FinishReason | None, num_cached_tokens: int
    ) -> list[TextDelta]:
        """Takes a token; returns what may be shown now, which may be nothing."""
        self._last_token_at = self.clock()
        if not self.token_ids:
            self._first_token_at, self.num_cached_tokens = self._last_token_at, num_cached_tokens
        self.token_ids.append(token_id)
        if not self._is_reasoning and token_id not in self._turns:
            self._logprobs.append(logprob)  # the end of sequence counts: that the answer ends here is part of it
        is_mark = token_id in self._turns or token_id in self.markup.silent
        deltas = self._switch(token_id) if is_mark else self._show(self._decoder.push(token_id))
        self.finish_reason = "stop" if self._answer.stopped else finish_reason
        if self.finish_reason is not None:
            deltas += self._show(self._decoder.flush()) + self._close_channel()
        return deltas

    def answer(
        self,
        num_text_tokens: int,
        *,
        text_tokens_estimated: bool,
        warnings: Sequence[str] = (),
    ) -> Answer:
        """The finished answer. ``finish_reason`` is "abort" where the engine never came to an end."""
        assert self.started_at is not None
        now = self.clock()
        num_later_tokens = len(self.token_ids) - 1
        return Answer(
            text=self._answer.text,
            reasoning=self._reasoning.text,
            finish_reason=self.finish_reason or "abort",
            token_ids=tuple(self.token_ids),
            confidence=mean_probability(self._logprobs),
            token_logprobs=tuple(self._logprobs),
            num_pages=len(self.prompt.pages),
            warnings=tuple(warnings),
            usage=Usage(
                num_prompt_tokens=len(self.prompt.token_ids),
                num_completion_tokens=len(self.token_ids),
                num_visual_tokens=self.prompt.num_visual_tokens,
                num_cached_tokens=self.num_cached_tokens,
                num_text_tokens=num_text_tokens,
                text_tokens_estimated=text_tokens_estimated,
            ),
            timings=Timings(
                render_s=self.stages.render_s,
                encode_s=self.stages.encode_s,
                prefill_s=self.stages.prefill_s,
                ttft_s=self._first_token_at - self.started_at if self.token_ids else 0.0,
                tpot_s=(self._last_token_at - self._first_token_at) / num_later_tokens if num_later_tokens > 0 else 0.0,
                e2e_s=now - self.started_at,
            ),
        )

    @property
    def _turns(self) -> frozenset[int]:
        return self.markup.open_reasoning | self.markup.close_reasoning

    def _switch(self, token_id: int) -> list[TextDelta]:
        deltas = self._show(self._decoder.flush())
        if token_id in self._turns:
            deltas += self._close_channel() if self._is_reasoning else []
            self._is_reasoning = token_id in self.markup.open_reasoning
        return deltas

    def _show(self, piece: str) -> list[TextDelta]:
        channel = self._reasoning if self._is_reasoning else self._answer
        shown = channel.push(piece) if piece else ""
        return [TextDelta(shown, self._is_reasoning)] if shown else []

    def _close_channel(self) -> list[TextDelta]:
        channel = self._reasoning if self._is_reasoning else self._answer
        shown = channel.close()
        return [TextDelta(shown, self._is_reasoning)] if shown else []
