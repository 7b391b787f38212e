"""What a step computes, as numbers: one array on the host, one copy to the device.

Shapes: T tokens of all chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glyph_core.engine.scheduler import Chunk

TOKEN_IDS, POSITIONS, SLOTS = 0, slice(1, 4), 4  # rows of the inputs
NUM_INPUTS = 5
NO_SLOT = -1


def step_inputs(chunks: Sequence[Chunk], table_rows: Sequence[int], tables: np.ndarray, block_size: int) -> np.ndarray:
    """(5, T) int64: token ids, rotary positions on three axes, slots in the KV pool."""
    inputs = np.empty((NUM_INPUTS, sum(chunk.num_tokens for chunk in chunks)), dtype=np.int64)
    first = 0
    for chunk, row in zip(chunks, table_rows, strict=True):
        columns = inputs[:, first : first + chunk.num_tokens]
        sequence = chunk.sequence
        columns[TOKEN_IDS] = sequence.token_ids[chunk.start : chunk.stop]
        places = np.arange(chunk.start, chunk.stop)
        columns[SLOTS] = tables[row, places // block_size].astype(np.int64) * block_size + places % block_size
        num_prompt = max(0, min(chunk.stop, sequence.num_prompt_tokens) - chunk.start)
        columns[POSITIONS, :num_prompt] = sequence.positions[:, chunk.start : chunk.start + num_prompt]
        columns[POSITIONS, num_prompt:] = places[num_prompt:] + sequence.position_delta
        first += chunk.num_tokens
    return inputs


def decode_inputs(
    chunks: Sequence[Chunk], table_rows: Sequence[int], tables: np.ndarray, block_size: int
) -> np.ndarray:
    """As :func:`step_inputs` for chunks of one generated token each; 0 for a token that the host does not know yet."""
    places = np.array([chunk.start for chunk in chunks])
    inputs = np.empty((NUM_INPUTS, len(chunks)), dtype=np.int64)
    inputs[TOKEN_IDS] = [
        chunk.sequence.token_ids[chunk.start] if chunk.start < chunk.sequence.num_tokens else 0 for chunk in chunks
    ]
    inputs[POSITIONS] = places + np.array([chunk.sequence.position_delta for chunk in chunks])
    inputs[SLOTS] = tables[table_rows, places // block_size].astype(np.int64) * block_size + places % block_size
    return inputs
