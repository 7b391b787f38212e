"""Our preprocessing against transformers' Glm4vImageProcessorPil: equal to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil, smart_resize

from glyph_core.errors import InvalidDocumentError, ModelError
from glyph_core.model.patches import PatchGeometry, read_geometry

SIZES = [  # (width, height) px
    (476, 868), (28, 28), (224, 112),  # multiples of 28: not resized
    (595, 842), (100, 333), (477, 869), (14, 300), (42, 70), (1000, 30),  # others
    (1, 1), (5, 9), (27, 29), (30, 100), (111, 112),  # below min_pixels, or narrower than a token
    (1300, 1000), (3000, 400),  # above max_pixels as the tests set it
]  # fmt: skip


def geometry(tmp_path: Path, processor: Glm4vImageProcessorPil) -> PatchGeometry:
    processor.save_pretrained(tmp_path)
    return read_geometry(tmp_path)


@pytest.fixture
def processor() -> Glm4vImageProcessorPil:
    """As in published checkpoints, but for a maximum that a test can exceed: 1,000 visual tokens."""
    return Glm4vImageProcessorPil(size={"shortest_edge": 112 * 112, "longest_edge": 2 * 28 * 28 * 1000})


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "rgb"])
def test_patches_equal_transformers(
    tmp_path: Path, processor: Glm4vImageProcessorPil, size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    width, height = size
    pixels = np.random.default_rng(width + height).integers(0, 256, (height, width, *channels), dtype=np.uint8)
    expected = processor(images=[Image.fromarray(pixels)], return_tensors="np")
    ours = geometry(tmp_path, processor)
    patches = ours.patches(pixels)
    assert patches.dtype == np.float32
    np.testing.assert_array_equal(patches, expected["pixel_values"])
    assert list(ours.grid_thw(width, height)) == expected["image_grid_thw"][0].tolist()
    assert ours.num_visual_tokens(ours.grid_thw(width, height)) == len(patches) // 4


def test_a_page_of_whole_tokens_is_not_resized(tmp_path: Path, processor: Glm4vImageProcessorPil) -> None:
    ours = geometry(tmp_path, processor)
    assert ours.resized(476, 868) == (476, 868)
    assert ours.grid_thw(476, 868) == (1, 62, 34)
    page = np.random.default_rng(0).integers(0, 256, (868, 476), dtype=np.uint8)
    red = ours.patches(page)[:, :196].reshape(31, 17, 2, 2, 14, 14).transpose(0, 2, 4, 1, 3, 5).reshape(868, 476)
    levels = np.unique(np.stack([page.ravel(), red.ravel()]), axis=1)
    assert levels.shape[1] == 256  # each level went to one value: no pixel was mixed with another


@settings(max_examples=500, deadline=None)
@given(width=st.integers(1, 5000), height=st.integers(1, 5000), shortest=st.integers(1, 2000))
def test_resize_equals_smart_resize(width: int, height: int, shortest: int) -> None:
    limits = (shortest * 28, shortest * 2800)
    ours = PatchGeometry(14, 2, 2, *limits, mean=(0.5,) * 3, std=(0.5,) * 3, rescale_factor=1 / 255, resample=3)
    try:
        expected = smart_resize(2, height, width, 2, 28, *limits)
    except ValueError:
        with pytest.raises(InvalidDocumentError, match=rf"{width}×{height} px is more than 200 times"):
            ours.resized(width, height)
    else:
        assert ours.resized(width, height) == expected[::-1]


def test_both_names_of_the_configuration_are_read(tmp_path: Path, processor: Glm4vImageProcessorPil) -> None:
    settings = json.loads(processor.to_json_string())
    for name, content in (
        ("processor_config.json", {"image_processor": settings}),
        ("preprocessor_config.json", settings),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(json.dumps(content))
        assert read_geometry(folder).max_pixels == 2 * 28 * 28 * 1000


def test_a_missing_or_damaged_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has neither processor_config"):
        read_geometry(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text('{"patch_size": 14, "size": {}}')
    with pytest.raises(ModelError, match="lacks the key 'merge_size'"):
        read_geometry(tmp_path)
    file.write_text("[]")
    with pytest.raises(ModelError, match="no JSON object"):
        read_geometry(tmp_path)
