"""A streamed answer on its way in: server-sent events become Progress, TextDelta and, at the end, the whole result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from deployments.client import error_of
from deployments.openai_answers import Json
from glyph_core.errors import StageError
from glyph_core.types import Progress, TextDelta


@dataclass(frozen=True, slots=True)
class AskResult:
    """What ``--json`` prints; ``usage`` and ``glyph`` are the HTTP API's."""

    answer: str
    reasoning: str
    finish_reason: str
    model: str
    usage: Json
    glyph: Json

    def as_json(self) -> Json:
        return asdict(self)

    def as_lines(self) -> dict[str, str]:
        counts, ms = self.usage["prompt_tokens_details"], self.glyph["timings"]
        about = "about " if counts["estimated"] else ""
        means = "that the answer is right" if self.glyph["confidence_is_calibrated"] else "of its tokens, on average"
        return {
            "confidence": f"{self.glyph['confidence']:.4f}, the probability {means}",
            "pages": f"{self.glyph['pages']} as {counts['visual_tokens']:,} visual tokens for {about}"
            f"{counts['text_tokens_equivalent']:,} of text, {self.glyph['compression_ratio']:.2f}× compression",
            "timings": f"render {ms['render_ms']:.0f} ms, encode {ms['encode_ms']:.0f} ms, prefill "
            f"{ms['prefill_ms']:.0f} ms; first token after {ms['ttft_ms']:.0f} ms, all after {ms['e2e_ms']:.0f} ms",
        }


AskEvent = Progress | TextDelta | AskResult


class AnswerStream:
    """Give it a stream's lines one by one, then ask it for the result."""

    def __init__(self) -> None:
        self._texts: dict[bool, list[str]] = {True: [], False: []}  # by is_reasoning
        self._told: dict[str, Any] = {}

    def events(self, line: str) -> Iterator[Progress | TextDelta]:
        """What the line says. Raises the endpoint's own error where it is one."""
        if not line.startswith("data: ") or line == "data: [DONE]":
            return
        chunk = json.loads(line.removeprefix("data: "))
        if "error" in chunk:
            raise error_of(chunk["error"])
        for event in self._events_of(chunk):
            if isinstance(event, TextDelta):
                self._texts[event.is_reasoning].append(event.text)
            yield event

    def result(self) -> AskResult:
        """Made of what the chunks said. Raises StageError where the stream broke off."""
        if missing := {"finish_reason", "model", "usage", "glyph"} - self._told.keys():
            raise StageError(f"the endpoint broke off: its stream ended without {', '.join(sorted(missing))}")
        # Where a value was repaired the text comes whole, at the end.
        answer = self._told["glyph"].get("text", "".join(self._texts[False]))
        return AskResult(answer=answer, reasoning="".join(self._texts[True]), **self._told)

    def _events_of(self, chunk: Json) -> Iterator[Progress | TextDelta]:
        self._told["model"] = chunk["model"]
        if chunk.get("usage"):
            self._told["usage"] = chunk["usage"]
        match chunk.get("glyph"):
            case {"progress": dict(progress)}:
                yield Progress(
                    num_pages=progress["pages"],
                    num_pages_rendered=progress["pages_rendered"],
                    num_pages_encoded=progress["pages_encoded"],
                    num_tokens=progress["completion_tokens"],
                    num_windows=progress["windows"],
                    num_windows_read=progress["windows_read"],
                    reading=progress["reading"],
                )
            case dict(glyph):
                self._told["glyph"] = glyph
        for choice in chunk["choices"]:
            if choice["finish_reason"]:
                self._told["finish_reason"] = choice["finish_reason"]
            for name, is_reasoning in (("reasoning_content", True), ("content", False)):
                if text := choice["delta"].get(name):
                    yield TextDelta(text, is_reasoning)
