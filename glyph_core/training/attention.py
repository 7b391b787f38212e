"""Attention over packed rows: flash kernels on a GPU, loops of torch's reference elsewhere.

A question sees its document's prefix and itself. The prefix's keys are not copied for each question: the attention
over the prefix and the attention within the question are two calls, merged by their log-sum-exps. The backward pass
of each part is the kernel's own, given the *merged* output and log-sum-exp, which is exact: softmax over the union of
two sets of keys differs from the parts' softmaxes by the normaliser alone (Liu et al. 2023, Ring Attention, merge
blocks the same way).

Shapes: T rows, H heads, K ≤ H key heads, S head size; ``lse`` is (H, T) float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Segments:
    """Consecutive rows that belong together: segment i is ``[starts[i], starts[i + 1])``."""

    starts: Tensor  # (n + 1,) int32, on the device
    longest: int
    num_rows: int

    @classmethod
    def of(cls, starts: Any, device: torch.device) -> Segments:
        """From a numpy array of starts; nothing is read back from the device later."""
        lengths = starts[1:] - starts[:-1]
        return cls(torch.from_numpy(starts).to(device), int(lengths.max()), int(starts[-1]))


def attend(q: Tensor, k: Tensor, v: Tensor, segments: Segments, *, causal: bool) -> Tensor:
    """Each segment within itself: (T, H, S) and (T, K, S) → (T, H, S)."""
    if q.is_cuda:
        return cast("Tensor", _Merged.apply(q, k, v, (_Part(segments, segments, causal),)))  # type: ignore[no-untyped-call]
    return _reference(q, k, v, segments, segments, causal)


def attend_asked(q: Tensor, k: Tensor, v: Tensor, prefixes: Segments, asked: Segments, questions: Segments) -> Tensor:
    """Prefixes causally within themselves, questions over their prefix and causally within themselves.

    Rows are all prefixes, then all questions; ``asked`` holds the questions of each document in one segment.
    """
    cut = prefixes.num_rows
    before = attend(q[:cut], k[:cut], v[:cut], prefixes, causal=True)
    if q.is_cuda:
        parts = (_Part(asked, prefixes, False), _Part(questions, questions, True))
        after = cast("Tensor", _Merged.apply(q[cut:], k, v, parts))  # type: ignore[no-untyped-call]
    else:
        after = _reference_asked(q, k, v, prefixes, asked, questions)
    return torch.cat([before, after])


@dataclass(frozen=True)
class _Part:
    """Rows of a query segment look at the key segment of the same number."""

    queries: Segments
    keys: Segments
    causal: bool


class _Merged(torch.autograd.Function):
    """Softmax attention over one or two sets of keys that follow each other in ``k`` and ``v``."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, parts: tuple[_Part, ...]) -> Tensor:
        outputs, lses, seeds = [], [], []
        for part, keys, values in zip(parts, _cut(k, parts), _cut(v, parts), strict=True):
            out, lse, seed, unused, _ = torch.ops.aten._flash_attention_forward(
                q, keys, values, part.queries.starts, part.keys.starts, part.queries.longest, part.keys.longest,
                0.0, part.causal, False,
            )  # fmt: skip
            outputs.append(out)
            lses.append(lse)
            seeds.append((seed, unused))
        out, lse = outputs[0], lses[0]
        if len(parts) == 2:
            lse = torch.logaddexp(lses[0], lses[1])
            first = torch.exp(lses[0] - lse).T[..., None]
            out = (outputs[0] * first + outputs[1] * (1 - first)).to(q.dtype)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.parts, ctx.seeds = parts, seeds
        return cast("Tensor", out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, out, lse = ctx.saved_tensors
        dq, dks, dvs = None, [], []
        for part, keys, values, (seed, unused) in zip(
            ctx.parts, _cut(k, ctx.parts), _cut(v, ctx.parts), ctx.seeds, strict=True
        ):
            part_dq, dk, dv = torch.ops.aten._flash_attention_backward(
                grads[0].contiguous(), q, keys, values, out, lse, part.queries.starts, part.keys.starts,
                part.queries.longest, part.keys.longest, 0.0, part.causal, seed, unused,
            )  # fmt: skip
            dq = part_dq if dq is None else dq + part_dq
            dks.append(dk)
            dvs.append(dv)
        return cast("Tensor", dq), torch.cat(dks), torch.cat(dvs), None


def _cut(rows: Tensor, parts: tuple[_Part, ...]) -> list[Tensor]:
    """The keys or values of each part."""
    return list(torch.split(rows, [part.keys.num_rows for part in parts]))


def _reference(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, causal: bool) -> Tensor:
    outputs = []
    bounds = zip(*(_bounds(s.starts) for s in (queries, keys)), strict=True)
    for (q_start, q_stop), (k_start, k_stop) in bounds:
        outputs.append(_softmax(q[q_start:q_stop], k[k_start:k_stop], v[k_start:k_stop], causal))
    return torch.cat(outputs)


def _reference_asked(
    q: Tensor, k: Tensor, v: Tensor, prefixes: Segments, asked: Segments, questions: Segments
) -> Tensor:
    cut = prefixes.num_rows
    documents = list(zip(_bounds(prefixes.starts), _bounds(asked.starts), strict=True))
    outputs, number = [], 0
    for start, stop in _bounds(questions.starts):
        while documents[number][1][1] <= start:
            number += 1
        first, last = documents[number][0]
        own = slice(cut + start, cut + stop)
        keys, values = (torch.cat([rows[first:last], rows[own]]) for rows in (k, v))
        outputs.append(_softmax(q[own], keys, values, causal=True))
    return torch.cat(outputs)


def _softmax(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """(t, H, S) over (u, K, S); causal: the last rows of both are the same token."""
    mask = torch.ones(len(q), len(k), dtype=torch.bool, device=q.device).tril(len(k) - len(q)) if causal else None
    groups = q.shape[1] // k.shape[1]
    keys, values = (rows.repeat_interleave(groups, 1).transpose(0, 1) for rows in (k, v))
    return functional.scaled_dot_product_attention(q.transpose(0, 1), keys, values, attn_mask=mask).transpose(0, 1)


def _bounds(starts: Tensor) -> list[tuple[int, int]]:
    return list(pairwise(starts.tolist()))
