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
import torch.nn.functional as F  # noqa: N812

from glyph_core.model.varlen import varlen_function

MIN_SPLIT_TOKENS, PREFIX_STEP, SQUARE_STEP = 2048, 4096, 1024
PrefillAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(Hq, n, D), (Hk, L, D), (Hk, L, D), scale → (n, Hq, D)"""


def sdpa_prefill(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """PyTorch's SDPA; its mask is (n, L)."""
    n, length = q.shape[1], k.shape[1]
    mask = None
    if n < length:
        mask = torch.arange(length, device=q.device) <= torch.arange(length - n, length, device=q.device)[:, None]
    attended = F.scaled_dot_product_attention(
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
    """The prefix without a mask, plus the chunk's own causal square.

    cuDNN takes a tenth of a second to prepare for lengths that it has not seen. So there are few: the prefix is cut at
    a multiple of PREFIX_STEP, what is left of it goes with the chunk, and that is filled up to a multiple of
    SQUARE_STEP. A short chunk on CUDA goes the other way.
    """
    if q.is_cuda and q.shape[1] < MIN_SPLIT_TOKENS:
        return varlen_prefill(q, k, v, scale)
    (num_heads, n, head_dim), (num_kv_heads, length, _) = q.shape, k.shape
    prefix = (length - n) // PREFIX_STEP * PREFIX_STEP
    before = length - n - prefix  # of the chunk, in the square with it
    fill = -(before + n) % SQUARE_STEP
    own_k, own_v = (F.pad(x[:, prefix:], (0, 0, 0, fill)) for x in (k, v))
    own, own_lse = attention_with_lse(F.pad(q, (0, 0, before, fill)), own_k, own_v, scale, is_causal=True)
    own, own_lse = own[:, before : before + n], own_lse[:, before : before + n]
    if not prefix:
        return own.transpose(0, 1)
    folded = F.pad(q, (0, 0, 0, -n % SQUARE_STEP)).reshape(num_kv_heads, -1, head_dim)  # G times as many tokens
    far, far_lse = attention_with_lse(folded, k[:, :prefix], v[:, :prefix], scale, is_causal=False)
    del folded
    far, far_lse = far.reshape(num_heads, -1, head_dim)[:, :n], far_lse.reshape(num_heads, -1)[:, :n]
    if q.is_cuda:
        from glyph_core.engine.kernels.join import join  # triton is not everywhere

        return join(own, own_lse, far, far_lse)
    return join_reference(own, own_lse, far, far_lse)


def join_reference(
    one: torch.Tensor, one_lse: torch.Tensor, other: torch.Tensor, other_lse: torch.Tensor
) -> torch.Tensor:
    """(H, n, D) and the log-sum-exp of its scores (H, n), for two parts of a context → for both together (n, H, D)."""
    share = torch.sigmoid(other_lse - one_lse)[..., None]
    return torch.lerp(one.float(), other.float(), share).to(one.dtype).transpose(0, 1)


def attention_with_lse(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, *, is_causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(H, n, D) and (Hk, m, D) twice → (H, n, D) and the scores' log-sum-exp (H, n) float32.

    On CUDA cuDNN's kernel, the fastest there is on sm_90; FlashAttention where cuDNN has none for the shape or dtype is
    for the caller to choose, by another way of prefill.
    """
    aten = torch.ops.aten
    if q.is_cuda:
        attended, lse, *_ = aten._scaled_dot_product_cudnn_attention(
            q[None], k[None], v[None], None, True, 0.0, is_causal, False, scale=scale
        )
    else:
        k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
        attended, lse = aten._scaled_dot_product_flash_attention_for_cpu(
            q[None], k[None], v[None], 0.0, is_causal, scale=scale
        )
    return attended[0], lse.reshape(q.shape[0], -1).float()


def _bounds(length: int, device: torch.device) -> torch.Tensor:
    bounds = torch.full((2,), length, dtype=torch.int32, device=device)  # filled on the device: nobody waits
    bounds[0] = 0
    return bounds


PREFILLS: dict[str, PrefillAttention] = {"sdpa": sdpa_prefill, "varlen": varlen_prefill, "split": split_prefill}
