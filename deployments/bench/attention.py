"""The attention backends side by side at a shape, on a layer's keys and values of noise.

A decoding step is recorded as a CUDA graph and replayed, so that the kernels are timed and not who launches them.

``python -m deployments.bench.attention --out benchmarks/attention.json``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import glyph_core.model
from deployments.bench.limits import synchronize
from deployments.bench.report import Json, installed_versions, now
from glyph_core.config import EngineConfig
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from glyph_core.model.loading import pick_device
from glyph_core.model.shape import ModelShape, TextShape

CONFIGS = Path(glyph_core.model.__file__).parent / "configs"
REPEATS = 20
Case = tuple[int, int, int, int]
"""(sequences, tokens of each in the step, context, of it shared)"""
CASES: tuple[Case, ...] = (
    (1, 1, 8192, 0), (8, 1, 8192, 0), (32, 1, 8192, 0), (1, 1, 79_400, 0), (8, 1, 80_128, 79_872),
    (32, 1, 80_128, 79_872), (1, 8192, 8192, 0), (1, 8192, 32_768, 0), (1, 8192, 79_400, 0),
)  # fmt: skip
TINY: tuple[Case, ...] = ((3, 1, 300, 256), (1, 64, 300, 0))
WAYS = (("triton", "varlen", 16), ("triton", "split", 16), ("flash", "auto", 256), ("sdpa", "auto", 16))
"""(backend, way of prefill, block size)"""


class OneLayer:
    """What a :class:`KVCache` asks of a model."""

    num_layers = 1

    def __init__(self, shape: TextShape, device: torch.device, dtype: torch.dtype) -> None:
        self.num_heads, self.num_kv_heads, self.head_dim = shape.num_heads, shape.num_kv_heads, shape.head_dim
        self.device, self.dtype = device, dtype


def attention_figures(shape: TextShape, device: torch.device, dtype: torch.dtype, cases: Sequence[Case]) -> list[Json]:
    """Each case by each backend that runs here; why, of those that don't."""
    layer, figures = OneLayer(shape, device, dtype), []
    for num, new, context, shared in cases:
        expected: torch.Tensor | None = None
        for name, prefill, block_size in reversed(WAYS):  # the reference first
            if new == 1 and prefill == "split":
                continue  # decodes like varlen
            row: Json = {
                "backend": name, "prefill": prefill, "sequences": num, "new": new, "context": context, "shared": shared
            }  # fmt: skip
            try:
                config = EngineConfig(attention=name, prefill=prefill, block_size=block_size)
                choice = choose_attention(config, device, dtype)
                cache = KVCache(layer, num * -(-context // block_size), block_size)  # type: ignore[arg-type]
                backend = make_backend(choice, cache, layer.num_heads)
                got, layer_s = _measure(backend, cache, layer, _batch(cache, num, new, context, shared), new == 1)
            except (ConfigError, RuntimeError, ValueError, ImportError) as error:  # torch's out of memory is one
                figures.append(row | {"failure": f"{type(error).__name__}: {error}".splitlines()[0]})
                continue
            finally:
                if device.type == "cuda":
                    torch.cuda.empty_cache()
            expected = got if expected is None else expected  # the reference's, where it has the memory for it
            row["layer_us"] = 1e6 * layer_s
            row["difference"] = float((got - expected).norm() / expected.norm())
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="attention", description=__doc__)
    parser.add_argument("--shape", default="glyph_9b", help="a configuration of glyph_core/model/configs")
    parser.add_argument("--tiny", action="store_true", help="small cases: does the measurement itself work?")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    device = pick_device("auto")
    shape = ModelShape.of(json.loads((CONFIGS / f"{given.shape}.json").read_text())).text
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    report: Json = {
        "date": now(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "versions": installed_versions("torch", "triton", "flash-attn", "glyph-serve"),
        "shape": given.shape,
        "rows": [],
    }
    for case in TINY if given.tiny else CASES:
        report["rows"] += attention_figures(shape, device, dtype, [case])
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        for row in report["rows"][-len(WAYS) :]:
            sys.stderr.write(f"{row}\n")


if __name__ == "__main__":
    main()
