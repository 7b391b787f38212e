"""A shape with random weights on this device: what it plans, loads and takes to answer about one page.

    python -m deployments.bench.shape_run --shape seed_llava_7b --json seed.json

Both stages run in this one process, as the seed article's do. Its 7B on a 24 GB card took 19.8 GB, 16.3 GB in half
precision; answers mean nothing here, memory and times do.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from deployments.bench.random_checkpoint import SHAPES, write_random_checkpoint
from glyph_core.config import CreditConfig, EngineConfig, SamplingConfig
from glyph_core.engine.engine import Engine
from glyph_core.engine.memory_plan import plan_memory
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of, place_pages
from glyph_core.model.loading import pick_device, pick_dtype
from glyph_core.model.tokenizer import Tokenizer
from glyph_core.types import Page, PagePlan
from glyph_core.vision.encoder import VisionEncoder

SEED_GB, SEED_HALF_GB = 19.8, 16.3
PAGE_SIZE = (595, 842)  # px
KV_TOKENS = 4096  # that the pool holds, unless told
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShapeRun:
    shape: str
    device: str
    dtype: str
    text_weights: int
    vision_weights: int
    plan: str
    load_s: float
    loaded_gb: float  # PyTorch's, after loading both halves and making the KV pool
    kv_gb: float
    visual_tokens: int
    prompt_tokens: int
    encode_ms: float  # of one page, the second time
    prefill_s: float
    tokens_s: float
    peak_allocated_gb: float
    peak_reserved_gb: float
    process_gb: float | None  # with CUDA's context; None on the CPU
    seed_gb: float = SEED_GB
    seed_half_gb: float = SEED_HALF_GB


def run_shape(
    shape: str,
    folder: Path,
    dtype_name: str = "auto",
    num_tokens: int = 64,
    kv_tokens: int = KV_TOKENS,
    text_weights: str = "auto",
) -> ShapeRun:
    checkpoint = resolve_checkpoint(str(write_random_checkpoint(folder, shape)))
    device = pick_device("auto")
    dtype = pick_dtype(dtype_name, device)
    family, tokenizer = family_of(checkpoint), Tokenizer(checkpoint)
    weights = family.shape()
    is_fp8 = text_weights == "fp8"
    plan = plan_memory(weights, EngineConfig(), CreditConfig(), budget_gb=24, itemsize=dtype.itemsize, is_fp8=is_fp8)
    logger.info("%s", plan)
    free_before = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    started_at = time.perf_counter()
    encoder = VisionEncoder(family, dtype, device)
    text = family.load_text(dtype, device, weights=text_weights)
    config = EngineConfig(prefix_cache=False, num_blocks=-(-kv_tokens // EngineConfig().block_size))
    engine = Engine(text, config, (), checkpoint.max_model_len)
    load_s = time.perf_counter() - started_at
    loaded_gb = _allocated_gb(device)
    logger.info("loaded in %.1f s: %.2f GB", load_s, loaded_gb)
    page = _page()
    encoder.encode([page])
    encode_started_at = time.perf_counter()
    [features] = encoder.encode([page])
    encode_ms = 1e3 * (time.perf_counter() - encode_started_at)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is the total?"}]}]
    prompt = place_pages(family, tokenizer.encode_chat(turns), [page.plan])
    prefill_s = tokens_s = 0.0
    for attempt in ("warm", "measured"):  # the first compiles kernels
        engine.add(attempt, prompt, SamplingConfig(max_tokens=num_tokens, ignore_eos=True))
        engine.feed(attempt, 0, features.features)
        at = [time.perf_counter()]
        while engine.has_work:
            at += [time.perf_counter() for _ in engine.step()]
        prefill_s, tokens_s = at[1] - at[0], (len(at) - 2) / (at[-1] - at[1])
    is_cuda = device.type == "cuda"
    return ShapeRun(
        shape=shape,
        device=torch.cuda.get_device_name(device) if is_cuda else "cpu",
        dtype=str(dtype),
        text_weights=weights.text.num_kept_weights + weights.text.num_linear_weights,
        vision_weights=weights.vision.weight_bytes(1, is_fp8=False),
        plan=str(plan),
        load_s=load_s,
        loaded_gb=loaded_gb,
        kv_gb=engine.stats().num_blocks * config.block_size * weights.text.kv_bytes(dtype.itemsize) / 1e9,
        visual_tokens=prompt.num_visual_tokens,
        prompt_tokens=len(prompt.token_ids),
        encode_ms=encode_ms,
        prefill_s=prefill_s,
        tokens_s=tokens_s,
        peak_allocated_gb=torch.cuda.max_memory_allocated(device) / 1e9 if is_cuda else 0.0,
        peak_reserved_gb=torch.cuda.max_memory_reserved(device) / 1e9 if is_cuda else 0.0,
        process_gb=(free_before - torch.cuda.mem_get_info(device)[0]) / 1e9 if is_cuda else None,
    )


def _page() -> Page:
    """A page of noise in the size of the official rendering."""
    width, height = PAGE_SIZE
    pixels = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    return Page(PagePlan(0, width, height, "noise"), pixels)


def _allocated_gb(device: torch.device) -> float:
    return torch.cuda.memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser(prog="shape_run", description=__doc__)
    parser.add_argument("--shape", default="seed_llava_7b", choices=SHAPES)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--weights", default="auto", choices=("auto", "fp8"), help="of the language model's layers")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--kv-tokens", type=int, default=KV_TOKENS, help="of keys and values that there is room for")
    parser.add_argument("--json", type=Path, help="where the figures go; else stdout")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        figures = json.dumps(
            asdict(run_shape(given.shape, Path(folder), given.dtype, given.tokens, given.kv_tokens, given.weights)),
            indent=1,
        )
    if given.json is None:
        sys.stdout.write(figures + "\n")
    else:
        given.json.write_text(figures + "\n")


if __name__ == "__main__":
    main()
