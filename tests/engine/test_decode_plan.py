"""Contexts are cut so that every token is read for every query exactly once, and groups are those that save most."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from glyph_core.engine.attention.decode_plan import (
    max_own_tasks,
    max_shared_tasks,
    plan_decode,
    shared_prefixes,
    task_length,
)
from glyph_core.engine.attention.decode_tasks import TaskSizes
from glyph_core.engine.attention.protocol import PrefixGroup


@pytest.mark.parametrize("seed", range(30))
def test_every_token_once_for_every_query(seed: int) -> None:
    random = Random(seed)
    num_queries, num_tasks, max_members = random.randint(1, 12), random.choice([1, 8, 132]), random.choice([1, 3, 8])
    lens = [random.choice([1, 127, 128, 129, random.randint(1, 9000)]) for _ in range(num_queries)]
    queries = list(range(num_queries))
    random.shuffle(queries)
    groups = []
    while len(queries) > 2 and random.random() < 0.7:
        members = tuple(queries.pop() for _ in range(random.randint(2, len(queries))))
        shared = min(lens[member] for member in members) // 16 * 16
        if shared:
            groups.append(PrefixGroup(members, shared))
    plan = plan_decode(range(100, 100 + num_queries), lens, groups, num_tasks=num_tasks, max_members=max_members)

    seen = [np.zeros(length, dtype=int) for length in lens]
    parts: list[list[int]] = [[] for _ in lens]
    for row, start, stop, first, num_members, part in np.concatenate([plan.own, plan.shared]):
        assert 0 < num_members <= max_members
        members = plan.members[first : first + num_members]
        assert row - 100 in {*members, *(group.members[0] for group in groups if set(members) <= {*group.members})}
        for query in members:
            seen[query][start:stop] += 1
            parts[query].append(plan.part_starts[query] + part)
    assert all((times == 1).all() for times in seen)
    for query, slots in enumerate(parts):  # each query's parts lie where it looks for them, none twice
        assert sorted(slots) == list(range(plan.part_starts[query], plan.part_starts[query + 1]))
    assert len(plan.own) <= max_own_tasks(num_queries, num_tasks)
    assert len(plan.shared) <= max_shared_tasks(num_queries, num_tasks, max_members)
    sizes, most = TaskSizes.of(plan), TaskSizes.most(num_queries, num_tasks, max_members)
    assert sizes.num_members <= most.num_members
    assert sizes.num_parts <= most.num_parts


def test_tasks_are_as_many_as_asked_for_and_not_too_short() -> None:
    assert task_length(80_000, 132) * 132 >= 80_000 > (task_length(80_000, 132) - 64) * 132
    assert task_length(10, 132) == 128


@pytest.mark.parametrize(
    ("sizes", "num_tokens"), [((8,), (80_000,)), ((32,), (80_000,)), ((9, 2), (30_000, 500)), ((3, 4, 5), (999, 7, 64))]
)
def test_shared_tasks_fit_the_card_at_once(sizes: tuple[int, ...], num_tokens: tuple[int, ...]) -> None:
    ends = np.cumsum(sizes).tolist()
    spans = zip([0, *ends], ends, num_tokens, strict=False)
    groups = [PrefixGroup(tuple(range(first, end)), num) for first, end, num in spans]
    plan = plan_decode(range(ends[-1]), [80_001] * ends[-1], groups, num_tasks=264, max_members=8)
    assert len(plan.shared) <= 66
    assert len(plan.shared) > 60 or max(num_tokens) < 60 * 128  # and they keep it busy


def tables(*rows: str) -> np.ndarray:
    """A letter is a block; rows are filled up with a block of nobody's."""
    width = max(map(len, rows))
    return np.array([[ord(letter) for letter in row.ljust(width, "\x00")] for row in rows], dtype=np.int32)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["abcd", "abxy"], [((0, 1), 2)]),
        (["abcd", "xbcd"], []),
        (["sAAAA1", "sBBBB2", "sAAAA3", "sBBBB4"], [((0, 2), 5), ((1, 3), 5)]),  # one system prompt, two documents
        (["sssA1", "sssB2", "sssC3", "sssA4"], [((0, 1, 2, 3), 3)]),  # what all share saves more
        (["abc", "abc", "abc"], [((0, 1, 2), 3)]),
        (["a", "abcde"], [((0, 1), 1)]),
        (["abc"], []),
    ],
)
def test_groups(rows: list[str], expected: list[tuple[tuple[int, ...], int]]) -> None:
    found = shared_prefixes(tables(*rows), [len(row) for row in rows], block_size=1, min_tokens=1)
    assert sorted((group.members, group.num_tokens) for group in found) == expected


def test_blocks_beyond_what_may_be_shared_are_not() -> None:
    found = shared_prefixes(tables("abcd", "abcd"), [2, 4], block_size=16, min_tokens=1)
    assert [(group.members, group.num_tokens) for group in found] == [((0, 1), 32)]
    assert shared_prefixes(tables("abcd", "abcd"), [2, 4], block_size=16, min_tokens=33) == []
