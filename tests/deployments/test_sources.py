"""Documents of the object store are fetched once while they are in use."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from deployments.protocol import DocumentRef
from deployments.sources import SourceCache
from glyph_core.types import digest_of


@dataclass
class CountedStore:
    content: bytes
    num_fetched: int = 0

    def __await__(self) -> Generator[Any, None, bytes]:
        self.num_fetched += 1
        return asyncio.sleep(0, self.content).__await__()


def put(content: bytes, name: str = "a.txt") -> tuple[DocumentRef, CountedStore]:
    store = CountedStore(content)
    return DocumentRef(name, digest_of(content), len(content), store), store


def test_the_same_bytes_are_fetched_once_under_any_name() -> None:
    async def test() -> None:
        cache = SourceCache(100)
        (first, first_store), (second, second_store) = put(b"text", "a.txt"), put(b"text", "b.txt")
        assert [(await cache.get(document)).name for document in (first, first, second)] == ["a.txt", "a.txt", "b.txt"]
        assert (await cache.get(second)).digest == first.digest
        assert (first_store.num_fetched, second_store.num_fetched) == (1, 0)

    asyncio.run(test())


def test_the_longest_unused_go_first() -> None:
    async def test() -> None:
        cache = SourceCache(100)
        (a, a_store), (b, b_store), (c, _) = put(b"a" * 40), put(b"b" * 40), put(b"c" * 40)
        for document in (a, b, a, c, a, b):
            await cache.get(document)
        assert (a_store.num_fetched, b_store.num_fetched) == (1, 2)

    asyncio.run(test())


def test_one_that_is_larger_than_the_cache_is_kept_alone() -> None:
    async def test() -> None:
        cache = SourceCache(100)
        (small, small_store), (large, large_store) = put(b"s" * 40), put(b"l" * 400)
        for document in (small, large, large, small, large):
            await cache.get(document)
        assert (small_store.num_fetched, large_store.num_fetched) == (2, 2)

    asyncio.run(test())
