"""What goes out: Python's names become JSON's here and nowhere else.

JSON speaks OpenAI's ``*_tokens`` and milliseconds; Python speaks ``num_*`` and seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.protocol import StageReport
from glyph_core.errors import GlyphError, NotReadyError
from glyph_core.types import Answer, Progress, TextDelta, Timings, Usage

Json = dict[str, Any]


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
        "warnings": list(answer.warnings),
        "timings": timings_json(answer.timings),
    }


def progress_json(progress: Progress) -> Json:
    return {
        "pages": progress.num_pages,
        "pages_rendered": progress.num_pages_rendered,
        "pages_encoded": progress.num_pages_encoded,
        "completion_tokens": progress.num_tokens,
    }


def error_json(error: GlyphError) -> Json:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "code": error.code, "param": error.param}}


def model_json(name: str, created: int, max_model_len: int) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "glyph-serve",
        "max_model_len": max_model_len,
    }


def health_json(model: str, reports: Sequence[StageReport], error: NotReadyError | None) -> Json:
    return {
        "status": "starting" if error else "ready",
        "message": error.message if error else None,
        "model": model,
        "stages": {report.stage: _stage_json(report) for report in reports},
        "versions": {name: version for report in reports for name, version in report.versions.items()},
        "fallbacks": [f"{report.stage}: {fallback}" for report in reports for fallback in report.fallbacks],
    }


def _stage_json(report: StageReport) -> Json:
    stage: Json = {"device": report.device, "dtype": report.dtype}
    return stage | {"attention": report.attention} if report.attention else stage


def completion_json(request_id: str, model: str, answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None}
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
        return {**self._choice({}, answer.finish_reason), "glyph": glyph_json(answer)}

    def usage(self, usage: Usage) -> Json:
        return {**self._head, "choices": [], "usage": usage_json(usage)}

    def _choice(self, delta: Mapping[str, str], finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice]}
