"""The Triton backend equals the reference for any mixture of sequences, and reads shared prefixes once.

Without a CUDA device Triton runs the kernels as Python (TRITON_INTERPRET=1, set by conftest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup
from glyph_core.engine.attention.sdpa import SdpaBackend
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from glyph_core.model.attention import RotatingAttention, Rotation
from glyph_core.model.layer_ops import TorchOps
from tests.engine.fakes import FakeTextModel

pytest.importorskip("triton", reason="the package triton is not installed")
from glyph_core.engine.attention.triton_backend import TritonBackend

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IS_CUDA = DEVICE.type == "cuda"
LAYER, NUM_BLOCKS, SCALE = 1, 400, 0.2
# Of values around 1. On a GPU the reference sums in another order; bfloat16 rounds weights and results.
TOLERANCE = {torch.float32: 1e-4 if IS_CUDA else 1e-5, torch.bfloat16: 2e-2}
DTYPES = list(TOLERANCE) if IS_CUDA else [torch.float32]
PREFILLS = {"sdpa": torch.float32, "split": torch.bfloat16 if IS_CUDA else torch.float32}
PREFILLS |= {"varlen": torch.bfloat16} if IS_CUDA else {}


def model(num_kv_heads: int, group: int, head_dim: int, dtype: torch.dtype = torch.float32) -> FakeTextModel:
    fake = FakeTextModel()
    fake.num_kv_heads, fake.num_heads, fake.head_dim = num_kv_heads, num_kv_heads * group, head_dim
    fake.dtype, fake.device = dtype, DEVICE
    return fake


def filled_cache(of: FakeTextModel, block_size: int, kv_dtype: str = "auto") -> KVCache:
    """What other sequences left behind is in it."""
    random = torch.Generator().manual_seed(block_size)
    cache = KVCache(of, NUM_BLOCKS, block_size, kv_dtype)
    for memory in (cache.k, cache.v):
        memory.copy_(torch.randn(memory.shape, generator=random))
    return cache


def copy_of(cache: KVCache, of: FakeTextModel, kv_dtype: str = "auto") -> KVCache:
    other = KVCache(of, cache.num_blocks, cache.block_size, kv_dtype)
    other.k.copy_(cache.k)
    other.v.copy_(cache.v)
    return other


def batch_of(
    lens: Sequence[tuple[int, int]],
    block_size: int,
    groups: Sequence[PrefixGroup] = (),
    seed: int = 0,
    *,
    is_shuffled: bool = True,
) -> AttentionBatch:
    """(tokens in this step, context) of each sequence; members of a group have their first blocks in common. The blocks
    of a sequence follow one another in the pool where they are not shuffled."""
    order = list(range(NUM_BLOCKS - 1, -1, -1))
    if is_shuffled:
        Random(seed).shuffle(order)
    tables = [[order.pop() for _ in range(-(-context // block_size))] for _, context in lens]
    for group in groups:
        num_blocks = group.num_tokens // block_size
        for member in group.members:
            tables[member][:num_blocks] = tables[group.members[0]][:num_blocks]
    slots = [
        table[i // block_size] * block_size + i % block_size
        for table, (num_new, context) in zip(tables, lens, strict=True)
        for i in range(context - num_new, context)
    ]
    rows = list(range(len(lens) + 2))  # rows of the tables in an order of their own, some of them others'
    Random(seed).shuffle(rows)
    width = max(map(len, tables))
    block_tables = torch.full((len(rows), width), NUM_BLOCKS - 1, dtype=torch.int32)
    for row, table in zip(rows, tables, strict=False):
        block_tables[row, : len(table)] = torch.tensor(table)
    return AttentionBatch(
        slot_mapping=torch.tensor(slots, device=DEVICE),
        block_tables=block_tables.to(DEVICE),
        table_rows=tuple(rows[: len(lens)]),
        query_lens=tuple(num_new for num_new, _ in lens),
        context_lens=tuple(context for _, context in lens),
        groups=tuple(groups),
    )


def qkv(of: FakeTextModel, num_tokens: int) -> tuple[torch.Tensor, ...]:
    """As a model gives them: (heads, T, D) views of (T, heads, D)."""
    random = torch.Generator().manual_seed(num_tokens)
    return tuple(
        torch.randn(num_tokens, heads, of.head_dim, generator=random).to(DEVICE, of.dtype).transpose(0, 1)
        for heads in (of.num_heads, of.num_kv_heads, of.num_kv_heads)
    )


def assert_equals_reference(
    of: FakeTextModel,
    batch: AttentionBatch,
    block_size: int,
    prefill: str = "sdpa",
    kv_dtype: str = "auto",
    num_tasks: int | None = None,
) -> None:
    reference = filled_cache(of, block_size, kv_dtype)
    cache = copy_of(reference, of, kv_dtype)
    q, k, v = qkv(of, sum(batch.query_lens))
    if kv_dtype == "fp8":  # numbers that it has: Triton's interpreter rounds others in a way of its own
        k, v = (x.to(torch.float8_e4m3fn).to(of.dtype) for x in (k, v))
    expected = SdpaBackend(reference).plan(batch)(LAYER, q, k, v, SCALE)
    choice = choose_attention(EngineConfig(attention="triton", prefill=prefill), DEVICE, of.dtype)
    backend = make_backend(choice, cache, of.num_heads)
    assert isinstance(backend, TritonBackend)
    backend.num_tasks = num_tasks or backend.num_tasks
    got = backend.plan(batch)(LAYER, q, k, v, SCALE)
    torch.testing.assert_close(got, expected, atol=TOLERANCE[of.dtype], rtol=TOLERANCE[of.dtype])
    assert torch.equal(cache.k.view(torch.uint8), reference.k.view(torch.uint8))
    assert torch.equal(cache.v.view(torch.uint8), reference.v.view(torch.uint8))


@pytest.mark.parametrize(
    ("num_kv_heads", "group", "head_dim"), [(2, 16, 128), (2, 3, 64), (1, 1, 64), (2, 2, 16)], ids=str
)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_random_batches(dtype: torch.dtype, seed: int, num_kv_heads: int, group: int, head_dim: int) -> None:
    random = Random(seed)
    block_size, longest = ((16, 240), (4, 300), (1, 90))[seed]
    num_sequences = (9, 1, 4)[seed] if head_dim < 128 else (2, 3, 1)[seed]
    contexts = [random.choice([1, 2, 63, 64, 65, 128, 129, longest - 1]) for _ in range(num_sequences)]
    lens = [(1, min(context, longest)) for context in (longest, *contexts[1:])]  # the first takes several tiles
    lens.insert(random.randrange(len(lens) + 1), (random.randint(2, 7), 9))
    of = model(num_kv_heads, group, head_dim, dtype)
    assert_equals_reference(of, batch_of(lens, block_size, seed=seed), block_size)


GROUPS = [
    ([(1, 40), (1, 33), (1, 48)], [((0, 2), 32)]),
    ([(1, 33), (1, 64), (1, 200), (1, 70), (1, 50)], [((0, 2), 32), ((1, 3), 48)]),
    ([(1, 32), (1, 32)], [((0, 1), 32)]),  # nothing of its own is left to either
    ([(1, 160 + n) for n in range(9)], [(tuple(range(9)), 160)]),  # more than one task takes
    ([(5, 20), (1, 40), (1, 41), (3, 3), (1, 8)], [((1, 2), 16)]),
]


@pytest.mark.parametrize(("lens", "groups"), GROUPS)
def test_shared_prefixes(lens: list[tuple[int, int]], groups: list[tuple[tuple[int, ...], int]]) -> None:
    batch = batch_of(lens, 16, [PrefixGroup(*fields) for fields in groups])
    assert_equals_reference(model(2, 3, 64), batch, 16)


@pytest.mark.parametrize("stray", [None, 1, 12, 30])
def test_a_shared_prefix_in_blocks_that_follow_one_another(stray: int | None) -> None:
    """It is read without the table; where one block is elsewhere, with it. There are two tasks of 16 blocks."""
    lens, group = [(1, 520), (1, 530)], PrefixGroup((0, 1), 512)
    batch = batch_of(lens, 16, [group], is_shuffled=False)
    if stray is not None:
        for row in batch.table_rows[:2]:
            batch.block_tables[row, stray] = NUM_BLOCKS - 2
    assert_equals_reference(model(1, 3, 16), batch, 16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_shared_prefix_of_the_9b_shape(dtype: torch.dtype) -> None:
    assert_equals_reference(model(2, 16, 128, dtype), batch_of([(1, 40), (1, 33)], 16, [PrefixGroup((0, 1), 32)]), 16)


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("kv_dtype", ["auto", "fp8"] if IS_CUDA else ["auto"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_as_many_queries_as_a_task_takes(dtype: torch.dtype, kv_dtype: str, is_shuffled: bool) -> None:
    """Two tasks of several turns each; on a GPU of more, for there it takes less than Python does."""
    num_shared, num_members = (640, 8) if IS_CUDA else (384, 3)
    of, group = model(2, 16, 128 if IS_CUDA else 16, dtype), PrefixGroup(tuple(range(num_members)), num_shared)
    lens = [(1, num_shared + 5 + member) for member in range(num_members)]
    batch = batch_of(lens, 16, [group], is_shuffled=is_shuffled)
    assert_equals_reference(of, batch, 16, kv_dtype=kv_dtype, num_tasks=8)


def test_a_shared_prefix_is_read_from_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others' own blocks there are other sequences': whoever read them would answer otherwise."""
    of, group = model(2, 3, 64), PrefixGroup((0, 1), 32)
    batch = batch_of([(1, 40), (1, 50)], 16, [group])
    tables = batch.block_tables.clone()
    tables[batch.table_rows[1], :2] = NUM_BLOCKS - 1
    reference = filled_cache(of, 16)
    q, k, v = qkv(of, 2)
    expected = SdpaBackend(reference).plan(batch)(LAYER, q, k, v, SCALE)
    choice = choose_attention(EngineConfig(attention="triton"), DEVICE, of.dtype)
    backend = make_backend(choice, filled_cache(of, 16), of.num_heads)
    shared = replace(batch, block_tables=tables)
    torch.testing.assert_close(
        backend.plan(shared)(LAYER, q, k, v, SCALE), expected, atol=TOLERANCE[of.dtype], rtol=TOLERANCE[of.dtype]
    )
    alone = backend.plan(replace(shared, groups=()))(LAYER, q, k, v, SCALE)
    assert not torch.allclose(alone, expected, atol=1e-2)


@pytest.mark.parametrize("prefill", PREFILLS)
@pytest.mark.parametrize("lens", [[(20, 20)], [(7, 90)], [(2, 33), (1, 20), (40, 55)]], ids=str)
def test_ways_of_prefill(prefill: str, lens: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyph_core.engine.attention.prefill.PREFIX_STEP", 16)
    monkeypatch.setattr("glyph_core.engine.attention.prefill.SQUARE_STEP", 8)
    monkeypatch.setattr("glyph_core.engine.attention.prefill.MIN_SPLIT_TOKENS", 0)
    assert_equals_reference(model(2, 3, 64, PREFILLS[prefill]), batch_of(lens, 16), 16, prefill)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fp8_keys_and_values(dtype: torch.dtype) -> None:
    batch = batch_of([(1, 40), (9, 33), (1, 70)], 16)
    assert_equals_reference(model(2, 3, 64, dtype), batch, 16, kv_dtype="fp8")


@pytest.mark.parametrize("kv_dtype", ["auto", "fp8"])
def test_turning_on_the_way_into_the_cache(kv_dtype: str) -> None:
    """One kernel turns queries and keys and writes; the slow way turns first. Padding is written nowhere."""
    of = model(2, 3, 64)
    batch = batch_of([(1, 40), (5, 33), (1, 70)], 16)
    reference = filled_cache(of, 16, kv_dtype)
    cache = copy_of(reference, of, kv_dtype)
    random = torch.Generator().manual_seed(5)
    heads = torch.randn(7, 10, 64, generator=random).to(DEVICE)
    angles = torch.randn(7, 16, generator=random).to(DEVICE)  # of 32 of the 64 places
    turned = heads.clone()
    TorchOps().rotate(turned.view(7, -1), angles.cos(), angles.sin(), 8, 64)
    q, k, v = torch.split(turned.transpose(0, 1), [6, 2, 2])
    slots = batch.slot_mapping.clone()
    slots[0] = -1
    for is_padded in (False, True):
        padded = replace(batch, slot_mapping=slots) if is_padded else batch
        choice = choose_attention(EngineConfig(attention="triton", prefill="sdpa"), DEVICE, of.dtype)
        steps = [make_backend(choice, of_cache, of.num_heads).plan(padded) for of_cache in (cache, reference)]
        assert isinstance(steps[0], RotatingAttention)
        got = steps[0].attend_unrotated(LAYER, heads.clone(), Rotation(angles.cos(), angles.sin()), SCALE)
        expected = steps[1](LAYER, q, k, v, SCALE)
        tolerance = TOLERANCE[of.dtype] if kv_dtype == "auto" else 0.05  # a key that is turned otherwise by 1e-7
        torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)  # may round to the next of 8 bits
        torch.testing.assert_close(
            cache.k.float(), reference.k.float(), atol=1e-5, rtol=1e-5 if kv_dtype == "auto" else 0.15
        )
        assert torch.equal(cache.v.view(torch.uint8), reference.v.view(torch.uint8))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("num_kv_heads", "group"), [(2, 3), (1, 20)])
def test_parts_are_added_up_on_the_way_into_the_cache(num_kv_heads: int, group: int, has_bias: bool) -> None:
    of = model(num_kv_heads, group, 64)
    batch = batch_of([(1, 40), (1, 33), (1, 70)], 16)
    num_rows = of.num_heads + 2 * num_kv_heads
    random = torch.Generator().manual_seed(5)
    parts = torch.randn(2, 3, num_rows, 64, generator=random).to(DEVICE)
    bias = torch.randn(num_rows * 64, generator=random).to(DEVICE) if has_bias else None
    angles = torch.randn(3, 16, generator=random).to(DEVICE)
    whole = parts.sum(0) if bias is None else parts.sum(0) + bias.view(num_rows, 64)
    caches = filled_cache(of, 16), filled_cache(of, 16)
    choice = choose_attention(EngineConfig(attention="triton", prefill="sdpa"), DEVICE, of.dtype)
    got, expected = (make_backend(choice, cache, of.num_heads).plan(batch) for cache in caches)
    assert isinstance(got, RotatingAttention)
    assert isinstance(expected, RotatingAttention)
    rotation = Rotation(angles.cos(), angles.sin())
    torch.testing.assert_close(
        got.attend_unrotated(LAYER, parts, rotation, SCALE, bias),
        expected.attend_unrotated(LAYER, whole, rotation, SCALE),
        atol=1e-4,
        rtol=1e-4,
    )
    torch.testing.assert_close(caches[0].k, caches[1].k, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(caches[0].v, caches[1].v, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing_and_writes_nowhere() -> None:
    of, block_size = model(2, 3, 64), 16
    lens, group = [(1, 90), (1, 70), (1, 33)], PrefixGroup((0, 1), 64)
    batch = batch_of(lens, block_size, [group])
    reference = filled_cache(of, block_size)
    cache = copy_of(reference, of)
    q, k, v = qkv(of, 8)
    slots = torch.full((8,), -1, device=DEVICE)
    slots[:3] = batch.slot_mapping
    backend = make_backend(choose_attention(EngineConfig(attention="triton"), DEVICE, of.dtype), cache, of.num_heads)
    assert isinstance(backend, TritonBackend)
    static = backend.static_decode(8, slots, batch.block_tables)
    rows, contexts = batch.table_rows, batch.context_lens
    static.load([rows[1]] * 8, [400] * 8, [PrefixGroup(tuple(range(8)), 48)])  # another, larger step before
    for groups in ((group,), ()):
        assert static.load(rows, contexts, groups) == bool(groups)
        got = static.attention(is_shared=bool(groups))(LAYER, q, k, v, SCALE)
        expected = SdpaBackend(reference).plan(batch)(LAYER, q[:, :3], k[:, :3], v[:, :3], SCALE)
        torch.testing.assert_close(got[:3], expected, atol=TOLERANCE[of.dtype], rtol=TOLERANCE[of.dtype])
        assert not got[3:].any()
        assert torch.equal(cache.k, reference.k)


def test_a_head_dim_without_kernel_is_refused() -> None:
    of = model(2, 3, 80)
    choice = choose_attention(EngineConfig(attention="triton"), DEVICE, of.dtype)
    with pytest.raises(ConfigError, match=r"head dims 16, 32, 64, 128.*80.*sdpa"):
        make_backend(choice, KVCache(of, 8, 16), of.num_heads)
