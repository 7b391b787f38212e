"""The attention backends side by side at a shape, on a layer's keys and values of noise.

A decoding step is recorded as a CUDA graph and replayed, so that the kernels are timed and not who launches them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from deployments.bench.limits import synchronize
from glyph_core.config import EngineConfig
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from glyph_core.model.shape import TextShape

REPEATS = 20
WAYS = (("triton", "varlen", 16), ("triton", "split", 16), ("flash", "auto", 256), ("sdpa", "auto", 16))
"""(backend, way of prefill, block size)"""


class OneLayer:
    """What a :class:`KVCache` asks of a model."""

    num_layers = 1

    def __init__(self, shape: TextShape, device: torch.device, dtype: torch.dtype) -> None:
        self.num_heads, self.num_kv_heads, self.head_dim = shape.num_heads, shape.num_kv_heads, shape.head_dim
        self.device, self.dtype = device, dtype


def attention_figures(
    shape: TextShape, device: torch.device, dtype: torch.dtype, cases: list[tuple[int, int, int, int]]
) -> list[dict[str, Any]]:
    """Each case (sequences, tokens of each in the step, context, of it shared) by each backend that runs here."""
    layer, figures = OneLayer(shape, device, dtype), []
    for num, new, context, shared in cases:
        expected: torch.Tensor | None = None
        for name, prefill, block_size in reversed(WAYS):  # the reference first
            if new == 1 and prefill == "split":
                continue  # decodes like varlen
            row: dict[str, Any] = {
                "backend": name, "prefill": prefill, "sequences": num, "new": new, "context": context, "shared": shared
            }  # fmt: skip
            try:
                config = EngineConfig(attention=name, prefill=prefill, block_size=block_size)
                choice = choose_attention(config, device, dtype)
                cache = KVCache(layer, num * -(-context // block_size), block_size)  # type: ignore[arg-type]
                backend = make_backend(choice, cache, layer.num_heads)
                got, layer_s = _measure(backend, cache, layer, _batch(cache, num, new, context, shared), new == 1)
            except (ConfigError, RuntimeError, ValueError, ImportError) as error:  # torch's out of memory is one
                figures.append(row | {"error": f"{type(error).__name__}: {error}".splitlines()[0]})
                continue
            finally:
                if device.type == "cuda":
                    torch.cuda.empty_cache()
            expected = got if expected is None else expected
            row["layer_us"] = 1e6 * layer_s
            row["error_vs_first"] = float((got - expected).norm() / expected.norm())
            pairs = num * (new * (context - new) + new * (new + 1) // 2)
            row["flops_s"] = 4 * pairs * layer.num_heads * layer.head_dim / layer_s
            row["kv_bytes_s"] = num * context * shape.kv_bytes(dtype.itemsize) / shape.num_layers / layer_s
            figures.append(row)
    return figures


def _batch(cache: KVCache, num: int, new: int, context: int, shared: int) -> AttentionBatch:
    """Sequences over blocks in an order of chance; the blocks of what is shared are the first one's."""
    blocks = -(-context // cache.block_size)
    tables = torch.randperm(num * blocks, generator=torch.Generator().manual_seed(0)).view(num, blocks)
    tables[:, : shared // cache.block_size] = tables[:1, : shared // cache.block_size]
    places = torch.arange(context - new, context)
    slots = tables[:, places // cache.block_size] * cache.block_size + places % cache.block_size
    groups = (PrefixGroup(tuple(range(num)), shared // cache.block_size * cache.block_size),) if shared else ()
    return AttentionBatch(
        slot_mapping=slots.flatten().to(cache.device),
        block_tables=tables.int().to(cache.device),
        table_rows=tuple(range(num)),
        query_lens=(new,) * num,
        context_lens=(context,) * num,
        groups=groups,
    )


def _measure(
    backend: Any, cache: KVCache, layer: OneLayer, batch: AttentionBatch, is_recorded: bool
) -> tuple[torch.Tensor, float]:
    """What the layer gives, and the seconds that it takes. The same noise for every backend: only the order of the
    blocks differs, and each sequence's context is what it would be in any order."""
    random = torch.Generator(layer.device).manual_seed(0)
    for memory in (cache.k, cache.v):
        _fill(memory, batch, random, cache.block_size)
    num_tokens = sum(batch.query_lens)
    q, k, v = (
        torch.randn(num_tokens, heads, layer.head_dim, generator=random, device=layer.device)
        .to(layer.dtype)
        .transpose(0, 1)
        for heads in (layer.num_heads, layer.num_kv_heads, layer.num_kv_heads)
    )
    attend = backend.plan(batch)
    run: Callable[[], torch.Tensor] = lambda: attend(0, q, k, v, layer.head_dim**-0.5)  # noqa: E731
    got = run().float()
    replay: Callable[[], object] = run
    if is_recorded and layer.device.type == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        replay = graph.replay
    replay()
    repeats = REPEATS if is_recorded else 4
    synchronize(layer.device)
    started_at = time.perf_counter()
    for _ in range(repeats):
        replay()
    synchronize(layer.device)
    return got, (time.perf_counter() - started_at) / repeats


def _fill(memory: torch.Tensor, batch: AttentionBatch, random: torch.Generator, block_size: int) -> None:
    """Each sequence's context the same noise, whatever the size and order of the blocks."""
    for row, context in zip(batch.block_tables, batch.context_lens, strict=True):
        noise = torch.randn(context, *memory.shape[3:], generator=random, device=memory.device).to(memory.dtype)
        places = torch.arange(context, device=memory.device)
        slots = row[places // block_size].long() * block_size + places % block_size
        memory[0].flatten(0, 1)[slots] = noise
