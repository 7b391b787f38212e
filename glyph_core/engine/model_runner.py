"""One step's forward: the chunks of all sequences, laid end to end.

The host hands over a step's inputs in one copy, queues its kernels, and waits for the device once: for the sampled
tokens. Where it can, it has queued the next step by then.

Shapes: T tokens of all chunks, n chunks that end with their sequence's last token, H hidden size, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.decode_plan import shared_prefixes
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup, StaticAttentionBackend
from glyph_core.engine.block_tables import BlockTables
from glyph_core.engine.decode_ahead import DecodeAhead, MakeInputs
from glyph_core.engine.decode_runner import DecodeRunner, StepInputs
from glyph_core.engine.host_tier import HostMemory, Moves
from glyph_core.engine.kv_cache import KVCache
from glyph_core.engine.replay import GraphReplayer, Replayer
from glyph_core.engine.sampler import SampledToken, greedy, sample
from glyph_core.engine.scheduler import Chunk
from glyph_core.engine.sequence import Sequence as EngineSequence
from glyph_core.engine.step_inputs import POSITIONS, SLOTS, TOKEN_IDS, decode_inputs, step_inputs
from glyph_core.engine.transfer import to_device
from glyph_core.engine.warm_up import WarmUp
from glyph_core.errors import ConfigError
from glyph_core.model.family import TextModel

GIB = 1024**3
MIN_SAVED_TOKENS = 256  # that a shared prefix saves reading: below, one more kernel costs more


class ModelRunner:
    """Owns the KV cache's memory; the block manager says what lies where."""

    def __init__(
        self, model: TextModel, config: EngineConfig, max_model_len: int, replayer: Replayer | None = None
    ) -> None:
        """``replayer`` runs the steps in which all sequences decode; None: CUDA graphs where they can be."""
        self._model = model
        self._block_size = config.block_size
        self.num_blocks = config.num_blocks or _num_blocks_in(model, config)
        self.attention = choose_attention(config, model.device, model.dtype)
        self._cache = KVCache(model, self.num_blocks, config.block_size, config.kv_dtype)
        self._backend = make_backend(self.attention, self._cache, model.num_heads)
        self.num_host_slots = int(config.host_kv_gb * GIB) // KVCache.num_block_bytes(
            model, config.block_size, config.kv_dtype
        )
        self._host = HostMemory(self._cache, self.num_host_slots)
        width = min(self.num_blocks, -(-max_model_len // config.block_size))
        self._tables = BlockTables(config.max_num_seqs, width, model.device)
        self._shares_prefix = config.shared_prefix and isinstance(self._backend, StaticAttentionBackend)
        self._groups: tuple[object, tuple[PrefixGroup, ...]] = (None, ())  # of the sequences that decoded last
        self._prefill_tokens = min(config.max_num_batched_tokens, width * config.block_size // 2)
        self._ahead: DecodeAhead | None = None
        self._warm_up: WarmUp | None = None
        if replayer is None and model.device.type == "cuda" and model.is_static and config.cuda_graphs:
            replayer = GraphReplayer()
        if replayer is not None and isinstance(self._backend, StaticAttentionBackend):
            rows = self._tables.device_rows
            runner = DecodeRunner(model, self._backend, rows, config.max_num_seqs, replayer)
            self._ahead = DecodeAhead(runner, config.block_size)
            self._warm_up = WarmUp(model, self._backend, rows, runner)

    @torch.inference_mode()
    def warm_up(self, limit_s: float) -> None:
        """Where decode steps are recorded, records them now, for up to about ``limit_s``."""
        if self._warm_up is not None and limit_s > 0:
            self._warm_up.run(limit_s, num_tokens=self._prefill_tokens, shares_prefix=self._shares_prefix)

    @torch.inference_mode()
    def rehearse(self, chunks: Sequence[Chunk]) -> None:
        """Records all decode steps, and runs a step of ``chunks``, the widest one, with tokens drawn in the way that
        takes most. Before any other step: nothing of it is kept."""
        self.warm_up(math.inf)
        rows = self._tables.update([chunk.sequence for chunk in chunks])
        hidden = self._forward(chunks, step_inputs(chunks, rows, self._tables.host_rows, self._block_size), rows, ())
        if hidden is not None:  # zeros, so that no token is likely, and each draw is from the whole vocabulary
            logits = self._model.logits(torch.zeros_like(hidden))
            sample(logits, greedy(logits), [chunk.sequence.sampler_state for chunk in chunks])
        for chunk in chunks:
            self._tables.forget(chunk.sequence)
        self._cache.clear()

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[SampledToken]:
        """Computes ``chunks`` and draws a token for each that is sampled, in their order. Raises ModelError for logits
        that are no numbers."""
        rows = self._tables.update([chunk.sequence for chunk in chunks])
        row_of = {chunk.sequence: row for chunk, row in zip(chunks, rows, strict=True)}
        if self._ahead is None:
            return self._compute(chunks, rows)
        flight, places = self._ahead.take(chunks)
        if flight is None and all(_is_decode(chunk) for chunk in chunks):
            flight, places = self._ahead.launch(chunks, self._decode_inputs(row_of)), list(range(len(chunks)))
            if not all(chunk.sequence.sampler_state.is_greedy for chunk in chunks):
                return sample(flight.step.logits, flight.step.likeliest, [c.sequence.sampler_state for c in chunks])
        if flight is None:
            return self._compute(chunks, rows)
        rest = [index for index, place in enumerate(places) if place is None]
        computed: list[SampledToken] = []
        if rest:
            computed = self._compute([chunks[index] for index in rest], [rows[index] for index in rest])
        else:
            self._ahead.launch_next(chunks, flight, self._decode_inputs(row_of))
        tokens = flight.tokens()
        self._ahead.learn(flight, tokens)
        return _in_order(chunks, places, tokens, computed)

    def move(self, moves: Moves) -> None:
        """Copies KV blocks to and from host memory, before whatever is computed next."""
        self._host.move(moves)

    @property
    def looks_ahead(self) -> bool:
        """Decode steps are launched before the tokens of the last are known, so that a sequence needs room for its
        next token a step earlier."""
        return self._ahead is not None

    def keep_features(self, features: torch.Tensor) -> torch.Tensor:
        """Where a page's features wait for their step: page-locked on CUDA, so that copying them waits for nothing."""
        return features.pin_memory() if self._model.device.type == "cuda" and not features.is_cuda else features

    def forget(self, sequence: EngineSequence) -> None:
        """``sequence`` has ended."""
        self._tables.forget(sequence)

    def _compute(self, chunks: Sequence[Chunk], rows: Sequence[int]) -> list[SampledToken]:
        """Any mixture of chunks, one kernel after the other."""
        inputs = step_inputs(chunks, rows, self._tables.host_rows, self._block_size)
        last_hidden = self._forward(chunks, inputs, rows, self._prefix_groups(chunks, rows))
        if last_hidden is None:
            return []
        logits = self._model.logits(last_hidden)
        states = [chunk.sequence.sampler_state for chunk in chunks if chunk.is_sampled]
        return sample(logits, greedy(logits), states)

    def _decode_inputs(self, row_of: Mapping[EngineSequence, int]) -> MakeInputs:
        def make(chunks: Sequence[Chunk]) -> StepInputs:
            rows = [row_of[chunk.sequence] for chunk in chunks]
            numbers = decode_inputs(chunks, rows, self._tables.host_rows, self._block_size)
            return StepInputs(numbers, rows, [chunk.stop for chunk in chunks], self._prefix_groups(chunks, rows))

        return make

    def _forward(
        self, chunks: Sequence[Chunk], inputs: np.ndarray, rows: Sequence[int], groups: tuple[PrefixGroup, ...]
    ) -> torch.Tensor | None:
        """Last hidden states (n, H) of the chunks that are sampled; None where none is."""
        on_device = to_device(inputs, self._model.device)
        batch = AttentionBatch(
            slot_mapping=on_device[SLOTS],
            block_tables=self._tables.device_rows,
            table_rows=tuple(rows),
            query_lens=tuple(chunk.num_tokens for chunk in chunks),
            context_lens=tuple(chunk.stop for chunk in chunks),
            groups=groups,
        )
        attention = self._backend.plan(batch)
        embeds = self._embed(chunks, on_device[TOKEN_IDS])
        hidden = self._model.forward(embeds, on_device[POSITIONS], attention)  # (T, H)
        ends = np.cumsum([chunk.num_tokens for chunk in chunks]) - 1
        last_rows = ends[[chunk.is_sampled for chunk in chunks]]
        return hidden[to_device(last_rows, hidden.device)] if len(last_rows) else None

    def _embed(self, chunks: Sequence[Chunk], token_ids: torch.Tensor) -> torch.Tensor:
        """(T, H): the tokens' embeddings, and page features in place of placeholder tokens. As wide as features, with
        zeros beside the text, where there are any and they are wider."""
        embeds = self._model.embed(token_ids)
        if self._model.feature_size > embeds.shape[1] and any(_has_page(chunk) for chunk in chunks):
            embeds = torch.nn.functional.pad(embeds, (0, self._model.feature_size - embeds.shape[1]))
        row = 0  # of the chunk's first token
        for chunk in chunks:
            pages = chunk.sequence.prompt.pages
            for number in range(chunk.sequence.first_page_after(chunk.start), len(pages)):
                page = pages[number]
                first, last = max(page.start, chunk.start), min(page.stop, chunk.stop)
                if first >= last:
                    break
                features = chunk.sequence.features[number][first - page.start : last - page.start]
                embeds[row + first - chunk.start : row + last - chunk.start] = features.to(
                    embeds.device, embeds.dtype, non_blocking=True
                )
            row += chunk.num_tokens
        return embeds

    def _prefix_groups(self, chunks: Sequence[Chunk], rows: Sequence[int]) -> tuple[PrefixGroup, ...]:
        """Which decoding sequences begin with the same blocks. That changes only with who decodes: a block that a
        running sequence shares stays in its table."""
        decoding = [index for index, chunk in enumerate(chunks) if _is_decode(chunk)]
        if not self._shares_prefix or len(decoding) < 2:
            return ()
        key = [(i, chunks[i].sequence.arrival, chunks[i].sequence.num_preemptions) for i in decoding]
        if self._groups[0] != key:
            tables = self._tables.host_rows[[rows[index] for index in decoding]]
            full_blocks = [(chunks[index].stop - 1) // self._block_size for index in decoding]
            found = shared_prefixes(tables, full_blocks, self._block_size, MIN_SAVED_TOKENS)
            self._groups = (
                key,
                tuple(
                    PrefixGroup(tuple(decoding[member] for member in group.members), group.num_tokens)
                    for group in found
                ),
            )
        return self._groups[1]


def _is_decode(chunk: Chunk) -> bool:
    return chunk.num_tokens == 1 and chunk.start >= chunk.sequence.num_prompt_tokens


def _in_order(
    chunks: Sequence[Chunk],
    places: Sequence[int | None],
    tokens: Sequence[SampledToken],
    computed: Sequence[SampledToken],
) -> list[SampledToken]:
    """The tokens of the chunks that are sampled: those with a place in flight, and of the others one after another."""
    others = iter(computed)
    return [
        next(others) if place is None else tokens[place]
        for chunk, place in zip(chunks, places, strict=True)
        if chunk.is_sampled
    ]


def _num_blocks_in(model: TextModel, config: EngineConfig) -> int:
    block_bytes = KVCache.num_block_bytes(model, config.block_size, config.kv_dtype)
    num_blocks = int(config.kv_memory_gb * GIB) // block_bytes
    if num_blocks < 2:
        raise ConfigError(
            f"kv_memory_gb={config.kv_memory_gb} holds {num_blocks} KV blocks of {config.block_size} tokens, and the "
            f"engine needs 2; a block of this model takes {block_bytes} bytes"
        )
    return num_blocks


def _has_page(chunk: Chunk) -> bool:
    """Some of its tokens are a page's."""
    pages = chunk.sequence.prompt.pages
    number = chunk.sequence.first_page_after(chunk.start)
    return number < len(pages) and pages[number].start < chunk.stop
