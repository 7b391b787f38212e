"""What an engine says of itself. Without torch: the gateway, which shows it, has none."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2


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


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a stage's process takes of its share of the memory plan, measured in its widest steps."""

    share: int  # bytes that PyTorch may take, as is the next
    peak: int
    num_planned_blocks: int = 0  # of KV memory; of the decoder, as are the next two
    num_blocks: int = 0  # that it runs with
    block_bytes: int = 0

    @property
    def unused(self) -> int:
        return self.share - self.peak

    @property
    def num_given_up(self) -> int:
        return self.num_planned_blocks - self.num_blocks

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What the process does without, for /healthz."""
        if not self.num_given_up:
            return ()
        given_up = self.num_given_up * self.block_bytes / MIB
        return (
            f"{self.num_given_up:,} of {self.num_planned_blocks:,} planned KV blocks, {given_up:,.0f} MiB, were given "
            "up, for its widest step takes more memory than was planned: documents leave the prefix cache sooner",
        )

    def __str__(self) -> str:
        blocks = f", with {self.num_blocks} of {self.num_planned_blocks} KV blocks" if self.num_planned_blocks else ""
        return (
            f"widest steps run: {self.peak / MIB:,.0f} of {self.share / MIB:,.0f} MiB taken, {self.unused / MIB:,.0f} "
            f"left{blocks}"
        )
