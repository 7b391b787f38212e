"""The flash backend, through the real package, equals the reference for any mixture of sequences.

It runs where flash-attn is installed and a GPU is there; ``test_attention_choice`` checks everywhere what it is called
with.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from glyph_core.engine.attention.flash import FlashBackend
from glyph_core.engine.attention.sdpa import SdpaBackend
from tests.engine.test_triton_attention import DEVICE, LAYER, SCALE, batch_of, copy_of, filled_cache, model, qkv

BLOCK_SIZE = 256

pytestmark = [
    pytest.mark.skipif(find_spec("flash_attn") is None, reason="the package flash-attn is not installed"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="flash-attn needs a CUDA device"),
]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("num_kv_heads", "group", "head_dim"), [(2, 16, 128), (2, 3, 64), (1, 1, 64)], ids=str)
@pytest.mark.parametrize(
    "lens",
    [
        [(1, 1)],
        [(1, 256), (1, 257), (1, 4000)],  # decoding alone
        [(300, 300)],  # a whole prompt
        [(64, 3000)],  # a later chunk
        [(1, 700), (9, 20), (1, 30), (130, 900)],
    ],
    ids=str,
)
def test_equals_the_reference(
    lens: list[tuple[int, int]], num_kv_heads: int, group: int, head_dim: int, dtype: torch.dtype
) -> None:
    of = model(num_kv_heads, group, head_dim, dtype)
    batch = batch_of(lens, BLOCK_SIZE)
    reference = filled_cache(of, BLOCK_SIZE)
    cache = copy_of(reference, of)
    q, k, v = qkv(of, sum(batch.query_lens))
    expected = SdpaBackend(reference).plan(batch)(LAYER, q, k, v, SCALE)
    got = FlashBackend(cache).plan(batch)(LAYER, q, k, v, SCALE)
    torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
    assert torch.equal(cache.k, reference.k)
    assert torch.equal(cache.v, reference.v)
    assert got.device.type == DEVICE.type
