"""What a device can do at most: copying, and multiplying matrices."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def least_s(run: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """The least time of ``times``, after one that warms up."""
    run()
    least = float("inf")
    for _ in range(times):
        synchronize(device)
        started_at = time.perf_counter()
        run()
        synchronize(device)
        least = min(least, time.perf_counter() - started_at)
    return least


def copy_bytes_s(device: torch.device) -> float:
    """Bytes read and written a second."""
    source = torch.empty((1 << 30) if device.type == "cuda" else (1 << 24), dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / least_s(lambda: target.copy_(source), device)


def matmul_flops_s(device: torch.device, dtype: torch.dtype) -> float:
    size = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return float(2 * size**3 / least_s(lambda: left @ right, device))
