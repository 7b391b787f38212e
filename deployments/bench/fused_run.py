"""A shape's language model through our fused parts beside transformers' modules, with the same random weights.

    python -m deployments.bench.fused_run --shape seed_llava_7b --dtype float16 --json fused.json

Decoding by batch, a prompt's prefill, memory, and how far each one's logits are from the same weights in float32.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from deployments.bench.accuracy import logit_error, teacher_forced_logits
from deployments.bench.engine_cases import attempt
from deployments.bench.limits import copy_bytes_s
from deployments.bench.random_checkpoint import SHAPES, write_random_checkpoint
from deployments.bench.report import Json, installed_versions, now
from deployments.bench.synthetic import decode_step, num_blocks_for, prefill, synthetic_sequences
from glyph_core.config import EngineConfig
from glyph_core.engine.model_runner import ModelRunner
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import TextModel, family_of
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.layer_ops import LayerOps, TorchOps, pick_ops
from glyph_core.model.loading import load_config, pick_device, pick_dtype
from glyph_core.model.transformers_family import TransformersFamily

BLOCK_SIZE, NUM_STEPS, NUM_WARM_UPS = 16, 32, 4
CONTEXT = 2400  # tokens: the seed's page in four tiles, and a question
PACKAGES = ("torch", "triton", "transformers", "glyph-serve")
logger = logging.getLogger(__name__)


class ModuleWeights:
    """Those of a language model that transformers made."""

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self._module, self.dtype, self.device = module, dtype, module.device

    def __contains__(self, name: str) -> bool:
        return True

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        place = name if name.startswith("lm_head.") else f"model.language_model.{name}"
        weight: torch.Tensor = self._module.get_parameter(place).detach().to(self.dtype)
        assert tuple(weight.shape) == tuple(shape), name
        return weight


def run(shape: str, dtype_name: str, batches: Sequence[int], context: int, keep: Callable[[Json], None]) -> Json:
    """``keep`` is handed what there is after each part."""
    device = pick_device("auto")
    dtype = pick_dtype(dtype_name, device)
    is_cuda = device.type == "cuda"
    report: Json = {
        "date": now(), "shape": shape, "dtype": str(dtype), "context": context,
        "device": torch.cuda.get_device_name(device) if is_cuda else "cpu",
        "versions": installed_versions(*PACKAGES), "copy_bytes_s": copy_bytes_s(device),
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        family = family_of(resolve_checkpoint(str(write_random_checkpoint(Path(folder), shape))))
        assert isinstance(family, TransformersFamily)
        theirs: Any = family.load_text(dtype, device, kernels="transformers")
        config = load_config(family.checkpoint.path)

    def fused(module: Any, of_dtype: torch.dtype, ops: LayerOps) -> FusedTextModel:
        weights = ModuleWeights(module, of_dtype)
        return FusedTextModel(config, weights, ops, family.text_style, num_deepstack=family.num_deepstack)

    text = family.shape().text
    step_bytes = text.weight_bytes(dtype.itemsize, is_fp8=False) - text.vocab_size * text.hidden_size * dtype.itemsize
    token_bytes = text.kv_bytes(dtype.itemsize)

    def speed(model: TextModel) -> Json:
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        figures: Json = {"decode": [], "prefill_s": _prefill_s(model, context)}
        for num in batches:
            step_s = _step_s(model, num, context)
            ideal_s = (step_bytes + num * context * token_bytes) / report["copy_bytes_s"]
            figures["decode"].append(
                {"sequences": num, "step_ms": 1e3 * step_s, "tokens_s": num / step_s, "of_bandwidth": ideal_s / step_s}
            )
        return figures | {"peak_gb": torch.cuda.max_memory_allocated(device) / 1e9 if is_cuda else None}

    report["transformers"] = attempt(speed, theirs)
    keep(report)
    exact = teacher_forced_logits(fused(theirs._model, torch.float32, TorchOps()), "sdpa", "auto", "auto")
    if is_cuda:
        torch.cuda.empty_cache()
    report["transformers"] |= logit_error(teacher_forced_logits(theirs, "auto", "auto", "auto"), exact)
    ours = fused(theirs._model, dtype, pick_ops(device))
    del theirs
    report["fused"] = logit_error(teacher_forced_logits(ours, "auto", "auto", "auto"), exact)
    keep(report)
    if is_cuda:
        torch.cuda.empty_cache()
    report["fused"] |= attempt(speed, ours)
    keep(report)
    return report


def _runner(model: TextModel, num: int, context: int) -> ModelRunner:
    room = NUM_STEPS + NUM_WARM_UPS + BLOCK_SIZE
    config = EngineConfig(
        num_blocks=num_blocks_for(num, context, BLOCK_SIZE, room), max_num_seqs=num, max_num_batched_tokens=context
    )
    return ModelRunner(model, config, context + room)


def _step_s(model: TextModel, num: int, context: int) -> float:
    """The median of a decode step, host and device."""
    runner = _runner(model, num, context)
    sequences = synthetic_sequences(num, context, BLOCK_SIZE, NUM_STEPS + NUM_WARM_UPS + BLOCK_SIZE)
    times = []
    for _ in range(NUM_STEPS + NUM_WARM_UPS):
        started_at = time.perf_counter()
        decode_step(runner, sequences)
        times.append(time.perf_counter() - started_at)
    return sorted(times[NUM_WARM_UPS:])[NUM_STEPS // 2]


def _prefill_s(model: TextModel, context: int) -> float:
    """The lesser of two, of which the first compiles kernels."""
    runner, times = _runner(model, 1, context), []
    for _ in range(2):
        [sequence] = synthetic_sequences(1, context, BLOCK_SIZE, BLOCK_SIZE)
        started_at = time.perf_counter()
        prefill(runner, sequence, context)
        times.append(time.perf_counter() - started_at)
    return min(times)


def main(arguments: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser(prog="fused_run", description=__doc__)
    parser.add_argument("--shape", default="seed_llava_7b", choices=SHAPES)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", type=int, nargs="+", default=(1, 8, 32), help="sequences that decode together")
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens of each")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go, after each part")
    given = parser.parse_args(arguments)
    started_at = time.perf_counter()

    def keep(report: Json) -> None:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
        logger.info("%.0f s: %s", time.perf_counter() - started_at, ", ".join(report))

    run(given.shape, given.dtype, given.batch, given.context, keep)


if __name__ == "__main__":
    main()
