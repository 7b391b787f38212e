"""One step's forward: the chunks of all sequences, laid end to end.

Shapes: T tokens of all chunks, n chunks that end with their sequence's last token, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.attention import BACKENDS, AttentionBatch, KVCache
from glyph_core.engine.sampler import SampledToken, sample
from glyph_core.engine.scheduler import Chunk
from glyph_core.errors import ConfigError
from glyph_core.model.family import TextModel

GIB = 1024**3


class ModelRunner:
    """Owns the KV cache's memory; the block manager says what lies where."""

    def __init__(self, model: TextModel, config: EngineConfig) -> None:
        self._model = model
        self._block_size = config.block_size
        self.num_blocks = config.num_blocks or _num_blocks_in(model, config)
        self._attention = BACKENDS[config.attention](KVCache(model, self.num_blocks, config.block_size))

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[SampledToken]:
        """Computes ``chunks`` and draws a token for each that is sampled, in their order."""
        attention = self._attention.plan(self._attention_batch(chunks))
        hidden = self._model.forward(self._embed(chunks), self._positions(chunks), attention)  # (T, H)
        last_rows, row = [], -1
        for chunk in chunks:
            row += chunk.num_tokens
            if chunk.is_sampled:
                last_rows.append(row)
        if not last_rows:
            return []
        logits = self._model.logits(hidden[last_rows])  # (n, V)
        return sample(logits, [chunk.sequence.sampler_state for chunk in chunks if chunk.is_sampled])

    def _embed(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """(T, H): the tokens' embeddings, and page features in place of placeholder tokens."""
        token_ids = [token for chunk in chunks for token in chunk.sequence.token_ids[chunk.start : chunk.stop]]
        embeds = self._model.embed(torch.tensor(token_ids, device=self._model.device))
        row = 0  # of the chunk's first token
        for chunk in chunks:
            pages = chunk.sequence.prompt.pages
            for number in range(chunk.sequence.first_page_after(chunk.start), len(pages)):
                page = pages[number]
                first, last = max(page.start, chunk.start), min(page.stop, chunk.stop)
                if first >= last:
                    break
                features = chunk.sequence.features[number][first - page.start : last - page.start]
                embeds[row + first - chunk.start : row + last - chunk.start] = features.to(embeds.device, embeds.dtype)
            row += chunk.num_tokens
        return embeds

    def _positions(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """(3, T) int64: the prompt's own, then one after the other."""
        pieces = []
        for chunk in chunks:
            sequence = chunk.sequence
            if chunk.start < sequence.num_prompt_tokens:
                pieces.append(sequence.positions[:, chunk.start : chunk.stop])
            first_generated = max(chunk.start, sequence.num_prompt_tokens)
            if first_generated < chunk.stop:
                delta = sequence.position_delta
                pieces.append(torch.arange(first_generated + delta, chunk.stop + delta).expand(3, -1))
        return torch.cat(pieces, dim=1).to(self._model.device)

    def _attention_batch(self, chunks: Sequence[Chunk]) -> AttentionBatch:
        size = self._block_size
        slots, tables = [], []
        width = max(len(chunk.sequence.block_table) for chunk in chunks)
        for chunk in chunks:
            table = chunk.sequence.block_table
            slots.extend([table[index // size] * size + index % size for index in range(chunk.start, chunk.stop)])
            tables.append(table + [0] * (width - len(table)))
        return AttentionBatch(
            slot_mapping=torch.tensor(slots, device=self._model.device),
            block_tables=torch.tensor(tables, device=self._model.device),
            query_lens=tuple(chunk.num_tokens for chunk in chunks),
            context_lens=tuple(chunk.stop for chunk in chunks),
        )


def _num_blocks_in(model: TextModel, config: EngineConfig) -> int:
    num_blocks = int(config.kv_memory_gb * GIB) // KVCache.num_block_bytes(model, config.block_size)
    if num_blocks < 2:
        raise ConfigError(
            f"kv_memory_gb={config.kv_memory_gb} holds {num_blocks} KV blocks of {config.block_size} tokens, and the "
            f"engine needs 2; a block of this model takes {KVCache.num_block_bytes(model, config.block_size)} bytes"
        )
    return num_blocks
