"""Sequences whose keys and values are whatever the pool holds: decoding at any context without computing it first."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import torch

from glyph_core.config import SamplingConfig
from glyph_core.engine.model_runner import ModelRunner
from glyph_core.engine.sampler import SamplerState
from glyph_core.engine.scheduler import Chunk
from glyph_core.engine.sequence import Sequence, SequenceStatus
from glyph_core.types import Prompt

CPU = torch.device("cpu")


def synthetic_sequences(
    num: int, num_tokens: int, block_size: int, room: int, shared_tokens: int = 0
) -> list[Sequence]:
    """``num`` sequences of ``num_tokens``, with blocks for ``room`` more; they share the blocks of the first
    ``shared_tokens``."""
    shared = list(range(shared_tokens // block_size))
    next_block = len(shared)
    sequences = []
    for index in range(num):
        prompt = Prompt(token_ids=tuple(i * 7 % 251 for i in range(num_tokens)), pages=())
        sequence = Sequence(
            request_id=f"{index}",
            prompt=prompt,
            arrival=index,
            max_num_tokens=num_tokens + room,
            positions=torch.arange(num_tokens).expand(3, -1),
            position_delta=0,
            sampler_state=SamplerState(SamplingConfig(), (), 1, CPU),
        )
        num_own = -(-(num_tokens + room) // block_size) - len(shared)
        sequence.block_table = shared + list(range(next_block, next_block + num_own))
        sequence.token_ids.append(1)  # the first of the answer
        sequence.status = SequenceStatus.RUNNING
        next_block += num_own
        sequences.append(sequence)
    return sequences


def num_blocks_for(num: int, num_tokens: int, block_size: int, room: int, shared_tokens: int = 0) -> int:
    num_shared = shared_tokens // block_size
    return max(2, num_shared + num * (-(-(num_tokens + room) // block_size) - num_shared))


def decode_step(runner: ModelRunner, sequences: Seq[Sequence]) -> None:
    """One token for each; the host waits for them, as in serving."""
    chunks = [Chunk(sequence, sequence.num_tokens - 1, sequence.num_tokens, is_sampled=True) for sequence in sequences]
    for sequence, token in zip(sequences, runner.run(chunks), strict=True):
        sequence.token_ids.append(token.token_id)


def prefill(runner: ModelRunner, sequence: Sequence, chunk_tokens: int) -> None:
    """The whole prompt, ``chunk_tokens`` a step."""
    del sequence.token_ids[sequence.num_prompt_tokens :]
    num_tokens = sequence.num_prompt_tokens
    for start in range(0, num_tokens, chunk_tokens):
        stop = min(start + chunk_tokens, num_tokens)
        runner.run([Chunk(sequence, start, stop, is_sampled=stop == num_tokens)])
