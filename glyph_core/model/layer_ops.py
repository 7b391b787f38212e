"""What stands between the matrix products of a layer: written out in PyTorch, and the kernels that must equal it.

Shapes: T tokens, H hidden size, I intermediate size, Hq and Hk query and key/value heads, D head dim, R rotated part of
it, N and K a weight's rows and columns.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812

E4M3_MAX = 448.0  # the largest number of float8_e4m3fn


class LayerOps(Protocol):
    def takes_few(self, x: torch.Tensor, weight: torch.Tensor) -> bool:
        """:meth:`few_rows` and its like are for this product."""
        ...

    def norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """RMSNorm (Zhang & Sennrich 2019) over (T, H), in float32 within."""
        ...

    def add_norms(
        self, residual: torch.Tensor, x: torch.Tensor, post: torch.Tensor, following: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``residual`` + norm of ``x`` by ``post``, and that sum's norm by ``following``; all (T, H), or ``x`` in parts
        as of :meth:`few_rows_parts`."""
        ...

    def add_norm(
        self, residual: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``residual`` + ``x``, and that sum's norm by ``weight``; all (T, H), or ``x`` in parts as of
        :meth:`few_rows_parts`."""
        ...

    def rotary(
        self, positions: torch.Tensor, axes: torch.Tensor, inv_freq: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines (T, R / 2) float32 of ``positions`` (3, T) int64: frequency i of ``inv_freq`` (R / 2,)
        float32 turns with the axis ``axes[i]``."""
        ...

    def rotate(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int) -> None:
        """Turns the first R places of the first ``num_heads`` heads of ``x`` (T, heads × D), in place, by angles whose
        ``cos`` and ``sin`` are (T, R / 2) float32; neighbours are a pair."""
        ...

    def rotate_halves(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int
    ) -> None:
        """As :meth:`rotate`, but a pair is a place of the first half of the R and its like in the second."""
        ...

    def silu_mul(self, x: torch.Tensor) -> torch.Tensor:
        """(T, 2 × I), gate before up → SiLU(gate) × up, (T, I)."""
        ...

    def quantize_rows(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, K) → float8_e4m3fn (N, K) and scales (N, 1) float32 whose product is near ``x``."""
        ...

    def few_rows_gated(self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        """:meth:`silu_mul` of the product of ``x`` (M, K) with ``weight`` (2 × I, K) as in :meth:`few_rows`: (M, I)."""
        ...

    def few_rows_parts(
        self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """As :meth:`few_rows`, (M, N), or (S, M, N) float32 that add up to it with the bias."""
        ...

    def few_rows(
        self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """``x`` (M, K) times ``weight`` (N, K), which is of x's dtype, or float8_e4m3fn with ``scale`` (N,)."""
        ...


class TorchOps:
    """The reference; runs anywhere."""

    def takes_few(self, x: torch.Tensor, weight: torch.Tensor) -> bool:
        return False

    def norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.float()
        return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)

    def add_norms(
        self, residual: torch.Tensor, x: torch.Tensor, post: torch.Tensor, following: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        summed = residual + self.norm(_whole(x, residual.dtype), post, eps)
        return summed, self.norm(summed, following, eps)

    def add_norm(
        self, residual: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        summed = residual + _whole(x, residual.dtype)
        return summed, self.norm(summed, weight, eps)

    def rotary(
        self, positions: torch.Tensor, axes: torch.Tensor, inv_freq: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        angles = positions[axes].t().float().contiguous() * inv_freq
        return angles.cos(), angles.sin()

    def rotate(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int) -> None:
        heads = x.view(x.shape[0], -1, head_dim)[:, :num_heads]
        rotated = heads[..., : 2 * cos.shape[1]]
        even, odd = rotated[..., 0::2].float(), rotated[..., 1::2].float()
        cos, sin = cos[:, None], sin[:, None]
        rotated.copy_(torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2))

    def rotate_halves(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int
    ) -> None:
        heads = x.view(x.shape[0], -1, head_dim)[:, :num_heads]
        rotated = heads[..., : 2 * cos.shape[1]]
        first, second = rotated.float().chunk(2, dim=-1)
        cos, sin = cos[:, None], sin[:, None]
        rotated.copy_(torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1))

    def silu_mul(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = x.chunk(2, dim=-1)
        return F.silu(gate) * up

    def quantize_rows(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wide = x.float()
        scale = wide.abs().amax(-1, keepdim=True).clamp(min=1e-12) / E4M3_MAX
        return (wide / scale).to(torch.float8_e4m3fn), scale

    def few_rows_gated(self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        return self.silu_mul(self.few_rows(x, weight, scale, None))

    def few_rows_parts(
        self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        return self.few_rows(x, weight, scale, bias)

    def few_rows(
        self, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        full = weight.to(x.dtype) if scale is None else (weight.float() * scale[:, None]).to(x.dtype)
        return F.linear(x, full, bias)


def _whole(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(T, H) as it is, or of parts (S, T, H) their sum."""
    return x.sum(0).to(dtype) if x.ndim == 3 else x


class TritonOps:
    """Kernels, one an operation; see :mod:`glyph_core.model.kernels.layer`."""

    def __init__(self) -> None:
        from glyph_core.model.kernels import layer, products  # triton is not everywhere

        self.takes_few = products.takes_few
        self.norm, self.add_norm, self.add_norms = layer.norm, layer.add_norm, layer.add_norms
        self.rotary, self.rotate, self.rotate_halves = layer.rotary, layer.rotate, layer.rotate_halves
        self.silu_mul, self.quantize_rows, self.few_rows = layer.silu_mul, layer.quantize_rows, products.few_rows
        self.few_rows_gated, self.few_rows_parts = products.few_rows_gated, products.few_rows_parts


def pick_ops(device: torch.device) -> LayerOps:
    """Kernels on CUDA where Triton is installed, PyTorch elsewhere."""
    return TritonOps() if device.type == "cuda" and find_spec("triton") else TorchOps()
