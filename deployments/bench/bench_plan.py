"""What ``glyph bench engine`` measures, on a GPU and on any machine."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class DecodeCase:
    num: int  # sequences
    context: int
    kv_dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class BenchPlan:
    shape: str  # a file of glyph_core/model/configs, without its ending
    dtype: torch.dtype
    device: torch.device
    decode: tuple[DecodeCase, ...]
    shared: tuple[tuple[int, int], ...]  # (sequences, shared prefix)
    prefill: tuple[tuple[int, str], ...]  # (tokens of a prompt, way)
    chunk_tokens: int
    steps: int
    baseline: tuple[tuple[int, int], ...]  # (sequences, context) of transformers' generate
    encode_pages: tuple[int, ...]  # of batches through the vision tower


def bench_plan(device: torch.device, *, is_tiny: bool) -> BenchPlan:
    """The 9B's, or one that ends within a minute on a CPU."""
    if is_tiny:
        return BenchPlan(
            "glyph_tiny", torch.bfloat16 if device.type == "cuda" else torch.float32, device,
            decode=(DecodeCase(1, 256), DecodeCase(4, 128), DecodeCase(4, 128, "fp8")),
            shared=((4, 256),),
            prefill=((256, "auto"),),
            chunk_tokens=128,
            steps=3,
            baseline=((1, 256), (4, 128)),
            encode_pages=(1, 2),
        )  # fmt: skip
    contexts = [(1, 1024), (1, 8192), (1, 79_400), (8, 1024), (8, 8192), (32, 1024), (32, 8192)]
    return BenchPlan(
        "glyph_9b", torch.bfloat16, device,
        decode=(*(DecodeCase(*case) for case in contexts), DecodeCase(1, 79_400, "fp8"), DecodeCase(32, 8192, "fp8")),
        shared=((8, 80_000), (32, 80_000)),
        prefill=((8192, "auto"), (8192, "varlen"), (32_768, "auto"), (79_400, "auto")),
        chunk_tokens=8192,
        steps=32,
        baseline=((1, 8192), (32, 1024), (1, 32_768)),
        encode_pages=(1, 4, 8, 16),
    )  # fmt: skip
