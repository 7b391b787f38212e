"""Pages through the vision tower: as transformers encodes them, however they are grouped."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.types import Page, PagePlan
from glyph_core.vision.encoder import VisionEncoder
from tests.tiny_checkpoint import hf_inputs, make_tiny_glm4v, question_about, random_pages

CPU = torch.device("cpu")
SIZES = [(224, 112), (140, 196), (100, 333), (28, 28), (224, 112)]  # px


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def family(folder: Path) -> Family:
    return family_of(resolve_checkpoint(str(folder)))


@pytest.fixture(scope="module")
def encoder(family: Family) -> VisionEncoder:
    return VisionEncoder(family, torch.float32, CPU)


def as_pages(pixels: list[np.ndarray]) -> list[Page]:
    return [Page(PagePlan(i, p.shape[1], p.shape[0], f"page-{i}"), p) for i, p in enumerate(pixels)]


def test_a_batch_equals_transformers(folder: Path, family: Family, encoder: VisionEncoder) -> None:
    pixels = random_pages(SIZES)
    full = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = hf_inputs(folder, pixels, question_about(len(pixels), "?"))
    with torch.no_grad():
        expected = full.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
    for got, reference, page in zip(encoder.encode(as_pages(pixels)), expected, pixels, strict=True):
        torch.testing.assert_close(got.features, reference, rtol=0, atol=5e-6)
        assert got.grid_thw == family.grid_thw(page.shape[1], page.shape[0])
        assert got.num_visual_tokens == family.num_visual_tokens(got.grid_thw)


def test_pages_at_once_equal_pages_one_by_one(encoder: VisionEncoder) -> None:
    pages = as_pages(random_pages(SIZES))
    for together, page in zip(encoder.encode(pages), pages, strict=True):
        [alone] = encoder.encode([page])
        assert together.plan is page.plan
        torch.testing.assert_close(together.features, alone.features, rtol=0, atol=5e-6)


def test_large_pages_go_in_several_forwards(encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planned for is the largest page, not eight of them."""
    pages = as_pages(random_pages(SIZES))
    together = encoder.encode(pages)
    sizes: list[int] = []
    encode = encoder._model.encode

    def noting(patches: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        sizes.append(len(grid_thw))
        return encode(patches, grid_thw)

    monkeypatch.setattr(encoder._model, "encode", noting)
    monkeypatch.setattr("glyph_core.vision.encoder.MAX_FORWARD_PX", 224 * 112 + 140 * 196)
    for one, other in zip(encoder.encode(pages), together, strict=True):
        assert one.plan is other.plan
        torch.testing.assert_close(one.features, other.features, rtol=0, atol=5e-6)
    assert sizes == [2, 2, 1]  # the third is larger than wide pages are, and takes the fourth along


def test_gray_and_rgb_pages_are_alike(encoder: VisionEncoder) -> None:
    [gray] = random_pages([(140, 196)])
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    one, other = encoder.encode(as_pages([gray, rgb]))
    assert torch.equal(one.features, other.features)


def test_features_travel_alone(encoder: VisionEncoder) -> None:
    """A view into the batch would carry the whole batch along when it is sent to another replica."""
    for features in encoder.encode(as_pages(random_pages(SIZES))):
        size = features.features.nbytes
        assert features.features.untyped_storage().nbytes() == size
        assert len(pickle.dumps(features)) < size + 2000


def test_features_need_no_gradient(encoder: VisionEncoder) -> None:
    [features] = encoder.encode(as_pages(random_pages([(56, 56)])))
    assert not features.features.requires_grad


def test_no_pages_no_features(encoder: VisionEncoder) -> None:
    assert encoder.encode([]) == []


def test_a_rehearsal_encodes_the_largest_page_and_the_usual_ones_together(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In colour, as large in sum as a forward may be."""
    monkeypatch.setattr("glyph_core.vision.encoder.MAX_FORWARD_PX", 40_000)
    monkeypatch.setattr("glyph_core.vision.encoder.USUAL_PAGE_PX", 15_000)
    encoder = VisionEncoder(family, torch.float32, CPU)
    forwards: list[tuple[int, ...]] = []
    preprocess = family.preprocess

    def watched(pages: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        forwards.append(tuple(page.size // 3 for page in pages))
        return preprocess(pages)

    monkeypatch.setattr(family, "preprocess", watched)
    encoder.rehearse(3)
    [[largest], usual, rest] = forwards
    assert 39_000 < largest <= 40_000
    assert (len(usual), len(rest)) == (2, 1)
    assert all(14_000 < area <= 15_000 for area in (*usual, *rest))
