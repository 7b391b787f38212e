"""What passes between the stages: digests that tell documents apart, and numbers that mean the same everywhere."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields

import pytest

from glyph_core.types import (
    DIGEST_BYTES,
    Answer,
    DocumentPlan,
    DocumentSource,
    PagePlacement,
    PagePlan,
    Prompt,
    Timings,
    Usage,
    digest_of,
)


def test_digest_is_128_bits_and_stable() -> None:
    assert len(bytes.fromhex(digest_of(b"abc"))) == DIGEST_BYTES
    assert digest_of(b"abc") == digest_of(b"abc")


def test_digest_tells_where_its_parts_are_cut() -> None:
    assert len({digest_of(b"ab", b"c"), digest_of(b"a", b"bc"), digest_of(b"abc"), digest_of(b"abc", b"")}) == 4


def test_source_digest_is_of_the_content_alone() -> None:
    first, renamed, other = (
        DocumentSource("a.txt", b"text"),
        DocumentSource("b.txt", b"text"),
        DocumentSource("a.txt", b"Text"),
    )
    assert first.digest == renamed.digest == digest_of(b"text")
    assert first.digest != other.digest


def test_a_given_source_digest_is_kept() -> None:
    assert DocumentSource("a.txt", b"text", digest="00").digest == "00"


def test_source_shows_its_name_but_not_its_content() -> None:
    assert repr(DocumentSource("a.txt", b"a secret")).count("secret") == 0


def test_values_are_frozen_and_survive_pickling() -> None:
    source = DocumentSource("a.txt", b"text")
    with pytest.raises(FrozenInstanceError):
        source.name = "b.txt"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(source)) == source


def test_plan_counts_its_pages() -> None:
    pages = tuple(PagePlan(index, 476, 868, digest_of(bytes([index]))) for index in range(3))
    assert DocumentPlan("0", "d", "text/plain", pages, num_text_chars=10).num_pages == 3


def test_prompt_sums_visual_tokens_over_its_pages() -> None:
    placements = [
        PagePlacement(PagePlan(i, 28, 28, ""), start=10 * i, num_tokens=i + 1, grid_thw=(1, 2, 2)) for i in (0, 1)
    ]
    assert [placement.stop for placement in placements] == [1, 12]
    assert Prompt((), tuple(placements)).num_visual_tokens == 3


def test_compression_ratio_is_text_tokens_over_visual_tokens() -> None:
    usage = Usage(100, 5, num_visual_tokens=40, num_cached_tokens=0, num_text_tokens=120)
    assert usage.compression_ratio == 3.0


def test_compression_ratio_without_pages_is_zero() -> None:
    assert Usage(100, 5, num_visual_tokens=0, num_cached_tokens=0, num_text_tokens=120).compression_ratio == 0.0


def test_overlap_is_stage_time_over_time_to_first_token() -> None:
    assert Timings(render_s=1, encode_s=2, prefill_s=1, ttft_s=2).overlap == 2.0
    assert Timings().overlap == 0.0


def test_an_answer_made_without_them_has_no_reasoning_and_no_warnings() -> None:
    defaults = {f.name: f.default for f in fields(Answer)}
    assert (defaults["reasoning"], defaults["warnings"]) == ("", ())
