"""The arithmetic of glm4v's layers on packed rows, equal to transformers' own and cheap to compile.

Shapes: N visual tokens, 4N patches, T rows, D hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    scaled = x.float()
    return (scaled * torch.rsqrt(scaled.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def swap_halves(weight: Tensor, head_size: int) -> Tensor:
    """Rows of a projection, so that its product is the rotary partner of each dimension: (-second, first) of a head."""
    first, second = weight.view(-1, 2, head_size // 2, weight.shape[-1]).unbind(1)
    return torch.stack((-second, first), 1).view(weight.shape)


def swap_pairs(weight: Tensor, head_size: int, rotated: int) -> Tensor:
    """The same where neighbours (2i, 2i + 1) turn together and only the first ``rotated`` dimensions of a head do."""
    heads = weight.view(-1, head_size, weight.shape[-1])
    even, odd = heads[:, :rotated:2], heads[:, 1:rotated:2]
    turned = torch.stack((-odd, even), 2).flatten(1, 2)
    return torch.cat([turned, torch.zeros_like(heads[:, rotated:])], 1).view(weight.shape)


def rotate(x: Tensor, partner: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x and its partner (T, heads, head size), cos and sin (T, 1, head size). The partner comes from a projection of
    its own: on a GPU one more matrix product is much cheaper than shuffling the dimensions of every row."""
    return (x.float() * cos + partner.float() * sin).to(x.dtype)


def vision_in(
    x: Tensor, norm_weight: Tensor, qkv: Tensor, cos: Tensor, sin: Tensor, head_size: int, eps: float
) -> tuple[Tensor, ...]:
    """(4N, D) → q, k, v (4N, heads, head size)."""
    h = norm(x, norm_weight, eps)
    qk, v = torch.split(qkv, [2 * len(qkv) // 3, len(qkv) // 3])
    plain, partner = (linear(h, w).view(len(h), -1, head_size) for w in (qk, swap_halves(qk, head_size)))
    q, k = rotate(plain, partner, cos, sin).chunk(2, 1)
    return q, k, linear(h, v).view(len(h), -1, head_size)


def vision_out(
    x: Tensor, attended: Tensor, proj: Tensor, norm_weight: Tensor, gate: Tensor, up: Tensor, down: Tensor, eps: float
) -> Tensor:
    x = x + linear(attended.flatten(1), proj)
    h = norm(x, norm_weight, eps)
    return x + linear(functional.silu(linear(h, gate)) * linear(h, up), down)


def merge(x: Tensor, proj: Tensor, scale: Tensor, shift: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    h = linear(x, proj)
    h = functional.gelu(functional.layer_norm(h.float(), h.shape[-1:], scale, shift, 1e-5)).to(x.dtype)
    return linear(functional.silu(linear(h, gate)) * linear(h, up), down)


def text_in(
    x: Tensor, norm_weight: Tensor, qw: Tensor, qb: Tensor, kw: Tensor, kb: Tensor, vw: Tensor, vb: Tensor,
    cos: Tensor, sin: Tensor, head_size: int, rotated: int, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(T, D) → q (T, heads, head size), k and v (T, kv heads, head size)."""
    h = norm(x, norm_weight, eps)
    weight, bias = torch.cat([qw, kw]), torch.cat([qb, kb])
    swapped = (swap_pairs(weight, head_size, rotated), swap_pairs(bias[:, None], head_size, rotated)[:, 0])
    plain, partner = (linear(h, w, b).view(len(h), -1, head_size) for w, b in ((weight, bias), swapped))
    q, k = torch.split(rotate(plain, partner, cos, sin), [len(qw) // head_size, len(kw) // head_size], 1)
    return q, k, linear(h, vw, vb).view(len(h), -1, head_size)


def text_out(
    x: Tensor,
    attended: Tensor,
    out: Tensor,
    norm_attn: Tensor,
    norm_mlp: Tensor,
    gate_up: Tensor,
    down: Tensor,
    norm_out: Tensor,
    eps: float,
) -> Tensor:
    x = x + norm(linear(attended.flatten(1), out), norm_attn, eps)
    gate, up = linear(norm(x, norm_mlp, eps), gate_up).chunk(2, -1)
    return x + norm(linear(up * functional.silu(gate), down), norm_out, eps)


def interpolate(table: Tensor, row: Tensor, column: Tensor, num_rows: int, num_columns: int) -> Tensor:
    """The learned grid at the patches of a page, as ``Glm4vVisionEmbeddings`` does it: bicubic, borders repeated."""
    side = round(len(table) ** 0.5)
    picture = table.float().view(side, side, -1).permute(2, 0, 1)[None]
    x, y = (column + 0.5) / num_columns * 2 - 1, (row + 0.5) / num_rows * 2 - 1
    grid = torch.stack((x, y), -1)[None, :, None]
    return functional.grid_sample(picture, grid, mode="bicubic", align_corners=False, padding_mode="border")[
        0, :, :, 0
    ].T
