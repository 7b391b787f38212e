"""What ``overlap`` measures, in all of its processes."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.bench.apart import Json

CHARS_PER_TOKEN = 4
PRESET = "glyph-en"


@dataclass(frozen=True, slots=True)
class OverlapPlan:
    """What is measured. Lengths are in text tokens of four characters."""

    shape: str = "glyph_9b"
    long_tokens: int = 262_144
    short_tokens: int = 16_384
    num_short: int = 16
    answer_tokens: int = 64
    chunk_tokens: int = 8192
    kv_memory_gb: float = 16.0
    capped_gb: float | None = 24.0
    has_gpu: bool = True


TINY = OverlapPlan("glyph_tiny", 2048, 512, 4, 8, 512, 0.2, capped_gb=None, has_gpu=False)


def engine_fields(plan: OverlapPlan) -> Json:
    return {"kv_memory_gb": plan.kv_memory_gb, "max_num_seqs": 32, "max_num_batched_tokens": plan.chunk_tokens}
