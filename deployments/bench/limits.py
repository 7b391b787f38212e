"""What a device can do at most: copying, and multiplying matrices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from glyph_core.engine.replay import EagerReplayer, GraphReplayer, Replayer
from glyph_core.model.layer_ops import pick_ops
from glyph_core.model.linear import DenseLinear, Fp8Linear, Linear

ROTATED_BYTES = {"cuda": 600_000_000, "cpu": 0}


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


def replayed_s(runs: Sequence[Callable[[], object]], device: torch.device) -> float:
    """The least time of all ``runs``, one after the other; on CUDA as one graph, so that the device and not the host is
    timed."""

    def run_all() -> None:
        for run in runs:
            run()

    replayer: Replayer = GraphReplayer() if device.type == "cuda" else EagerReplayer()
    return least_s(lambda: replayer.run("all", run_all), device)


def product_figures(
    device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Each way to multiply few tokens with a weight of (N, K): bytes of the weight that it reads a second. As many
    weights as overflow a GPU's cache take turns."""
    ops, figures = pick_ops(device), []
    for n, k in shapes:
        num = max(2, ROTATED_BYTES[device.type] // (n * k * dtype.itemsize))
        weights = [torch.randn(n, k, device=device).to(dtype) for _ in range(num)]
        linears: dict[str, list[Linear]] = {
            "library": [DenseLinear(weight) for weight in weights],
            "ours": [DenseLinear(weight, None, ops) for weight in weights],
            "ours fp8": [Fp8Linear.quantize(weight, None, ops) for weight in weights],
        }
        for num_rows in (1, 8, 16, 32):
            x = torch.randn(num_rows, k, device=device).to(dtype)
            for way, of_way in linears.items():
                all_s = replayed_s([partial(linear, x) for linear in of_way], device)
                num_bytes = sum(linear.num_bytes for linear in of_way)
                figures.append(
                    {
                        "n": n,
                        "k": k,
                        "rows": num_rows,
                        "way": way,
                        "us": 1e6 * all_s / num,
                        "bytes_s": num_bytes / all_s,
                    }
                )
    return figures
