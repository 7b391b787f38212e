"""The live picture of the service, as /status gives it and ``glyph status`` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from deployments.openai_answers import Json, memory_json
from deployments.protocol import DecoderStats, EncoderStats, StageReport
from deployments.same_gpu import placement_warnings

if TYPE_CHECKING:
    from deployments.entrance import Entrance
    from deployments.recent import LastMinute

T = TypeVar("T")  # a dataclass of counts, or of dataclasses of counts
STAGES = ("gateway", "decoder", "encoder", "renderer")


def status_json(
    model: str,
    not_ready: str | None,
    entrance: Entrance,
    recent: LastMinute,
    reports: Sequence[StageReport],
    replicas: Mapping[str, Mapping[str, int]],
    stats: Sequence[tuple[DecoderStats, EncoderStats]],
) -> Json:
    """``stats`` are those of each pair; several are summed."""
    decoder, encoder = summed([pair[0] for pair in stats]), summed([pair[1] for pair in stats])
    devices = {report.stage: report.device for report in reports}
    memory = {report.stage: report.memory for report in reports if report.memory}
    engine = decoder.engine
    return {
        "status": "starting" if not_ready else "ready",
        "model": model,
        "uptime_s": round(recent.uptime_s, 1),
        "stages": {
            stage: {
                "device": devices.get(stage),
                "replicas": dict(replicas.get(stage.capitalize(), {})),
                "memory": memory_json(memory[stage]) if stage in memory else None,
            }
            for stage in STAGES
        },
        "requests": {"open": entrance.num_open, "max_open": entrance.max_open},
        "last_minute": recent.as_json(),
        "warnings": [
            *placement_warnings(reports),
            *(f"{stage}: {fallback}" for stage, use in memory.items() for fallback in use.fallbacks),
        ],
        "decoder": {
            "requests": decoder.num_requests,
            "sequences_running": engine.num_running,
            "sequences_waiting": engine.num_waiting,
            "kv_blocks_used": engine.num_blocks - engine.num_free_blocks,
            "kv_blocks_cached": engine.num_cached_blocks,
            "kv_blocks_total": engine.num_blocks,
            "kv_tokens_wanted": decoder.num_kv_tokens_wanted,
            "kv_tokens_wanted_max": decoder.max_kv_tokens_wanted,
            "preemptions": engine.num_preemptions,
            "pins": engine.num_pins,
            "kv_blocks_pinned": engine.num_pinned_blocks,
            "kv_blocks_pinned_max": engine.max_pinned_blocks,
        },
        "encoder": {
            "ranges_open": encoder.num_ranges_open,
            "pages_waiting": encoder.num_pages_waiting,
            "pages_encoded": encoder.num_pages,
            "pages_kept": encoder.num_pages_kept,
            "mean_batch_pages": round(encoder.num_pages / encoder.num_batches, 2) if encoder.num_batches else None,
        },
    }


def summed(stats: Sequence[T]) -> T:
    """Field by field; None, which stands for any number, stays None."""
    first: Any = stats[0]
    sums: T = replace(
        first, **{field.name: _sum([getattr(each, field.name) for each in stats]) for field in fields(first)}
    )
    return sums


def _sum(values: Sequence[Any]) -> Any:
    if is_dataclass(values[0]):
        return summed(values)
    return None if None in values else sum(values)
