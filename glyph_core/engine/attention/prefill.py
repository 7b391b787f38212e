"""Attention of one prefill chunk, over keys and values gathered from the blocks.

Three ways, one result: PyTorch's SDPA with a mask (the reference), its variable-length FlashAttention, and the prefix
without a mask plus the chunk's own causal square, merged by log-sum-exp. The last needs no kernel that knows grouped
heads or a causal mask that is no square: without a mask, the G query heads of a key/value head are like G times as
many tokens.

Shapes: n tokens of the chunk, the last of L, Hq query heads, Hk key/value heads, G = Hq / Hk, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import scaled_dot_product_attention

from glyph_core.model.varlen import varlen_function

MIN_SPLIT_TOKENS = 2048
PrefillAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(Hq, n, D), (Hk, L, D), (Hk, L, D), scale → (n, Hq, D)"""


def sdpa_prefill(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """PyTorch's SDPA; its mask is (n, L)."""
    n, length = q.shape[1], k.shape[1]
    mask = None
    if n < length:
        mask = torch.arange(length, device=q.device) <= torch.arange(length - n, length, device=q.device)[:, None]
    attended = scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return attended[0].transpose(0, 1)


def varlen_prefill(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """``torch.nn.attention.varlen.varlen_attn``: FlashAttention, whose causal mask ends at the last key."""
    varlen_attn, options = varlen_function()
    n, length = q.shape[1], k.shape[1]
    cu_seq_q, cu_seq_k = _bounds(n, q.device), _bounds(length, q.device)
    tokens_first = (x.transpose(0, 1) for x in (q, k, v))
    attended: torch.Tensor = varlen_attn(
        *tokens_first, cu_seq_q, cu_seq_k, n, length, scale=scale, window_size=(-1, 0), **options
    )
    return attended


def split_prefill(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """The prefix without a mask, plus the chunk's own causal square. A short chunk on CUDA goes the other way: cuDNN
    takes a tenth of a second to prepare each new pair of lengths."""
    if q.is_cuda and q.shape[1] < MIN_SPLIT_TOKENS:
        return varlen_prefill(q, k, v, scale)
    (num_heads, n, head_dim), (num_kv_heads, length, _) = q.shape, k.shape
    group = num_heads // num_kv_heads
    own_k, own_v = (x[:, length - n :].repeat_interleave(group, 0) for x in (k, v))  # (Hq, n, D)
    own, own_lse = attention_with_lse(q, own_k, own_v, scale, is_causal=True)
    if n == length:
        return own.transpose(0, 1)
    folded = q.reshape(num_kv_heads, group * n, head_dim)
    prefix, prefix_lse = attention_with_lse(folded, k[:, : length - n], v[:, : length - n], scale, is_causal=False)
    prefix, prefix_lse = prefix.reshape(num_heads, n, head_dim), prefix_lse.reshape(num_heads, n)
    share = torch.sigmoid(prefix_lse - own_lse)[..., None]  # of the prefix: e^a / (e^a + e^b)
    return torch.lerp(own.float(), prefix.float(), share).to(q.dtype).transpose(0, 1)


def attention_with_lse(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, *, is_causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(H, n, D) and (H, m, D) twice → (H, n, D) and the scores' log-sum-exp (H, n) float32.

    On CUDA cuDNN's kernel, the fastest there is on sm_90; FlashAttention where cuDNN has none for the shape or dtype is
    for the caller to choose, by another way of prefill.
    """
    aten = torch.ops.aten
    if q.is_cuda:
        attended, lse, *_ = aten._scaled_dot_product_cudnn_attention(
            q[None], k[None], v[None], None, True, 0.0, is_causal, False, scale=scale
        )
    else:
        attended, lse = aten._scaled_dot_product_flash_attention_for_cpu(
            q[None], k[None], v[None], 0.0, is_causal, scale=scale
        )
    return attended[0], lse.reshape(q.shape[0], -1).float()


def _bounds(length: int, device: torch.device) -> torch.Tensor:
    bounds = torch.full((2,), length, dtype=torch.int32, device=device)  # filled on the device: nobody waits
    bounds[0] = 0
    return bounds


PREFILLS: dict[str, PrefillAttention] = {"sdpa": sdpa_prefill, "varlen": varlen_prefill, "split": split_prefill}
