"""``auto`` picks what runs and says why; what doesn't run is refused with the reason."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from glyph_core.config import EngineConfig
from glyph_core.engine.attention import choice
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.protocol import AttentionBatch
from glyph_core.engine.attention.sdpa import SdpaBackend
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from tests.engine.fakes import FakeTextModel

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_on_the_cpu_is_the_reference_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        chosen = choose_attention(EngineConfig(), CPU, torch.float32)
    assert (chosen.name, chosen.prefill) == ("sdpa", "sdpa")
    assert caplog.messages == ["attention: sdpa (prefill: sdpa): the model runs on cpu"]


def test_auto_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    for capability, prefill in (((8, 9), "varlen"), ((9, 0), "split")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert choose_attention(EngineConfig(), CUDA, torch.bfloat16).name == "triton"
        assert choose_attention(EngineConfig(), CUDA, torch.bfloat16).prefill == prefill
    assert choose_attention(EngineConfig(), CUDA, torch.float32).prefill == "sdpa"  # FlashAttention has no float32
    assert choose_attention(EngineConfig(prefill="split"), CUDA, torch.bfloat16).prefill == "split"
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    chosen = choose_attention(EngineConfig(), CUDA, torch.bfloat16)
    assert (chosen.name, chosen.reason) == ("sdpa", "the package triton is not installed")


def test_what_does_not_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ConfigError, match=r"triton, but it needs a CUDA device.*cpu.*auto or sdpa"):
        choose_attention(EngineConfig(attention="triton"), CPU, torch.float32)
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"flash, but the package flash-attn is not installed"):
        choose_attention(EngineConfig(attention="flash"), CUDA, torch.bfloat16)


@pytest.fixture
def flash_attn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the one function that we call, as flash-attn 2.8 documents it."""
    module = ModuleType("flash_attn")
    module.__spec__ = ModuleSpec("flash_attn", None)
    module.flash_attn_varlen_func = _varlen  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)


def _varlen(
    q: torch.Tensor,  # (T, Hq, D)
    k: torch.Tensor,  # (blocks, size, Hk, D)
    v: torch.Tensor,
    *,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    softmax_scale: float,
    causal: bool,
    block_table: torch.Tensor,
) -> torch.Tensor:
    assert causal
    assert q.stride(-1) == 1
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == block_table.dtype == torch.int32
    assert (max_seqlen_q, max_seqlen_k) == (int(cu_seqlens_q.diff().max()), int(cu_seqlens_k.diff().max()))
    out = torch.empty_like(q)
    for row, table in enumerate(block_table):
        first, last = cu_seqlens_q[row : row + 2].tolist()
        length = int(cu_seqlens_k[row + 1] - cu_seqlens_k[row])
        keys, values = (x[table.long()].flatten(0, 1)[:length].transpose(0, 1)[None] for x in (k, v))
        mask = torch.ones(last - first, length, dtype=torch.bool).tril(length - (last - first))
        queries = q[first:last].transpose(0, 1)[None]
        options: Any = {"attn_mask": mask, "scale": softmax_scale, "enable_gqa": True}
        out[first:last] = scaled_dot_product_attention(queries, keys, values, **options)[0].transpose(0, 1)
    return out


@pytest.mark.usefixtures("flash_attn")
def test_flash_attn_is_called_with_what_it_wants() -> None:
    of, lens = FakeTextModel(), [(3, 300), (1, 10), (7, 7)]
    reference, cache = (KVCache(of, 6, 256) for _ in range(2))
    reference.k.normal_(generator=torch.Generator().manual_seed(0))
    reference.v.normal_(generator=torch.Generator().manual_seed(1))
    cache.k.copy_(reference.k)
    cache.v.copy_(reference.v)
    batch = AttentionBatch(
        slot_mapping=torch.tensor([*range(4 * 256 + 41, 4 * 256 + 44), 9, *range(768, 775)]),
        block_tables=torch.tensor([[0, 5], [2, 4], [3, 5], [5, 5]], dtype=torch.int32),
        table_rows=(1, 0, 2),
        query_lens=tuple(new for new, _ in lens),
        context_lens=tuple(context for _, context in lens),
    )
    q, k, v = torch.randn(3, 11, 1, 8, dtype=of.dtype).transpose(1, 2)
    expected = SdpaBackend(reference).plan(batch)(1, q, k, v, 0.3)
    backend = make_backend(choice.AttentionChoice("flash", "flash", ""), cache, of.num_heads)
    torch.testing.assert_close(backend.plan(batch)(1, q, k, v, 0.3), expected)


@pytest.mark.usefixtures("flash_attn")
def test_flash_attn_wants_large_blocks() -> None:
    chosen = choice.AttentionChoice("flash", "flash", "")
    with pytest.raises(ConfigError, match=r"multiple of 256.*block_size is 16"):
        make_backend(chosen, KVCache(FakeTextModel(), 8, 16), 1)
