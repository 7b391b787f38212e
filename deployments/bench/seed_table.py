"""The seed article's table at the real shape: a document of so many text tokens, asked twice, under a memory budget.

    python -m deployments.bench.seed_table --out benchmarks/seed_table.json

Weights are random, so answers mean nothing and are as long as asked for; everything else is the pipeline in one
process, which works on a document's stages one after another: the served app overlaps them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from deployments.bench.random_checkpoint import write_random_checkpoint
from deployments.bench.report import Json, Show
from deployments.bench.seed_markdown import SEED_MS, as_markdown
from deployments.bench.texts import NUM_CHARS, made_up
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import LimitConfig, PipelineConfig, SamplingConfig, preset
from glyph_core.engine.memory_limit import plan_for
from glyph_core.errors import GlyphError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.loading import pick_device
from glyph_core.model.token_counter import LATIN_CHARS_PER_TOKEN
from glyph_core.pipeline import Pipeline
from glyph_core.types import Answer, DocumentSource, Prompt

NUM_ANSWER_TOKENS = 256
WARM_UP_TOKENS = 4_096
PARAGRAPH_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What is measured, in one process."""

    shape: str
    device: str
    dtype: str
    weights: str
    kv_dtype: str
    gpu_memory_gb: float | None
    lengths: tuple[int, ...]  # text tokens of a document, in the preset glyph-en
    other_presets: tuple[str, ...]
    other_lengths: tuple[int, ...]  # in the other presets
    raw_lengths: tuple[int, ...]  # tokens of raw text, fed to the same language model
    max_num_batched_tokens: int
    num_answer_tokens: int = NUM_ANSWER_TOKENS


def seed_report(plan: SeedPlan, show: Show, keep: Callable[[Json], None]) -> Json:
    """All of it; ``keep`` is handed what there is after each document."""
    device = pick_device(plan.device)
    report: Json = {"plan": asdict(plan), "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        report["memory"] = [_memory("a context alone", device)]
        show("loading")
        pipeline, report["memory_plan"], report["load_s"] = _load(
            plan, write_random_checkpoint(Path(folder), plan.shape)
        )
    report["memory"].append(_memory("loaded", device))
    text = _prose()
    _ask(pipeline, _document(text, WARM_UP_TOKENS, "warm up"), "glyph-en", plan, "What?")
    report["memory"].append(_memory("warm", device))
    cases = [(length, "glyph-en") for length in plan.lengths]
    cases += [(length, name) for name in plan.other_presets for length in plan.other_lengths]
    for length, name in cases:
        show(f"{length} text tokens, {name}")
        row = _attempt(lambda: _row(pipeline, text, length, name, plan))  # noqa: B023
        report["rows"].append({"text_tokens": length, "preset": name, **row})
        keep(report)
    report["raw_text"] = []
    for length in plan.raw_lengths:
        show(f"{length} tokens of raw text")
        report["raw_text"].append(_attempt(lambda: _raw_text(pipeline, length, device)))  # noqa: B023
        keep(report)
    return report


def _load(plan: SeedPlan, folder: Path) -> tuple[Pipeline, str, float]:
    config = PipelineConfig.model_validate(
        {
            "model": {
                "model": str(folder), "device": plan.device, "dtype": plan.dtype, "weights": plan.weights,
                "gpu_memory_gb": plan.gpu_memory_gb,
            },
            "engine": {"kv_dtype": plan.kv_dtype, "max_num_batched_tokens": plan.max_num_batched_tokens},
            "limits": LimitConfig(max_pages=100_000),
        }
    )  # fmt: skip
    checkpoint, device = resolve_checkpoint(str(folder)), pick_device(plan.device)
    planned = plan_for(config.model, config.engine, config.credits, checkpoint, device)
    started_at = time.perf_counter()
    pipeline = Pipeline(config)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return pipeline, str(planned), time.perf_counter() - started_at


def _row(pipeline: Pipeline, text: str, length: int, name: str, plan: SeedPlan) -> Json:
    """A document's first question and its second."""
    device = pick_device(plan.device)
    document = _document(text, length, f"{name} {length}")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    first = _ask(pipeline, document, name, plan, "What is it about?")
    second = _ask(pipeline, document, name, plan, "Who is named in it, and where?")
    memory = _memory("", device)
    of_first, of_second = first.timings, second.timings
    return {
        "pages": first.num_pages,
        "visual_tokens": first.usage.num_visual_tokens, "compression": first.usage.compression_ratio,
        "render_ms": 1e3 * of_first.render_s, "encode_ms": 1e3 * of_first.encode_s,
        "prefill_ms": 1e3 * of_first.prefill_s, "ttft_ms": 1e3 * of_first.ttft_s,
        "tokens_s": 1 / of_first.tpot_s, "answer_s": of_first.e2e_s,
        "second_ttft_ms": 1e3 * of_second.ttft_s, "second_tokens_s": 1 / of_second.tpot_s,
        "second_answer_s": of_second.e2e_s, "second_cached_tokens": second.usage.num_cached_tokens,
        **{key: memory[key] for key in ("peak_allocated", "peak_reserved", "used") if key in memory},
    }  # fmt: skip


def _ask(pipeline: Pipeline, document: DocumentSource, name: str, plan: SeedPlan, question: str) -> Answer:
    sampling = SamplingConfig(max_tokens=plan.num_answer_tokens, ignore_eos=True)
    request = AnswerRequest.about([document], question, sampling=sampling, render=preset(name))
    [answer] = pipeline.run([request])
    return answer


def _prose() -> str:
    """Made-up English in paragraphs so short that a page at 72 dpi holds what it holds of the Glyph paper's texts: 3.4
    text tokens to a visual one. The same on every machine."""
    sentences = made_up("english", NUM_CHARS["english"]).replace("\n", " ").split(". ")
    starts = range(0, len(sentences), PARAGRAPH_SENTENCES)
    return "".join(". ".join(sentences[start : start + PARAGRAPH_SENTENCES]) + ".\n" for start in starts)


def _document(text: str, length: int, name: str) -> DocumentSource:
    """Of ``length`` text tokens, and unlike any other: nothing of it is cached."""
    chars = int(length * LATIN_CHARS_PER_TOKEN)
    return DocumentSource(name, f"{name}\n{text}"[:chars].encode())


def _raw_text(pipeline: Pipeline, length: int, device: torch.device) -> Json:
    """The language model fed the text's tokens: time to the first one, and what their keys and values take."""
    engine = pipeline.engine
    length = min(length, engine.max_model_len - 1)
    ids = tuple((index * 7 + length) % 250 for index in range(length))
    started_at = time.perf_counter()
    engine.add("raw text", Prompt(token_ids=ids, pages=()), SamplingConfig(max_tokens=1, ignore_eos=True))
    while engine.has_work:
        engine.step()
    ttft_s = time.perf_counter() - started_at
    memory = _memory("", device)
    return {"tokens": length, "ttft_ms": 1e3 * ttft_s, **{key: memory[key] for key in memory if "peak" in key}}


def _memory(phase: str, device: torch.device) -> Json:
    """Bytes: of the whole card that are not free, and of PyTorch."""
    if device.type != "cuda":
        return {"phase": phase}
    torch.cuda.synchronize(device)
    torch.zeros(1, device=device)
    free, total = torch.cuda.mem_get_info(device)
    return {
        "phase": phase, "used": total - free,
        "allocated": torch.cuda.memory_allocated(device), "reserved": torch.cuda.memory_reserved(device),
        "peak_allocated": torch.cuda.max_memory_allocated(device),
        "peak_reserved": torch.cuda.max_memory_reserved(device),
    }  # fmt: skip


def _attempt(measure: Callable[[], Json]) -> Json:
    try:
        return measure()
    except (RuntimeError, GlyphError) as error:  # torch's out of memory is one
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="seed_table", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/seed_table.json"))
    parser.add_argument("--shape", default="glyph_9b")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--weights", default="fp8")
    parser.add_argument("--kv-dtype", default="auto")
    parser.add_argument("--gpu-memory-gb", type=float, default=24.0)
    parser.add_argument("--lengths", type=_numbers, default=tuple(SEED_MS))
    parser.add_argument("--other-presets", type=lambda names: tuple(names.split(",")), default=())
    parser.add_argument("--other-lengths", type=_numbers, default=(16_384,))
    parser.add_argument("--raw-lengths", type=_numbers, default=())
    parser.add_argument("--max-num-batched-tokens", type=int, default=2048)
    parser.add_argument("--num-answer-tokens", type=int, default=NUM_ANSWER_TOKENS)
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    out.parent.mkdir(parents=True, exist_ok=True)

    def keep(report: Json) -> None:
        out.write_text(json.dumps(report, indent=1) + "\n")

    report = seed_report(SeedPlan(**given), _show, keep)
    keep(report)
    out.with_suffix(".md").write_text(as_markdown(report))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


def _show(phase: str) -> None:
    sys.stderr.write(f"{phase}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
