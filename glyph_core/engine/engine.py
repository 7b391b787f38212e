"""Continuous batching over prompts whose pages arrive while it runs. Knows no model family.

A request's life: ``add`` (queued, and what the prefix cache has of it is held) → ``feed`` its ``wanted_pages`` in any
order → ``step`` after step gives its tokens → gone with the token that has a finish reason, or by ``abort``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.attention.choice import AttentionChoice
from glyph_core.engine.block_manager import BlockManager
from glyph_core.engine.host_tier import HostTier
from glyph_core.engine.model_runner import ModelRunner
from glyph_core.engine.rehearsal import widest_step
from glyph_core.engine.replay import Replayer
from glyph_core.engine.sampler import SampledToken, SamplerState
from glyph_core.engine.scheduler import Chunk, Scheduler
from glyph_core.engine.sequence import Sequence
from glyph_core.engine.stats import EngineStats
from glyph_core.engine.token_mask import TokenMask
from glyph_core.errors import ContextLengthError, InvalidRequestError, StageError
from glyph_core.model.family import TextModel
from glyph_core.types import FinishReason, Prompt


@dataclass(frozen=True, slots=True)
class TokenOutput:
    """A generated token. An end-of-sequence token is reported too, with finish reason "stop"."""

    request_id: str
    token_id: int
    logprob: float  # of the model's own distribution, before penalty and temperature
    finish_reason: FinishReason | None
    num_cached_tokens: int  # of the prompt, that this request did not have to compute
    prefill_s: float = 0.0  # this request's share, by tokens, of the steps that computed its prompt


Constrain = Callable[[SamplingConfig, Prompt, int], TokenMask | None]
"""What a request asks for, its prompt and the size of the vocabulary → its mask; may raise InvalidRequestError."""


class Engine:
    """Not thread-safe: one thread calls it."""

    def __init__(
        self,
        model: TextModel,
        config: EngineConfig,
        eos_token_ids: Collection[int],
        max_model_len: int,
        replayer: Replayer | None = None,
        constrain: Constrain | None = None,
    ) -> None:
        """``max_model_len`` is the model's own context; the configuration's limit and the pool's size lower it.

        ``replayer`` is how decode steps are repeated; None leaves that to the configuration. ``constrain`` says which
        tokens an answer may draw; None: any.
        """
        self._model, self._config = model, config
        self._constrain = constrain
        self._eos_token_ids = frozenset(eos_token_ids)
        context = min(max_model_len, config.max_model_len or max_model_len)
        self._runner = ModelRunner(model, config, context, replayer)
        num_blocks = self._runner.num_blocks
        self.max_model_len = min(context, num_blocks * config.block_size)
        self._host = HostTier(self._runner.num_host_slots)
        self._blocks = BlockManager(
            num_blocks,
            config.block_size,
            prefix_cache=config.prefix_cache,
            host=self._host,
            pinned_share=config.pinned_share,
        )
        self._scheduler = Scheduler(config, self._blocks, looks_ahead=self._runner.looks_ahead)
        self._sequences: dict[str, Sequence] = {}
        self._num_added = 0

    def warm_up(self, limit_s: float) -> None:
        """On CUDA, does for up to about ``limit_s`` what the first requests would wait for. Call it before them."""
        self._runner.warm_up(limit_s)

    def rehearse(self) -> None:
        """Runs the widest step that the configuration permits and records every decode step, as long as that takes:
        later steps need no more of the device's memory. Call it before the first request."""
        self._runner.rehearse(widest_step(self._model, self._config, self.max_model_len))

    def add(self, request_id: str, prompt: Prompt, sampling: SamplingConfig) -> None:
        """Queues a request and holds the blocks that the prefix cache has of it.

        An answer that the context has no room for is cut there, with finish reason "length". Raises
        ContextLengthError for a prompt that leaves no room for one token, InvalidRequestError for a prompt of no
        tokens or an id in use, StageError for pages that don't lie one after the other within the prompt.
        """
        self._check(request_id, prompt)
        positions, delta = self._model.positions(prompt)
        num_prompt_tokens = len(prompt.token_ids)
        sequence = Sequence(
            request_id=request_id,
            prompt=prompt,
            arrival=self._num_added,
            max_num_tokens=min(num_prompt_tokens + sampling.max_tokens, self.max_model_len),
            positions=positions,
            position_delta=delta,
            sampler_state=self._sampler_state(prompt, sampling),
        )
        self._num_added += 1
        self._sequences[request_id] = sequence
        self._scheduler.add(sequence)

    def _sampler_state(self, prompt: Prompt, sampling: SamplingConfig) -> SamplerState:
        vocab_size = self._model.vocab_size
        mask = self._constrain(sampling, prompt, vocab_size) if self._constrain else None
        return SamplerState(sampling, prompt.token_ids, vocab_size, self._model.device, mask)

    def wanted_pages(self, request_id: str) -> tuple[int, ...]:
        """Indices into ``prompt.pages`` of the pages still to be fed: neither fed nor in the prefix cache.

        Shrinks when another request computes the same pages, and grows again when cached blocks were given up under
        pressure: ask after each step. Empty for a request that has ended.
        """
        sequence = self._sequences.get(request_id)
        return sequence.wanted_pages() if sequence else ()

    def next_page(self, request_id: str) -> int:
        """Index into ``prompt.pages`` of the first page that is not wholly computed. What was fed from there on only
        takes memory so far: a driver that is well ahead may wait."""
        sequence = self._sequences.get(request_id)
        return sequence.first_page_after(sequence.num_computed_tokens) if sequence else 0

    def feed(self, request_id: str, page_number: int, features: torch.Tensor) -> None:
        """Hands over a page's features (num_tokens, feature size), in any order. They are kept until the page is
        computed; a request that is preempted after that wants them again.

        Pages of a request that has ended are dropped. Raises StageError for features of another shape.
        """
        sequence = self._sequences.get(request_id)
        if sequence is None:
            return
        pages = sequence.prompt.pages
        if not 0 <= page_number < len(pages):
            raise StageError(f"request {request_id!r} has {len(pages)} pages; page number {page_number} was fed")
        expected = (pages[page_number].num_tokens, self._model.feature_size)
        if tuple(features.shape) != expected:
            raise StageError(
                f"the features of page number {page_number} of request {request_id!r} have shape "
                f"{tuple(features.shape)}, its prompt has room for {expected}; encoder and decoder disagree"
            )
        sequence.features[page_number] = self._runner.keep_features(features)

    def abort(self, request_id: str) -> None:
        """Ends a request and frees its blocks at once; one that has ended already is fine."""
        sequence = self._sequences.pop(request_id, None)
        if sequence is not None:
            self._scheduler.remove(sequence)
            self._runner.forget(sequence)

    def pin(self, name: str, page_digests: Collection[str], window_tokens: Collection[int]) -> None:
        """Keeps the blocks of these pages from eviction, once they are computed. ``window_tokens``: of each prompt that
        shows some of them, its tokens up to the question. Raises PinnedShareError where pins would keep more than their
        share of the pool."""
        max_blocks = sum(-(-num_tokens // self._blocks.block_size) for num_tokens in window_tokens)
        self._blocks.pins.add(name, page_digests, max_blocks)

    def unpin(self, prefix: str) -> list[str]:
        """Ends the pins whose names begin with ``prefix``; returns those names."""
        names = [name for name in self._blocks.pins.names if name.startswith(prefix)]
        for name in names:
            self._blocks.unpin(name)
        return names

    def step(self) -> list[TokenOutput]:
        """Computes what can be computed now; at most one token for each request."""
        chunks = self._scheduler.schedule()
        started_at = time.perf_counter()
        if moves := self._host.take_moves():
            self._runner.move(moves)
        sampled = self._runner.run(chunks) if chunks else []
        _charge_prefill(chunks, time.perf_counter() - started_at)
        return self._postprocess(chunks, sampled)

    @property
    def attention(self) -> AttentionChoice:
        """The attention backend that runs, and why."""
        return self._runner.attention

    @property
    def has_work(self) -> bool:
        """Some request has not ended."""
        return bool(self._sequences)

    @property
    def can_step(self) -> bool:
        """:meth:`step` has something to do now, rather than only wait for pages."""
        return self._scheduler.can_schedule

    def stats(self) -> EngineStats:
        return EngineStats(
            num_running=len(self._scheduler.running),
            num_waiting=len(self._scheduler.waiting),
            num_blocks=self._blocks.num_blocks,
            num_free_blocks=self._blocks.num_free_blocks + self._blocks.num_held_blocks,
            num_cached_blocks=self._blocks.num_cached_blocks,
            num_preemptions=self._scheduler.num_preemptions,
            num_host_blocks=len(self._host),
            num_restored_blocks=self._host.num_restored,
            num_pins=len(self._blocks.pins),
            num_pinned_blocks=self._blocks.num_pinned_blocks,
            max_pinned_blocks=self._blocks.pins.max_blocks,
            num_pinned_evictions=self._blocks.num_pinned_evictions,
        )

    def check_integrity(self) -> None:
        """Raises StageError where the block pool's books don't agree with the living requests."""
        self._blocks.check_integrity(self._sequences.values())

    def _check(self, request_id: str, prompt: Prompt) -> None:
        num_tokens = len(prompt.token_ids)
        if request_id in self._sequences:
            raise InvalidRequestError(f"request id {request_id!r} is in use by a request that has not ended")
        if num_tokens == 0:
            raise InvalidRequestError("the prompt has no tokens; ask something")
        if num_tokens + 1 > self.max_model_len:
            raise ContextLengthError(
                f"the prompt has {num_tokens} tokens and the context holds {self.max_model_len}, the answer included; "
                "send fewer or shorter documents",
                param="messages",
            )
        bounds = [bound for page in prompt.pages for bound in (page.start, page.stop)]
        if bounds != sorted(bounds) or any(not 0 <= bound <= num_tokens for bound in bounds):
            raise StageError(f"the pages of request {request_id!r} don't lie one after the other within its prompt")

    def _postprocess(self, chunks: list[Chunk], sampled: list[SampledToken]) -> list[TokenOutput]:
        self._scheduler.complete(chunks)
        for chunk in chunks:
            if chunk.sequence.features:
                chunk.sequence.drop_computed_features()
        sequences = [chunk.sequence for chunk in chunks if chunk.is_sampled]
        return [self._append(sequence, token) for sequence, token in zip(sequences, sampled, strict=True)]

    def _append(self, sequence: Sequence, token: SampledToken) -> TokenOutput:
        sequence.token_ids.append(token.token_id)
        finish_reason = self._finish_reason(sequence, token)
        if finish_reason is not None:
            self.abort(sequence.request_id)
        return TokenOutput(
            sequence.request_id,
            token.token_id,
            token.logprob,
            finish_reason,
            sequence.num_cached_tokens,
            sequence.prefill_s,
        )

    def _finish_reason(self, sequence: Sequence, token: SampledToken) -> FinishReason | None:
        if token.token_id in self._eos_token_ids and not sequence.sampler_state.sampling.ignore_eos:
            mask = sequence.sampler_state.mask
            return "abort" if mask is not None and mask.has_failed else "stop"
        return "length" if sequence.num_tokens >= sequence.max_num_tokens else None


def _charge_prefill(chunks: list[Chunk], step_s: float) -> None:
    num_tokens = sum(chunk.num_tokens for chunk in chunks)
    for chunk in chunks:
        if chunk.start < chunk.sequence.num_prompt_tokens:
            chunk.sequence.prefill_s += step_s * chunk.num_tokens / num_tokens
