"""Pages as each family's vision tower takes them: equal to transformers' own processors, to the last bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of, geometry_of
from glyph_core.model.patches import PatchGeometry
from glyph_core.model.pixel_levels import PixelLevels
from glyph_core.model.tiles import NextTileGeometry, TileGeometry
from tests.tiny_checkpoint import question_about, random_pages
from tests.tiny_families import FAMILIES, PINPOINTS, TILE, hf_inputs, make_tiny

CPU = torch.device("cpu")
SIZES = [(224, 112), (140, 196), (100, 333), (28, 28), (333, 100), (57, 56), (240, 310), (224, 84), (84, 224)]  # px


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def family(folder: Path) -> Family:
    return family_of(resolve_checkpoint(str(folder)))


def test_a_tiny_checkpoint_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    """Whatever was drawn before: its tests compare answers that a near tie would change."""
    torch.rand(7)
    again = make_tiny(tmp_path, family_of(resolve_checkpoint(str(folder))).checkpoint.family)
    first, second = (load_file(path / "model.safetensors") for path in (folder, again))
    assert first.keys() == second.keys()
    assert [name for name, weight in first.items() if not torch.equal(weight, second[name])] == []


def unstacked(images: torch.Tensor, family: Family, pages: list[np.ndarray]) -> torch.Tensor:
    """Without the tiles that LLaVA-NeXT's processor makes up so that all pages have as many."""
    if images.dim() < 5:
        return images
    counts = [family.geometry.layout(page.shape[1], page.shape[0])[0] for page in pages]
    return torch.cat([tiles[:count] for tiles, count in zip(images, counts, strict=True)])


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
def test_pages_equal_transformers(folder: Path, family: Family, channels: int) -> None:
    pages = random_pages(SIZES)
    if channels == 3:
        random = np.random.default_rng(0)
        pages = [random.integers(0, 256, (*page.shape, 3), dtype=np.uint8) for page in pages]
    expected = hf_inputs(folder, pages, question_about(len(pages), "?"))
    pixel_values, layouts = family.preprocess(pages)
    if isinstance(family.geometry, PatchGeometry):
        pixel_values = PixelLevels(family.geometry, torch.float32, CPU)(pixel_values)
    assert pixel_values.dtype == torch.float32
    assert torch.equal(pixel_values, unstacked(expected["pixel_values"], family, pages))
    grids = [family.grid_thw(width, height) for width, height in SIZES]
    assert [tuple(layout[:3]) for layout in layouts.tolist()] == grids
    num_placeholders = int((expected["input_ids"] == family.placeholder_token_id).sum())
    assert sum(family.num_visual_tokens(grid) for grid in grids) == num_placeholders


def test_features_have_the_places_that_the_prompt_makes(family: Family) -> None:
    pages = random_pages(SIZES[:4])
    features = family.load_vision(torch.float32, CPU).encode(*family.preprocess(pages))
    size = family.load_text(torch.float32, CPU).feature_size
    counts = [family.num_visual_tokens(family.grid_thw(page.shape[1], page.shape[0])) for page in pages]
    assert [tuple(feature.shape) for feature in features] == [(count, size) for count in counts]


@pytest.mark.parametrize("name", ["llava", "llava_next"])
@pytest.mark.parametrize("size", [(595, 842), (842, 595), (1024, 1448), (30, 2000), (60, 60)], ids=str)
def test_an_em_keeps_six_pixels(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    """At every size of page: the checkpoint's preset draws an em of 11.625 px."""
    few = {"image_grid_pinpoints": PINPOINTS[:3]} if name == "llava_next" else {}
    folder = make_tiny(tmp_path, name, **few)
    (folder / "preprocessor_config.json").write_text(
        (folder / "preprocessor_config.json").read_text().replace("image_grid_pinpoints", "ignored")
    )
    geometry = geometry_of(resolve_checkpoint(str(folder)))
    width, height = size
    if isinstance(geometry, NextTileGeometry):
        rows, columns = geometry.tile_grid(width, height)
        fewer = geometry.pinpoints == tuple(map(tuple, PINPOINTS[:3]))
        assert fewer
    else:
        assert isinstance(geometry, TileGeometry)
        rows, columns = geometry.look.least_grid(width, height)
    assert 11.625 * min(rows * TILE / height, columns * TILE / width) >= 6


def test_an_adapter_imports_no_torch(folder: Path) -> None:
    """The gateway and the renderer ask it what a page costs."""
    code = (
        "import sys; from glyph_core.model.family import family_of; "
        "from glyph_core.model.checkpoint import resolve_checkpoint; "
        f"family_of(resolve_checkpoint({str(folder)!r})).grid_thw(595, 842); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_random_weights_need_no_files(folder: Path, tmp_path: Path) -> None:
    """A shape without its weights, for measuring: everything else is the checkpoint's."""
    path = shutil.copytree(folder, tmp_path / "random", ignore=shutil.ignore_patterns("*.safetensors"))
    (path / "glyph_config.json").write_text('{"render_preset": "mini", "weights": "random"}')
    stored, drawn = (family_of(resolve_checkpoint(str(where))) for where in (folder, path))
    pages = random_pages(SIZES[:2])
    for family in (stored, drawn):
        features = family.load_vision(torch.float32, CPU).encode(*family.preprocess(pages))
        assert all(bool(feature.isfinite().all()) and feature.std() > 0 for feature in features)
    ours, theirs = (family.load_text(torch.bfloat16, CPU, kernels="transformers") for family in (drawn, stored))
    assert (ours.feature_size, ours.dtype, ours.device) == (theirs.feature_size, theirs.dtype, theirs.device)
    weights, others = (dict(text._model.state_dict()) for text in (ours, theirs))  # type: ignore[attr-defined]
    assert {name: weight.shape for name, weight in weights.items()} == {
        name: weight.shape for name, weight in others.items()
    }
    buffers, others = (dict(text._model.named_buffers()) for text in (ours, theirs))  # type: ignore[attr-defined]
    assert all(torch.equal(buffers[name], other) for name, other in others.items())
