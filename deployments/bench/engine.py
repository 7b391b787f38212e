"""``glyph bench engine``: the language model's engine at a shape, with random weights, beside the card's own limits.

Every part is measured by itself: where one fails, its error stands in its place and the others are measured still.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

import glyph_core.model
from deployments.bench.accuracy import accuracy_figures
from deployments.bench.baseline import hf_figures
from deployments.bench.limits import copy_bytes_s, matmul_flops_s, product_figures, synchronize
from deployments.bench.synthetic import decode_step, num_blocks_for, prefill, synthetic_sequences
from deployments.bench.vision import vision_accuracy, vision_figures
from glyph_core.config import CreditConfig, EngineConfig
from glyph_core.engine.memory_plan import plan_memory
from glyph_core.engine.model_runner import ModelRunner
from glyph_core.errors import GlyphError
from glyph_core.model.glm4v_fused import FusedGlm4vTextModel
from glyph_core.model.layer_ops import pick_ops
from glyph_core.model.shape import ModelShape, TextShape
from glyph_core.model.weights import RandomWeights

CONFIGS = Path(glyph_core.model.__file__).parent / "configs"
PACKAGES = ("torch", "triton", "transformers", "flash-attn", "glyph-serve")
ROOM = 64  # tokens that a decoding case has room for
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What is measured."""

    shape: str  # a file of CONFIGS, without its ending
    dtype: torch.dtype
    device: torch.device
    decode: tuple[tuple[int, int], ...]  # (sequences, context)
    shared: tuple[tuple[int, int], ...]  # (sequences, shared prefix)
    prefill: tuple[int, ...]  # tokens of a prompt
    chunk_tokens: int
    steps: int
    baseline: tuple[tuple[int, int], ...]  # (sequences, context) of transformers' generate
    encode_pages: tuple[int, ...]  # at once


def bench_plan(device: torch.device, *, is_tiny: bool) -> BenchPlan:
    """The 9B's, or one that ends within a minute on a CPU."""
    if is_tiny:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        return BenchPlan(
            "glyph_tiny", dtype, device, ((1, 256), (4, 128)), ((4, 256),), (256,), 128, 3, ((1, 64),), (1, 2)
        )  # fmt: skip
    return BenchPlan(
        "glyph_9b", torch.bfloat16, device,
        decode=((1, 1024), (1, 8192), (1, 79_400), (8, 8192), (32, 1024), (32, 8192)),
        shared=((8, 80_000), (32, 80_000)),
        prefill=(8192, 32_768, 79_400),
        chunk_tokens=8192,
        steps=24,
        baseline=((1, 8192), (32, 1024)),
        encode_pages=(1, 4, 8, 16),
    )  # fmt: skip


def engine_report(plan: BenchPlan, show: Callable[[str], None], keep: Callable[[Json], None] | None = None) -> Json:
    """All of it. Memory is given back between the parts; ``keep`` is handed what there is after each of the longest."""
    config = json.loads((CONFIGS / f"{plan.shape}.json").read_text())
    report: Json = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "shape": plan.shape, **_machine(plan)}
    show("the card's limits")
    limits = {"copy_bytes_s": copy_bytes_s(plan.device), "matmul_flops_s": matmul_flops_s(plan.device, plan.dtype)}
    report["limits"] = limits
    show("products of few rows")
    report["products"] = _attempt(_products, config, plan)
    for weights in ("auto", "fp8"):
        name = weights if weights == "fp8" else str(plan.dtype).removeprefix("torch.")
        report[name] = _attempt(_weights_report, plan, config, weights, limits, show)
        if keep:
            keep(report)
    show("accuracy")
    report["accuracy"] = _attempt(_accuracy, config, plan)
    show("the memory plan of 24 GiB")
    report["memory_plan"] = [_attempt(_memory_plan, config, is_fp8) for is_fp8 in (False, True)]
    show("transformers")
    report["transformers"] = [_attempt(hf_figures, config, plan, *case) for case in plan.baseline]
    show("the vision tower")
    report["vision"] = _attempt(_vision, config, plan, limits["matmul_flops_s"])
    return report


def _machine(plan: BenchPlan) -> Json:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    is_cuda = plan.device.type == "cuda"
    return {"device": torch.cuda.get_device_name(plan.device) if is_cuda else "cpu", "versions": versions}


def _attempt(measure: Callable[..., Json], *arguments: object) -> Json:
    try:
        return measure(*arguments)
    except (RuntimeError, GlyphError) as error:  # torch's out of memory is one
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _weights_report(plan: BenchPlan, config: Json, weights: str, limits: Json, show: Callable[[str], None]) -> Json:
    shape = ModelShape.of(config).text
    started_at = time.perf_counter()
    source = RandomWeights(plan.dtype, plan.device)
    hf_config = AutoConfig.for_model(**config)
    model = FusedGlm4vTextModel(hf_config, source, pick_ops(plan.device), is_fp8=weights == "fp8")
    synchronize(plan.device)
    report: Json = {"load_s": time.perf_counter() - started_at, "weight_bytes": model.num_bytes}
    step_bytes = model.num_bytes - shape.vocab_size * shape.hidden_size * plan.dtype.itemsize  # one embedding is read
    report["decode"] = []
    for num, context in plan.decode:
        show(f"{weights}: decode, {num} × {context}")
        report["decode"].append(_attempt(_decode, plan, model, shape, step_bytes, limits, num, context))
    report["shared_prefix"] = []
    for num, context in plan.shared:
        show(f"{weights}: {num} on one prefix of {context}")
        report["shared_prefix"].append(_attempt(_shared, plan, model, num, context))
    report["prefill"] = []
    for num_tokens in plan.prefill:
        for way in ("auto", "varlen") if plan.device.type == "cuda" and num_tokens < 50_000 else ("auto",):
            show(f"{weights}: prefill of {num_tokens}, {way}")
            measured = _attempt(_prefill, plan, model, shape, limits, num_tokens, way)
            report["prefill"].append({"num_tokens": num_tokens, "way": way, **measured})
    return report


def _runner(
    plan: BenchPlan, model: FusedGlm4vTextModel, num: int, context: int, shared: int = 0, **fields: object
) -> ModelRunner:
    blocks = num_blocks_for(num, context, 16, ROOM, shared)
    config = EngineConfig.model_validate(
        {"num_blocks": blocks, "max_num_seqs": num, "max_num_batched_tokens": max(num, plan.chunk_tokens), **fields}
    )
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)
    return ModelRunner(model, config, context + ROOM)


def _step_s(plan: BenchPlan, runner: ModelRunner, num: int, context: int, shared: int = 0) -> float:
    """The median of ``plan.steps`` steps, host and device, after three."""
    sequences = synthetic_sequences(num, context, 16, ROOM, shared)
    times = []
    for _ in range(plan.steps + 3):
        started_at = time.perf_counter()
        decode_step(runner, sequences)
        times.append(time.perf_counter() - started_at)
    return sorted(times[3:])[plan.steps // 2]


def _decode(
    plan: BenchPlan, model: FusedGlm4vTextModel, shape: TextShape, step_bytes: int, limits: Json, num: int, context: int
) -> Json:
    step_s = _step_s(plan, _runner(plan, model, num, context), num, context)
    ideal_s = (step_bytes + num * context * shape.kv_bytes(plan.dtype.itemsize)) / limits["copy_bytes_s"]
    return {
        "num_sequences": num, "context": context, "step_ms": 1e3 * step_s, "tokens_s": num / step_s,
        "of_bandwidth": ideal_s / step_s, "peak_bytes": _peak(plan),
    }  # fmt: skip


def _shared(plan: BenchPlan, model: FusedGlm4vTextModel, num: int, context: int) -> Json:
    step_s = {
        is_on: _step_s(plan, _runner(plan, model, num, context, context, shared_prefix=is_on), num, context, context)
        for is_on in (True, False)
    }
    return {
        "num_sequences": num, "prefix": context, "shared_ms": 1e3 * step_s[True], "unshared_ms": 1e3 * step_s[False],
        "speedup": step_s[False] / step_s[True],
    }  # fmt: skip


def _prefill(
    plan: BenchPlan, model: FusedGlm4vTextModel, shape: TextShape, limits: Json, num_tokens: int, way: str
) -> Json:
    times = []
    for _ in range(2):  # the first compiles
        runner = _runner(plan, model, 1, num_tokens, prefill=way)
        sequence = synthetic_sequences(1, num_tokens, 16, ROOM)[0]
        started_at = time.perf_counter()
        prefill(runner, sequence, plan.chunk_tokens)
        times.append(time.perf_counter() - started_at)
        del runner
    attention = 2 * shape.num_layers * shape.num_heads * shape.head_dim * num_tokens**2  # causal: half of 4 × n²
    flops = 2 * shape.num_linear_weights * num_tokens + attention
    return {
        "prefill_s": times[1], "tokens_s": num_tokens / times[1], "flops": flops,
        "of_matmul": flops / times[1] / limits["matmul_flops_s"], "peak_bytes": _peak(plan),
    }  # fmt: skip


def _products(config: Json, plan: BenchPlan) -> Json:
    text = ModelShape.of(config).text
    size, inner = text.hidden_size, text.intermediate_size
    shapes = [(text.qkv_size, size), (size, size), (2 * inner, size), (size, inner)]
    return {"ways": product_figures(plan.device, plan.dtype, shapes)}


def _accuracy(config: Json, plan: BenchPlan) -> Json:
    return {"ways": accuracy_figures(config, plan)}


def _vision(config: Json, plan: BenchPlan, matmul_flops_s: float) -> Json:
    return {
        "speed": vision_figures(config, plan.dtype, plan.device, matmul_flops_s, plan.encode_pages),
        "accuracy": vision_accuracy(config, plan.dtype, plan.device),
    }


def _memory_plan(config: Json, is_fp8: bool) -> Json:
    plan = plan_memory(ModelShape.of(config), EngineConfig(), CreditConfig(), budget_gb=24, is_fp8=is_fp8)
    return {
        "is_fp8": is_fp8, "decoder_bytes": plan.decoder.total, "encoder_bytes": plan.encoder.total,
        "kv_tokens": plan.num_kv_tokens, "documents": plan.num_documents,
    }  # fmt: skip


def _peak(plan: BenchPlan) -> int | None:
    return torch.cuda.max_memory_allocated(plan.device) if plan.device.type == "cuda" else None


def as_markdown(report: Json) -> str:
    """The report as one page of tables."""
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    lines = [
        f"# Engine, {report['shape']}, random weights",
        "",
        f"{report['date']} · {report['device']} · {versions}",
        "",
    ]
    lines += _table("The card's limits", [report["limits"]])
    lines += _table("Products of few rows", report["products"].get("ways", [report["products"]]))
    for name, part in report.items():
        if isinstance(part, dict) and "decode" in part:
            for title in ("decode", "shared_prefix", "prefill"):
                lines += _table(f"{name}: {title.replace('_', ' ')}", part[title])
        elif name in ("bfloat16", "float32", "fp8"):
            lines += _table(name, [part])
    lines += _table("Accuracy, against float32", report["accuracy"].get("ways", [report["accuracy"]]))
    lines += _table("Memory plan of 24 GiB", report["memory_plan"])
    lines += _table("transformers' generate", report["transformers"])
    lines += _table("The vision tower", report["vision"].get("speed", [report["vision"]]))
    lines += _table("The vision tower, against transformers' in float32", report["vision"].get("accuracy", []))
    return "\n".join(lines) + "\n"


def _table(title: str, rows: list[Json]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return [f"## {title}", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|", *body, ""]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    return "-" if value is None else f"{value}"
