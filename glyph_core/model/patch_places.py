"""Where patches stand on their page, and a learned table of places stretched over pages of any size.

Shapes: a page has ``rows`` × ``columns`` = P patches, a table S × S places of h numbers.
"""

from __future__ import annotations

from functools import lru_cache

import torch

CUBIC_A = -0.75  # of the cubic convolution (Keys 1981); PyTorch's


def patch_places(rows: int, columns: int, merge: int, device: torch.device) -> torch.Tensor:
    """Row and column of each patch, (P, 2) int64, the ``merge``² patches of a visual token side by side."""
    row = torch.arange(rows, device=device)[:, None].expand(rows, columns)
    column = torch.arange(columns, device=device).expand(rows, columns)
    return by_token(torch.stack([row, column], dim=-1), merge)


def by_token(page: torch.Tensor, merge: int) -> torch.Tensor:
    """(rows, columns, h) → (P, h), the ``merge``² patches of a visual token side by side."""
    rows, columns, size = page.shape
    grid = page.reshape(rows // merge, merge, columns // merge, merge, size)
    return grid.transpose(1, 2).reshape(rows * columns, size)


def resized_table(table: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(S, S, h) float32 → (rows, columns, h): bicubic, as ``grid_sample`` with border padding at the patches' middles
    (``align_corners=False``), which glm4v's tower does. The filter is a product of one along each side."""
    size = table.shape[0]
    along_rows = torch.tensordot(_cubic(rows, size, table.device), table, dims=1)  # (rows, S, h)
    return torch.matmul(_cubic(columns, size, table.device), along_rows)


@lru_cache(maxsize=256)
def _cubic(num: int, size: int, device: torch.device) -> torch.Tensor:
    """(num, size) float32: how much each of ``size`` places counts at the middle of each of ``num`` patches."""
    at = (torch.arange(num, dtype=torch.float64) + 0.5) / num * size - 0.5
    left = at.floor()
    filters = torch.zeros(num, size, dtype=torch.float64)
    for tap in range(-1, 3):
        place = (left + tap).clamp(0, size - 1).long()
        filters.scatter_add_(1, place[:, None], _cubic_weight((at - left - tap).abs())[:, None])
    return filters.float().to(device)


def _cubic_weight(distance: torch.Tensor) -> torch.Tensor:
    a, d = CUBIC_A, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, far)
