"""The reference backend equals attention written out, for any mixture of sequences in a step."""

from __future__ import annotations

import pytest
import torch

from glyph_core.engine.attention.protocol import AttentionBatch
from glyph_core.engine.attention.sdpa import SdpaBackend
from glyph_core.engine.kv_cache import KVCache
from tests.engine.fakes import FakeTextModel

SIZE, LAYER = 4, 1


class SmallModel(FakeTextModel):
    num_kv_heads, head_dim = 2, 8


@pytest.mark.parametrize("num_heads", [2, 6], ids=["one query head a kv head", "three query heads a kv head"])
@pytest.mark.parametrize(
    "lens",
    [
        [(5, 5)],  # (tokens in this step, context): a whole prompt
        [(3, 10)],  # a later chunk
        [(1, 1)],  # a prompt of one token
        [(1, 9), (1, 9), (1, 9)],
        [(1, 8), (1, 15), (1, 9), (1, 40)],  # filled up by twos and alone
        [(1, 7), (4, 4), (1, 33), (6, 13), (1, 5)],
    ],
)
def test_equals_attention_written_out(lens: list[tuple[int, int]], num_heads: int) -> None:
    random = torch.Generator().manual_seed(len(lens))
    cache = KVCache(SmallModel(), 64, SIZE)
    cache.k.normal_(generator=random)  # what other sequences left behind
    cache.v.normal_(generator=random)
    order = torch.randperm(64, generator=random).tolist()
    tables = [[order.pop() for _ in range(-(-context // SIZE))] for _, context in lens]
    width = max(map(len, tables))
    slots = [
        table[i // SIZE] * SIZE + i % SIZE
        for table, (num_new, context) in zip(tables, lens, strict=True)
        for i in range(context - num_new, context)
    ]
    batch = AttentionBatch(
        slot_mapping=torch.tensor(slots),
        block_tables=torch.tensor([table + [0] * (width - len(table)) for table in tables], dtype=torch.int32),
        table_rows=tuple(range(len(tables))),
        query_lens=tuple(num_new for num_new, _ in lens),
        context_lens=tuple(context for _, context in lens),
    )
    q = torch.randn(num_heads, len(slots), 8, generator=random, dtype=torch.float64)
    k, v = torch.randn(2, 2, len(slots), 8, generator=random, dtype=torch.float64)
    got = SdpaBackend(cache).plan(batch)(LAYER, q, k, v, scale=0.3)
    assert got.shape == (len(slots), num_heads, 8)

    row = 0
    for table, (num_new, context) in zip(tables, lens, strict=True):
        keys, values = cache.k[LAYER, table].flatten(0, 1)[:context], cache.v[LAYER, table].flatten(0, 1)[:context]
        new = slice(row, row + num_new)
        assert torch.equal(keys[-num_new:], k[:, new].transpose(0, 1))  # stored where the table says
        for i in range(num_new):
            num_seen = context - num_new + 1 + i
            for head in range(num_heads):
                kv_head = head * 2 // num_heads
                weights = (keys[:num_seen, kv_head] @ q[head, row + i] * 0.3).softmax(0)
                torch.testing.assert_close(got[row + i, head], weights @ values[:num_seen, kv_head])
        row += num_new


def test_other_layers_are_left_alone() -> None:
    cache = KVCache(SmallModel(), 8, SIZE)
    k = torch.ones(2, 1, 8, dtype=torch.float64)
    cache.store(LAYER, torch.tensor([5]), k, k)
    assert cache.k[1 - LAYER].abs().sum() == 0
    assert cache.k[LAYER].sum() == 16
    assert KVCache.num_block_bytes(SmallModel(), SIZE) * 8 == cache.k.nbytes + cache.v.nbytes
