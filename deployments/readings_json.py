"""How an answer was read, as it leaves: its windows and its second look."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from glyph_core.readings import PagesOfDocuments, SecondLook, WindowsRead
from glyph_core.types import Answer

Json = dict[str, Any]


def readings_json(answer: Answer) -> Json:
    """``windows`` and ``second_look``, where there were any."""
    told: Json = {}
    if answer.windows is not None:
        told["windows"] = _windows_json(answer.windows)
    if answer.second_look is not None:
        told["second_look"] = _second_look_json(answer.second_look)
    return told


def _windows_json(windows: WindowsRead) -> Json:
    return {
        "read": windows.num_windows,
        "candidates": [{**asdict(found), "pages": pages_json(found.pages)} for found in windows.candidates],
        "combined_pages": None if windows.combined is None else pages_json(windows.combined),
    }


def _second_look_json(look: SecondLook) -> Json:
    return {
        "reasons": list(look.reasons),
        "pages": pages_json(look.pages),
        "dpi": look.dpi,
        "visual_tokens": look.num_visual_tokens,
        "before": _look_json(asdict(look.before)),
        "after": _look_json(asdict(look.after)),
        "is_better": look.is_better,
    }


def _look_json(look: Json) -> Json:
    return {"text": look["text"], "confidence": look["confidence"], "unsupported_values": look["num_unsupported"]}


def pages_json(pages: PagesOfDocuments) -> list[Json]:
    """Page numbers count from 0, as everywhere in this API."""
    return [{"document": number, "page_indices": list(shown)} for number, shown in enumerate(pages) if shown]
