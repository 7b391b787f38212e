"""The cases of ``glyph bench engine`` that run on our engine: decode, shared prefix, prefill."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from deployments.bench.bench_plan import BenchPlan, DecodeCase
from deployments.bench.synthetic import decode_step, num_blocks_for, prefill, synthetic_sequences
from glyph_core.config import EngineConfig
from glyph_core.engine.model_runner import ModelRunner
from glyph_core.errors import GlyphError
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.shape import TextShape

BLOCK_SIZE, NUM_WARM_UPS = 16, 4
MAX_COPIES = 8  # of a long prefix: more do not fit
Json = dict[str, Any]


class EngineCases:
    """A model, what is measured with it, and what the card can do at most (``limits`` of the report)."""

    def __init__(self, plan: BenchPlan, model: FusedTextModel, shape: TextShape, limits: Json) -> None:
        self._plan, self._model, self._shape, self._limits = plan, model, shape, limits
        # A step reads every weight but the embeddings, of which it takes a row a sequence.
        self._step_bytes = model.num_bytes - shape.vocab_size * shape.hidden_size * plan.dtype.itemsize

    def decode(self, case: DecodeCase) -> Json:
        runner = self._runner(case.num, case.context, kv_dtype=case.kv_dtype)
        step_s = self._step_s(runner, case.num, case.context)
        kv_bytes = self._shape.kv_bytes(1 if case.kv_dtype == "fp8" else self._plan.dtype.itemsize)
        ideal_s = (self._step_bytes + case.num * case.context * kv_bytes) / self._limits["copy_bytes_s"]
        return {
            "num_sequences": case.num, "context": case.context, "kv": case.kv_dtype, "step_ms": 1e3 * step_s,
            "tokens_s": case.num / step_s, "of_bandwidth": ideal_s / step_s, "peak_bytes": self._peak(),
        }  # fmt: skip

    def shared(self, num: int, prefix: int) -> Json:
        """The same kernels with sharing on and off; and where every sequence has a copy of the prefix, which no cache
        of the card's can serve to several of them."""
        step_s = {
            is_on: self._step_s(self._runner(num, prefix, prefix, shared_prefix=is_on), num, prefix, prefix)
            for is_on in (True, False)
        }
        figures = {
            "num_sequences": num, "prefix": prefix, "shared_ms": 1e3 * step_s[True], "unshared_ms": 1e3 * step_s[False],
            "speedup": step_s[False] / step_s[True],
        }  # fmt: skip
        if num <= MAX_COPIES:
            apart_s = self._step_s(self._runner(num, prefix), num, prefix)
            figures |= {"apart_ms": 1e3 * apart_s, "speedup_apart": apart_s / step_s[True]}
        return figures

    def prefill(self, num_tokens: int, way: str) -> Json:
        times = []
        for _ in range(2):  # the first compiles, and has cuDNN prepare for its lengths
            runner = self._runner(1, num_tokens, prefill=way)
            sequence = synthetic_sequences(1, num_tokens, BLOCK_SIZE, self._room)[0]
            started_at = time.perf_counter()
            prefill(runner, sequence, self._plan.chunk_tokens)
            times.append(time.perf_counter() - started_at)
            chosen = runner.attention.prefill
            del runner
        shape, least_s = self._shape, min(times)
        attention = 2 * shape.num_layers * shape.num_heads * shape.head_dim * num_tokens**2  # causal: half of 4 × n²
        flops = 2 * shape.num_linear_weights * num_tokens + attention
        return {
            "num_tokens": num_tokens, "way": chosen, "prefill_s": least_s, "first_s": times[0],
            "tokens_s": num_tokens / least_s, "flops": flops,
            "of_matmul": flops / least_s / self._limits["matmul_flops_s"], "peak_bytes": self._peak(),
        }  # fmt: skip

    @property
    def _room(self) -> int:
        """Tokens that a case has room for beyond its context."""
        return self._plan.steps + NUM_WARM_UPS + BLOCK_SIZE

    def _runner(self, num: int, context: int, shared: int = 0, **fields: object) -> ModelRunner:
        config = EngineConfig.model_validate(
            {
                "num_blocks": num_blocks_for(num, context, BLOCK_SIZE, self._room, shared),
                "max_num_seqs": num,
                "max_num_batched_tokens": max(num, self._plan.chunk_tokens),
                **fields,
            }
        )
        if self._plan.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._plan.device)
        return ModelRunner(self._model, config, context + self._room)

    def _step_s(self, runner: ModelRunner, num: int, context: int, shared: int = 0) -> float:
        """The median of ``plan.steps`` steps, host and device, after a few."""
        sequences = synthetic_sequences(num, context, BLOCK_SIZE, self._room, shared)
        times = []
        for _ in range(self._plan.steps + NUM_WARM_UPS):
            started_at = time.perf_counter()
            decode_step(runner, sequences)
            times.append(time.perf_counter() - started_at)
        return sorted(times[NUM_WARM_UPS:])[self._plan.steps // 2]

    def _peak(self) -> int | None:
        return torch.cuda.max_memory_allocated(self._plan.device) if self._plan.device.type == "cuda" else None


def attempt(measure: Callable[..., Json], *arguments: object) -> Json:
    """What ``measure`` gives, or its error in its place."""
    try:
        return measure(*arguments)
    except (RuntimeError, GlyphError) as error:  # torch's out of memory is one
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
