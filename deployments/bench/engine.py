"""``glyph bench engine``: the language model's engine at a shape, with random weights, beside the card's own limits.

Every part is measured by itself: where one fails, its error stands in its place and the others are measured still.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

import glyph_core.model
from deployments.bench.accuracy import accuracy_figures
from deployments.bench.baseline import hf_figures
from deployments.bench.bench_plan import BenchPlan
from deployments.bench.engine_cases import EngineCases, attempt
from deployments.bench.engine_table import add_ratios
from deployments.bench.limits import copy_bytes_s, matmul_flops_s, product_figures, synchronize
from deployments.bench.vision import vision_accuracy, vision_figures
from glyph_core.config import CreditConfig, EngineConfig
from glyph_core.engine.memory_plan import plan_memory
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.layer_ops import pick_ops
from glyph_core.model.shape import ModelShape
from glyph_core.model.text_style import GLM
from glyph_core.model.weights import RandomWeights

CONFIGS = Path(glyph_core.model.__file__).parent / "configs"
PACKAGES = ("torch", "triton", "transformers", "flash-attn", "glyph-serve")
Json = dict[str, Any]


def engine_report(plan: BenchPlan, show: Callable[[str], None], keep: Callable[[Json], None] | None = None) -> Json:
    """All of it. Memory is given back between the parts; ``keep`` is handed what there is after each of the longest."""
    config = json.loads((CONFIGS / f"{plan.shape}.json").read_text())
    report: Json = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "shape": plan.shape, **_machine(plan)}
    show("the card's limits")
    limits = {"copy_bytes_s": copy_bytes_s(plan.device), "matmul_flops_s": matmul_flops_s(plan.device, plan.dtype)}
    report["limits"] = limits
    show("products of few rows")
    report["products"] = attempt(_products, config, plan)
    for weights in ("auto", "fp8"):
        name = weights if weights == "fp8" else str(plan.dtype).removeprefix("torch.")
        report[name] = attempt(_weights_report, plan, config, weights, limits, show)
        if keep:
            keep(report)
    show("transformers")
    report["transformers"] = [attempt(hf_figures, config, plan, *case) for case in plan.baseline]
    add_ratios(report)
    show("accuracy")
    report["accuracy"] = attempt(_accuracy, config, plan)
    if keep:
        keep(report)
    show("the memory plan of 24 GiB")
    report["memory_plan"] = [attempt(_memory_plan, config, is_fp8) for is_fp8 in (False, True)]
    show("the vision tower")
    report["vision"] = attempt(_vision, config, plan, limits["matmul_flops_s"])
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


def _weights_report(plan: BenchPlan, config: Json, weights: str, limits: Json, show: Callable[[str], None]) -> Json:
    started_at = time.perf_counter()
    source, hf_config = RandomWeights(plan.dtype, plan.device), AutoConfig.for_model(**config)
    model = FusedTextModel(hf_config, source, pick_ops(plan.device), GLM, is_fp8=weights == "fp8")
    synchronize(plan.device)
    report: Json = {"load_s": time.perf_counter() - started_at, "weight_bytes": model.num_bytes}
    cases = EngineCases(plan, model, ModelShape.of(config).text, limits)
    report["decode"], report["shared_prefix"], report["prefill"] = [], [], []
    for case in plan.decode:
        show(f"{weights}: decode, {case.num} × {case.context}, KV {case.kv_dtype}")
        report["decode"].append(attempt(cases.decode, case))
    for num, prefix in plan.shared:
        show(f"{weights}: {num} on one prefix of {prefix}")
        report["shared_prefix"].append(attempt(cases.shared, num, prefix))
    for num_tokens, way in plan.prefill:
        show(f"{weights}: prefill of {num_tokens}, {way}")
        report["prefill"].append(attempt(cases.prefill, num_tokens, way))
    return report


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
