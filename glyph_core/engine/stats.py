"""What an engine says of itself. Without torch: the gateway, which shows it, has none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineStats:
    num_running: int
    num_waiting: int
    num_blocks: int
    num_free_blocks: int  # referenced by no sequence; their contents may still be cached
    num_cached_blocks: int  # whose contents are known, referenced or free
    num_preemptions: int  # since the engine was made
    num_host_blocks: int = 0  # whose contents are kept in host memory
    num_restored_blocks: int = 0  # copied back from there, since the engine was made
    num_pins: int = 0
    num_pinned_blocks: int = 0  # whose contents are kept for pins
    max_pinned_blocks: int = 0  # that pins may keep
    num_pinned_evictions: int = 0  # of blocks that gave way to a request that would not have fit, since it was made
