"""What goes out: Python's names become JSON's here and nowhere else.

JSON speaks OpenAI's ``*_tokens`` and milliseconds; Python speaks ``num_*`` and seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from deployments.protocol import StageReport
from deployments.readings_json import readings_json
from deployments.same_gpu import placement_warnings
from glyph_core.answering.task_templates import TaskTemplate
from glyph_core.citations import Citation, Grounding, Region
from glyph_core.config import LimitConfig, RenderConfig
from glyph_core.engine.stats import MIB, MemoryUse
from glyph_core.errors import GlyphError, NotReadyError
from glyph_core.types import Answer, Progress, TextDelta, Timings, Usage

Json = dict[str, Any]
TOLD_LIMITS = {"max_document_bytes", "max_request_bytes", "max_pages"}
FINDINGS = ("supported", "repaired", "unsupported")


def usage_json(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.num_prompt_tokens,
        "completion_tokens": usage.num_completion_tokens,
        "total_tokens": usage.num_prompt_tokens + usage.num_completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.num_cached_tokens,
            "visual_tokens": usage.num_visual_tokens,
            "text_tokens_equivalent": usage.num_text_tokens,
            "estimated": usage.text_tokens_estimated,
        },
    }


def timings_json(timings: Timings) -> Json:
    spans = ("render", "encode", "prefill", "ttft", "tpot", "e2e")
    in_ms = {f"{span}_ms": round(1000 * getattr(timings, f"{span}_s"), 3) for span in spans}
    return {**in_ms, "overlap": round(timings.overlap, 3)}


def glyph_json(answer: Answer) -> Json:
    """What we tell beyond OpenAI's answer."""
    return {
        "pages": answer.num_pages,
        "compression_ratio": round(answer.usage.compression_ratio, 3),
        "confidence": answer.confidence,
        "confidence_is_calibrated": answer.confidence_is_calibrated,
        "citations": [citation_json(citation) for citation in answer.citations],
        "grounding": grounding_json(answer.grounding) if answer.grounding else None,
        "warnings": list(answer.warnings),
        "timings": timings_json(answer.timings),
        **readings_json(answer),
    } | ({"text": answer.text, "written": answer.written} if answer.written is not None else {})


def region_json(region: Region) -> Json:
    return {
        "page_index": region.page_index,
        "source_page": region.source_page,
        "box": list(region.box),
        "page_size": list(region.page_size),
    }


def citation_json(citation: Citation) -> Json:
    """Page numbers count from 0, as everywhere in this API; boxes are [left, top, right, bottom] px of the page."""
    regions = [region_json(region) for region in citation.regions]
    return {
        "document": citation.document,
        "filename": citation.name,
        "page_index": citation.regions[0].page_index if regions else None,
        "source_page": citation.regions[0].source_page if regions else None,
        "regions": regions,
        "text": citation.text,
        "offset": citation.offset,
        "length": citation.length,
        "answer_start": citation.answer_start,
        "answer_stop": citation.answer_stop,
        "similarity": round(citation.similarity, 4),
        "occurrences": citation.num_occurrences,
        "before": citation.before,
        "after": citation.after,
    }


def annotation_json(citation: Citation) -> Json:
    """OpenAI's form of a citation, the only one that chat completions know; the whole of it is in ``glyph``."""
    region = citation.regions[0] if citation.regions else None
    page = "" if region is None else str(1 + (region.page_index if region.source_page is None else region.source_page))
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": citation.answer_start,
            "end_index": citation.answer_stop,
            "title": f"{citation.name}, page {page}" if page else citation.name,
            "url": quote(citation.name) + (f"#page={page}" if page else ""),
        },
    }


def grounding_json(grounding: Grounding) -> Json:
    return {
        name: [{**asdict(value), "source": list(value.source)} for value in getattr(grounding, name)]
        for name in FINDINGS
    }


def progress_json(progress: Progress) -> Json:
    return {
        "pages": progress.num_pages,
        "pages_rendered": progress.num_pages_rendered,
        "pages_encoded": progress.num_pages_encoded,
        "completion_tokens": progress.num_tokens,
        "windows": progress.num_windows,
        "windows_read": progress.num_windows_read,
        "reading": progress.reading,
    }


def error_json(error: GlyphError) -> Json:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "code": error.code, "param": error.param}}


def model_json(
    name: str, about: str | None, created: int, max_model_len: int, limits: LimitConfig, render: RenderConfig
) -> Json:
    """OpenAI's model object, and what a client wants to know before it sends anything."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "glyph-serve",
        "about": about,
        "max_model_len": max_model_len,
        "limits": limits.model_dump(include=TOLD_LIMITS),
        "render": render.model_dump(),
    }


def template_json(template: TaskTemplate) -> Json:
    return {"id": template.name, "object": "template", **template.model_dump(exclude={"name"})}


def health_json(model: str, reports: Sequence[StageReport], error: NotReadyError | None) -> Json:
    return {
        "status": "starting" if error else "ready",
        "message": error.message if error else None,
        "model": model,
        "stages": {report.stage: _stage_json(report) for report in reports},
        "versions": {name: version for report in reports for name, version in report.versions.items()},
        "fallbacks": [f"{report.stage}: {fallback}" for report in reports for fallback in report.fallbacks],
        "warnings": placement_warnings(reports),
    }


def _stage_json(report: StageReport) -> Json:
    stage: Json = {"device": report.device, "dtype": report.dtype}
    memory = memory_json(report.memory) if report.memory else None
    more = {"attention": report.attention, "gpu": report.gpu, "memory": memory}
    return stage | {name: value for name, value in more.items() if value}


def memory_json(use: MemoryUse) -> Json:
    """In MiB of the stage's share of the memory plan."""
    shown = {name: round(num_bytes / MIB) for name, num_bytes in [
        ("share_mib", use.share), ("peak_mib", use.peak), ("unused_mib", use.unused)
    ]}  # fmt: skip
    if use.num_planned_blocks:
        shown |= {"kv_blocks_planned": use.num_planned_blocks, "kv_blocks_given_up": use.num_given_up}
    return shown


def completion_json(request_id: str, model: str, answer: Answer) -> Json:
    annotations = [annotation_json(citation) for citation in answer.citations]
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": annotations}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}],
        "usage": usage_json(answer.usage),
        "glyph": glyph_json(answer),
    }


class Chunks:
    """The chunks of one streamed completion."""

    def __init__(self, request_id: str, model: str, *, include_usage: bool) -> None:
        self._head: Json = {
            "id": request_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        if include_usage:
            self._head["usage"] = None  # OpenAI's way: there in each chunk, and filled in the last

    def first(self) -> Json:
        return self._choice({"role": "assistant", "content": ""})

    def delta(self, delta: TextDelta) -> Json:
        return self._choice({"reasoning_content" if delta.is_reasoning else "content": delta.text})

    def progress(self, progress: Progress) -> Json:
        return {**self._head, "choices": [], "glyph": {"progress": progress_json(progress)}}

    def finish(self, answer: Answer) -> Json:
        """Annotations come here, and with them the whole text again, as ``glyph.text``, where it was repaired."""
        annotations = [annotation_json(citation) for citation in answer.citations]
        delta = {"annotations": annotations} if annotations else {}
        return {**self._choice(delta, answer.finish_reason), "glyph": glyph_json(answer)}

    def usage(self, usage: Usage) -> Json:
        return {**self._head, "choices": [], "usage": usage_json(usage)}

    def _choice(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice]}
