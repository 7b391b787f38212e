"""The widest step that a configuration permits, as a step of sequences that nobody asked for.

What a process takes of the device's memory depends on more than arithmetic knows: a library's workspaces, what the
allocator cannot put together, whichever kernels an attention backend chooses. So where memory is planned, this step is
run at the start, and what it took is measured.
"""

from __future__ import annotations

import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.sampler import SamplerState
from glyph_core.engine.scheduler import Chunk
from glyph_core.engine.sequence import Sequence
from glyph_core.model.family import TextModel
from glyph_core.types import PagePlacement, PagePlan, Prompt

HUNGRIEST = SamplingConfig(temperature=1.0, top_p=0.99, repetition_penalty=1.1, seed=0)  # in memory


def widest_step(model: TextModel, config: EngineConfig, max_model_len: int) -> list[Chunk]:
    """A prompt's last chunk, all of it a page's, at the longest context; beside it all other sequences that may run, a
    generated token each. Together they are ``max_num_batched_tokens`` tokens, or what the context holds; their blocks
    are the pool's first."""
    num_others = min(config.max_num_seqs, config.max_num_batched_tokens) - 1
    num_tokens = min(config.max_num_batched_tokens - num_others, max_model_len - 1)
    chunks = []
    for index in range(num_others):
        sequence = _sequence(index, 1, 2, model, config.block_size)
        sequence.token_ids.append(0)
        chunks.append(Chunk(sequence, 1, 2, is_sampled=True))
    longest = _sequence(num_others, max_model_len - 1, num_tokens, model, config.block_size)
    return [*chunks, Chunk(longest, longest.num_tokens - num_tokens, longest.num_tokens, is_sampled=True)]


def _sequence(index: int, num_prompt_tokens: int, num_new: int, model: TextModel, block_size: int) -> Sequence:
    """Ends with a page of ``num_new`` tokens, where its prompt has as many."""
    plan = PagePlan(0, 1, 1, "rehearsal")
    start = num_prompt_tokens - num_new
    pages = (PagePlacement(plan, start, num_new, (1, 1, num_new)),) if start >= 0 else ()
    sequence = Sequence(
        request_id=f"rehearsal {index}",
        prompt=Prompt(token_ids=(0,) * num_prompt_tokens, pages=pages),
        arrival=index,
        max_num_tokens=num_prompt_tokens + 1,
        positions=torch.arange(num_prompt_tokens).expand(3, -1),
        position_delta=0,
        sampler_state=SamplerState(HUNGRIEST, (0,), model.vocab_size, model.device),
    )
    sequence.block_table = list(range(-(-(num_prompt_tokens + 1) // block_size)))
    if pages:
        is_pinned = model.device.type == "cuda"  # as a page's features are that wait for their step
        sequence.features[0] = torch.zeros(num_new, model.feature_size, dtype=model.dtype, pin_memory=is_pinned)
    return sequence
