"""The stages of one long document, each alone, one after another in one process: what there is to hide."""

from __future__ import annotations

import time

import torch

from deployments.bench.apart import Json, Show, report_to_parent
from deployments.bench.limits import synchronize
from deployments.bench.overlap_plan import CHARS_PER_TOKEN, PRESET, OverlapPlan, engine_fields
from deployments.bench.texts import made_up
from glyph_core.answering.prompts import build_prompt
from glyph_core.config import PRESETS, EngineConfig, ModelConfig, PipelineConfig, SamplingConfig
from glyph_core.model.loading import pick_device
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource, Message


def measure(settings: Json, show: Show) -> Json:
    plan = OverlapPlan(**settings["plan"])
    device = "auto" if plan.has_gpu else "cpu"
    config = PipelineConfig(
        model=ModelConfig(model=settings["model"], device=device),
        render=PRESETS[PRESET],
        engine=EngineConfig.model_validate({**engine_fields(plan), "prefix_cache": False}),
        feature_cache_gb=0,
    )
    show("the stages alone: loading")
    started_at = time.perf_counter()
    pipeline = Pipeline(config)
    load_s = time.perf_counter() - started_at
    report: Json = {"load_s": round(load_s, 2)}
    for name, num_tokens in (("short", plan.short_tokens), ("long", plan.long_tokens)):
        show(f"the stages alone: {num_tokens} text tokens")
        _stages(pipeline, num_tokens, pick_device(device), seed=1)  # compiles kernels
        report[name] = _stages(pipeline, num_tokens, pick_device(device), seed=0)
    return report


def _stages(pipeline: Pipeline, num_tokens: int, device: torch.device, seed: int) -> Json:
    source = DocumentSource("book.txt", made_up("english", num_tokens * CHARS_PER_TOKEN, seed).encode())
    renderer = PageRenderer(PRESETS[PRESET])
    started_at = time.perf_counter()
    plan = renderer.plan(source)
    pages = renderer.render(source, 0, plan.num_pages)
    render_s = time.perf_counter() - started_at

    batch = pipeline.config.credits.max_encode_batch
    pipeline.encoder.encode(pages[:batch])
    synchronize(device)
    started_at = time.perf_counter()
    features = [
        page for start in range(0, len(pages), batch) for page in pipeline.encoder.encode(pages[start : start + batch])
    ]
    encode_s = time.perf_counter() - started_at

    message = Message("user", "What is it about?", (0,))
    prompt = build_prompt([message], [plan], pipeline.reader).prompt
    pipeline.engine.add("alone", prompt, SamplingConfig(max_tokens=1))
    for number, page in enumerate(features):
        pipeline.engine.feed("alone", number, page.features)
    synchronize(device)
    started_at = time.perf_counter()
    while not pipeline.engine.step():
        pass
    prefill_s = time.perf_counter() - started_at
    return {
        "pages": plan.num_pages,
        "visual_tokens": prompt.num_visual_tokens,
        "prompt_tokens": len(prompt.token_ids),
        "feature_bytes": sum(page.features.nbytes for page in features),
        "render_s": round(render_s, 4),
        "encode_s": round(encode_s, 4),
        "prefill_s": round(prefill_s, 4),
        "gpu_stages_s": round(encode_s + prefill_s, 4),
    }


if __name__ == "__main__":
    report_to_parent(measure)
