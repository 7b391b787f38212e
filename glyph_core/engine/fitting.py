"""A start that fits its share of the memory plan because it was tried, not because it was computed.

The plan's arithmetic says how many KV blocks there is room for; then the widest steps are run under the share that
PyTorch is held to. Where they run out of it, blocks are given up by what was too much, and everything is tried again.
"""

from __future__ import annotations

import gc
import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from glyph_core.engine.memory_plan import GIB, MIB, MIN_KV_TOKENS, MemoryPlan
from glyph_core.engine.stats import MemoryUse
from glyph_core.errors import ConfigError

RESERVE_BYTES = 64 * MIB  # given up beside what was too much: a step in use may fall together less well
LEAST_PART = 0.03  # of the planned blocks; twice as many each time: a step ends at the first piece that is missing
MAX_RETRIES = 4
ASKED = re.compile(r"Tried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)")
UNITS = {"bytes": 1, "KiB": 1024, "MiB": MIB, "GiB": GIB}
T = TypeVar("T")
logger = logging.getLogger(__name__)


class DeviceMemory(Protocol):
    """Of this process, as its allocator counts it."""

    def begin(self) -> None:
        """Gives back what nobody holds any more, and counts the peak anew."""
        ...

    def reserved(self) -> int:
        """Bytes taken from the device now."""
        ...

    def peak(self) -> int:
        """The most since :meth:`begin`."""
        ...


class CudaMemory:
    """PyTorch's caching allocator."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self) -> None:
        gc.collect()  # graphs and the objects around them refer to each other
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)

    def reserved(self) -> int:
        return torch.cuda.memory_reserved(self._device)

    def peak(self) -> int:
        return torch.cuda.max_memory_reserved(self._device)


def device_memory(device: torch.device) -> DeviceMemory | None:
    """None where a process is held to no share."""
    return CudaMemory(device) if device.type == "cuda" else None


@dataclass(frozen=True, slots=True)
class _RanOut:
    too_much: int  # bytes beyond the share, that were asked for at least


def fit_blocks(start: Callable[[int], T], plan: MemoryPlan, memory: DeviceMemory) -> tuple[T, MemoryUse]:
    """What ``start`` gives for a number of KV blocks, at which it does not run out of memory: the plan's, or after up
    to MAX_RETRIES times fewer. ``start`` must take all that it will ever need, and keep nothing where it fails. Raises
    ConfigError where that does not help, saying what would fit."""
    share, block_bytes = plan.decoder.allocated, plan.decoder.kv // plan.num_blocks
    fewest = min(plan.num_blocks, -(-MIN_KV_TOKENS // plan.block_size))
    num_blocks, num_left = plan.num_blocks, MAX_RETRIES
    while True:
        memory.begin()
        started = _attempt(start, num_blocks, share, memory)
        if not isinstance(started, _RanOut):
            use = MemoryUse(share, memory.peak(), plan.num_blocks, num_blocks, block_bytes)
            logger.info("%s", use)
            return started, use
        too_much = started.too_much + RESERVE_BYTES
        least_part = LEAST_PART * 2 ** (MAX_RETRIES - num_left) * plan.num_blocks
        fewer = num_blocks - max(math.ceil(too_much / block_bytes), math.ceil(least_part))
        if fewer < fewest or not num_left:
            least = plan.budget + too_much - (num_blocks - fewest) * block_bytes
            raise ConfigError(
                f"the decoder's widest step does not fit its share of gpu_memory_gb={plan.budget / GIB:g}, "
                f"{share / GIB:.2f} GiB: with {num_blocks} of {plan.num_blocks} planned KV blocks it asked for "
                f"{started.too_much / MIB:.0f} MiB more; {_what_would_fit(least, plan, max(fewer, fewest))}, or lower "
                "engine.max_num_batched_tokens"
            )
        logger.warning(
            "the widest step asked for %.0f MiB more than the decoder's share of %.2f GiB: %d of %d KV blocks are "
            "given up, %.0f MiB, and it is tried again",
            started.too_much / MIB,
            share / GIB,
            num_blocks - fewer,
            num_blocks,
            (num_blocks - fewer) * block_bytes / MIB,
        )
        num_blocks, num_left = fewer, num_left - 1


def measure(run: Callable[[], object], share: int, memory: DeviceMemory) -> MemoryUse:
    """What ``run``, the encoder's widest step, takes of its ``share`` in bytes. Raises ConfigError where that is too
    little: it has nothing to give up."""
    memory.begin()
    ended = _attempt(lambda _: run(), 0, share, memory)
    if isinstance(ended, _RanOut):
        raise ConfigError(
            f"the encoder's largest pages do not fit its share of gpu_memory_gb, {share / GIB:.2f} GiB: they asked for "
            f"{ended.too_much / MIB:.0f} MiB more; set model.weights to fp8, or leave gpu_memory_gb out and give the "
            "decoder engine.kv_memory_gb"
        )
    use = MemoryUse(share, memory.peak())
    logger.info("%s", use)
    return use


def _attempt(start: Callable[[int], T], num_blocks: int, share: int, memory: DeviceMemory) -> T | _RanOut:
    """With the error go the frames that hold the attempt's tensors: its caller may begin anew."""
    try:
        return start(num_blocks)
    except RuntimeError as error:
        asked = _asked_bytes(error)
        if asked is None:
            raise
        return _RanOut(max(0, memory.reserved() + asked - share))


def _asked_bytes(error: BaseException | None) -> int | None:
    """Of the piece that was not to be had; None where it was another error. A CUDA graph whose recording was broken off
    may raise one of its own while it ends."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = error.__context__
    if error is None:
        return None
    asked = ASKED.search(str(error))
    return int(float(asked[1]) * UNITS[asked[2]]) if asked else 0


def _what_would_fit(least: int, plan: MemoryPlan, fewer: int) -> str:
    if least <= plan.budget:
        return f"engine.num_blocks={fewer} may fit"
    return f"gpu_memory_gb={math.ceil(10 * least / GIB) / 10:g} is about the least that would fit"
