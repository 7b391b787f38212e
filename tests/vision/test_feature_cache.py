"""The cache never holds more than it may, forgets the oldest first, and gives back what was put."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glyph_core.vision.feature_cache import FeatureCache


def test_pinned_pages_go_after_all_others_within_half_of_the_cache() -> None:
    cache: FeatureCache[str] = FeatureCache(4)
    cache.pin("mine/lease", ["a", "b"])
    for page in "abcdefg":
        cache.put(page, page, 1)
    assert [page for page in "abcdefg" if page in cache] == ["a", "b", "f", "g"]
    cache.pin("mine/annex", ["f"])  # three of four: too much
    cache.put("h", "h", 1)
    assert "a" not in cache
    cache.unpin("mine/")
    for page in "ijkl":
        cache.put(page, page, 1)
    assert [page for page in "abfghijkl" if page in cache] == list("ijkl")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12)), max_size=60))
def test_bounds_and_contents(puts: list[tuple[str, int]]) -> None:
    cache: FeatureCache[int] = FeatureCache(max_bytes=20)
    sizes: dict[str, int] = {}
    for value, (digest, num_bytes) in enumerate(puts):
        cache.put(digest, value, num_bytes)
        sizes[digest] = num_bytes
        assert cache.get(digest) == value
        assert cache.num_bytes == sum(sizes[d] for d in "abcdef" if d in cache) <= 20
        assert len(cache) == sum(d in cache for d in "abcdef")


def test_the_page_used_longest_ago_goes_first() -> None:
    cache: FeatureCache[str] = FeatureCache(max_bytes=2)
    cache.put("a", "A", 1)
    cache.put("b", "B", 1)
    assert cache.get("a") == "A"
    cache.put("c", "C", 1)
    assert [digest for digest in "abc" if digest in cache] == ["a", "c"]


def test_a_page_larger_than_the_cache_is_not_kept_and_pushes_nothing_out() -> None:
    cache: FeatureCache[str] = FeatureCache(max_bytes=2)
    cache.put("a", "A", 2)
    cache.put("b", "B", 3)
    assert "a" in cache
    assert cache.get("b") is None
