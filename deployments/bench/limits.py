"""What a device can do at most: copying, and multiplying matrices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from glyph_core.model.layer_ops import pick_ops
from glyph_core.model.linear import DenseLinear, Fp8Linear

NUM_REPEATS = 20  # launched in a row, so that the device and not the host is timed


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


def product_figures(
    device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Each way to multiply few tokens with a weight of (N, K): bytes of the weight that it reads a second."""
    ops, figures = pick_ops(device), []
    for n, k in shapes:
        weight = torch.randn(n, k, device=device).to(dtype)
        quantized = Fp8Linear.quantize(weight, None, ops)
        for num_rows in (1, 8, 16, 32):
            x = torch.randn(num_rows, k, device=device).to(dtype)
            ways: dict[str, Callable[[], object]] = {
                "dense": partial(DenseLinear(weight), x),
                "fp8": partial(quantized, x),
            }
            if num_rows <= ops.max_few_rows:
                ways["few_rows"] = partial(ops.few_rows, x, weight, None, None)
            for way, run in ways.items():
                num_bytes = quantized.num_bytes if way == "fp8" else weight.nbytes
                repeated_s = least_s(lambda run=run: [run() for _ in range(NUM_REPEATS)], device)  # type: ignore[misc]
                figures.append(
                    {"n": n, "k": k, "rows": num_rows, "way": way, "bytes_s": num_bytes * NUM_REPEATS / repeated_s}
                )
    return figures
