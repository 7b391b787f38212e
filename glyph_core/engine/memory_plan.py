"""One plan for what a card's memory goes to, for the decoder and the encoder together.

Ray's GPU fractions are bookkeeping: a quarter and three quarters of the memory would leave the 9B's decoder hardly any
blocks. So both stages work the same plan out of the same configuration, and each keeps to its share. Pure arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.config import CreditConfig, EngineConfig
from glyph_core.errors import ConfigError
from glyph_core.model.shape import AnyShape, TextShape

GIB = 1024**3
MIB = 1024**2
CONTEXT_BYTES = 700 * MIB  # of a process: CUDA's context with the kernels that it has used, on an H200 620 to 690
WORKSPACE_BYTES = 256 * MIB  # of a process: cuBLAS, Triton, CUDA graphs, and what the allocator cannot put together
DOCUMENT_TEXT_TOKENS = 262_144
COMPRESSION = 3.3  # text tokens to a visual token, glyph-en
PREFILL_FILL = 4096  # tokens that a prefill chunk is filled up by at most
MIN_KV_TOKENS = 4096  # fewer, and no document of a few pages is answered


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Bytes of one stage's process."""

    weights: int
    activations: int
    kv: int = 0

    @property
    def allocated(self) -> int:
        """By PyTorch: what :func:`torch.cuda.set_per_process_memory_fraction` limits."""
        return self.weights + self.activations + self.kv + WORKSPACE_BYTES

    @property
    def total(self) -> int:
        return self.allocated + CONTEXT_BYTES


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    budget: int  # bytes
    decoder: StagePlan
    encoder: StagePlan
    num_blocks: int  # KV blocks in the decoder's pool
    block_size: int

    @property
    def num_kv_tokens(self) -> int:
        return self.num_blocks * self.block_size

    @property
    def num_documents(self) -> float:
        """Of :data:`DOCUMENT_TEXT_TOKENS` text tokens, that the pool holds at once."""
        return self.num_kv_tokens / (DOCUMENT_TEXT_TOKENS / COMPRESSION)

    @property
    def unused(self) -> int:
        return self.budget - self.decoder.total - self.encoder.total

    def __str__(self) -> str:
        return (
            f"memory plan for {self.budget / GIB:.1f} GiB: decoder {_gib(self.decoder.total)} (weights "
            f"{_gib(self.decoder.weights)}, activations {_gib(self.decoder.activations)}, KV {_gib(self.decoder.kv)}), "
            f"encoder {_gib(self.encoder.total)} (weights {_gib(self.encoder.weights)}, activations "
            f"{_gib(self.encoder.activations)}), of which a CUDA context each {_gib(CONTEXT_BYTES)}; "
            f"{self.num_blocks} blocks hold {self.num_kv_tokens} tokens, {self.num_documents:.1f} documents of "
            f"{DOCUMENT_TEXT_TOKENS} text tokens"
        )


def plan_memory(
    shape: AnyShape,
    engine: EngineConfig,
    credit_config: CreditConfig,
    *,
    budget_gb: float,
    itemsize: int = 2,
    is_fp8: bool = False,
) -> MemoryPlan:
    """What ``budget_gb`` (GiB) goes to: all that weights and activations leave goes to KV blocks, or as much as
    ``engine.num_blocks`` says. ``itemsize`` is the dtype's. Raises ConfigError for a budget that is too small, saying
    what would fit."""
    budget = int(budget_gb * GIB)
    text_weights = shape.text.weight_bytes(itemsize, is_fp8=is_fp8)
    token_bytes = shape.text.kv_bytes(1 if engine.kv_dtype == "fp8" else itemsize)
    encoder = StagePlan(
        shape.vision.weight_bytes(itemsize, is_fp8=is_fp8),
        shape.vision.activation_bytes(credit_config.max_encode_batch, itemsize),
    )
    block_bytes = engine.block_size * token_bytes
    # No context is longer than the pool, which is no larger than if prefilling took nothing.
    without = StagePlan(text_weights, text_activations(shape.text, engine, itemsize, pool_tokens=0))
    pool_tokens = max(0, budget - without.total - encoder.total) // token_bytes
    decoder = StagePlan(text_weights, text_activations(shape.text, engine, itemsize, pool_tokens=pool_tokens))
    left = budget - decoder.total - encoder.total
    num_blocks = engine.num_blocks or max(0, left) // block_bytes
    needed = block_bytes * (engine.num_blocks or -(-MIN_KV_TOKENS // engine.block_size))
    if needed > left:
        least = decoder.total + encoder.total + needed
        activations = decoder.activations + encoder.activations
        raise ConfigError(
            f"gpu_memory_gb={budget_gb:g} is too small: {_gib(least)} is the least for this configuration (weights "
            f"{_gib(decoder.weights + encoder.weights)}, activations {_gib(activations)}, "
            f"two processes {_gib(2 * (CONTEXT_BYTES + WORKSPACE_BYTES))}, KV blocks {_gib(needed)}); "
            + _what_would_fit(shape, engine, encoder, budget, needed, itemsize, is_fp8=is_fp8)
        )
    decoder = StagePlan(decoder.weights, decoder.activations, num_blocks * block_bytes)
    return MemoryPlan(budget, decoder, encoder, num_blocks, engine.block_size)


def text_activations(shape: TextShape, engine: EngineConfig, itemsize: int, *, pool_tokens: int | None = None) -> int:
    """The most that a step holds at once beside weights and KV, of which there are ``pool_tokens``; None: enough."""
    tokens = engine.max_num_batched_tokens
    # All the time: what the first layers were given, the sum so far, its norm.
    stream = tokens * (3 + shape.num_deepstack) * shape.hidden_size * itemsize
    # The widest moment of a layer: gate and up, and their product; or heads, and what they attended to in the chunk,
    # which is filled up, before it, in both together, and in the tokens' order.
    layer = tokens * 3 * shape.intermediate_size * itemsize
    attended = shape.num_heads * shape.head_dim
    attention = (tokens * (shape.qkv_size + 4 * attended) + (tokens + PREFILL_FILL) * attended) * itemsize
    context = min(engine.max_model_len or shape.max_model_len, shape.max_model_len)
    context = context if pool_tokens is None else min(context, pool_tokens)
    gathered = 2 * context * shape.num_kv_heads * shape.head_dim * itemsize  # one layer's, for a prefill chunk
    logits = engine.max_num_seqs * shape.vocab_size * (itemsize + 3 * 4)  # as computed, float32, and two of work
    widest = stream + max(layer, attention + gathered) + logits
    return widest + widest // 12  # pieces that the allocator cannot put together; an H200 had 175 MiB of them


def _what_would_fit(
    shape: AnyShape,
    engine: EngineConfig,
    encoder: StagePlan,
    budget: int,
    kv_bytes: int,
    itemsize: int,
    *,
    is_fp8: bool,
) -> str:
    def total(weights: int, tokens: int) -> int:
        smaller = engine.model_copy(update={"max_num_batched_tokens": tokens})
        return StagePlan(weights, text_activations(shape.text, smaller, itemsize), kv_bytes).total + encoder.total

    fp8_bytes = shape.text.weight_bytes(itemsize, is_fp8=True)
    own_bytes = shape.text.weight_bytes(itemsize, is_fp8=is_fp8)
    fewest = max(engine.max_num_seqs, 256)
    if shape.runs_fp8 and not is_fp8 and total(fp8_bytes, engine.max_num_batched_tokens) <= budget:
        return f"with weights fp8 it would fit ({_gib(total(fp8_bytes, engine.max_num_batched_tokens))})"
    if total(own_bytes, fewest) <= budget:
        return f"with max_num_batched_tokens={fewest} it would fit ({_gib(total(own_bytes, fewest))})"
    if not shape.runs_fp8:
        least = _gib(total(own_bytes, fewest))
        return f"the least that this model runs in is {least}, with max_num_batched_tokens={fewest}"
    smallest = total(fp8_bytes, fewest)
    if smallest <= budget:
        return f"with weights fp8 and max_num_batched_tokens={fewest} it would fit ({_gib(smallest)})"
    return (
        f"the least that this model runs in is {_gib(smallest)}, with weights fp8 and max_num_batched_tokens={fewest}"
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.2f} GiB"
