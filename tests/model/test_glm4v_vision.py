"""The fused vision tower equals transformers' own over pages of several sizes; its parts equal what they replace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
from glyph_core.model.layer_ops import TritonOps
from glyph_core.model.loading import load_config
from glyph_core.model.patch_places import by_token, patch_places, resized_table
from glyph_core.model.patches import read_geometry
from glyph_core.model.pixel_levels import PixelLevels
from glyph_core.model.transformers_vision import PatchVisionModel
from glyph_core.model.weights import CheckpointWeights
from tests.tiny_checkpoint import random_pages

CPU = torch.device("cpu")
SIZES = [(224, 112), (140, 196), (140, 196), (100, 333), (28, 28), (224, 112)]  # px


def features(family: Family, pages: list[np.ndarray], **options: str) -> torch.Tensor:
    return torch.cat(family.load_vision(torch.float32, CPU, **options).encode(*family.preprocess(pages)))


def test_equals_transformers(family: Family) -> None:
    fused, reference = (
        family.load_vision(torch.float32, CPU),
        family.load_vision(torch.float32, CPU, kernels="transformers"),
    )
    assert isinstance(fused, FusedGlm4vVisionModel)
    assert isinstance(reference, PatchVisionModel)
    [rgb] = random_pages([(84, 140)])
    pages = [*random_pages(SIZES), np.stack([rgb, rgb // 2, 255 - rgb], axis=-1)]
    given = family.preprocess(pages)
    for got, expected in zip(fused.encode(*given), reference.encode(*given), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=5e-6)
    assert fused.dtype == reference.dtype


def test_equals_transformers_through_the_kernels(folder: Path, family: Family) -> None:
    pytest.importorskip("triton", reason="the package triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("Triton takes the CPU's tensors in its interpreter alone")
    weights = CheckpointWeights(folder, torch.float32, CPU, "vision")
    levels = PixelLevels(read_geometry(folder), torch.float32, CPU)
    fused = FusedGlm4vVisionModel(load_config(folder), weights, TritonOps(), levels)
    pages = random_pages([(56, 84), (112, 28)])
    got = torch.cat(fused.encode(*family.preprocess(pages)))
    torch.testing.assert_close(got, features(family, pages, kernels="transformers"), rtol=0, atol=1e-5)


def test_fp8_weights_are_half_as_large_and_near() -> None:
    mini = family_of(resolve_checkpoint("glyph-mini"))
    exact, quantized = (mini.load_vision(torch.float32, CPU, weights=weights) for weights in ("auto", "fp8"))
    assert isinstance(exact, FusedGlm4vVisionModel)
    assert isinstance(quantized, FusedGlm4vVisionModel)
    assert quantized.num_bytes < exact.num_bytes * 0.4  # from 32 bits
    given = mini.preprocess(random_pages([(84, 112)]))
    expected, got = torch.cat(exact.encode(*given)), torch.cat(quantized.encode(*given))
    assert 0.001 < ((got - expected).norm() / expected.norm()).item() < 0.2


@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "rgb"])
def test_levels_equal_the_patches_to_the_last_bit(folder: Path, channels: tuple[int, ...]) -> None:
    geometry = read_geometry(folder)
    page = np.random.default_rng(0).integers(0, 256, (112, 84, *channels), dtype=np.uint8)
    got = PixelLevels(geometry, torch.float32, CPU)(torch.from_numpy(geometry.tiles(page)))
    assert torch.equal(got, torch.from_numpy(geometry.patches(page)))


@pytest.mark.parametrize(("size", "rows", "columns"), [(24, 60, 42), (24, 24, 24), (4, 2, 10), (7, 62, 3)])
def test_the_stretched_table_equals_grid_sample(size: int, rows: int, columns: int) -> None:
    table = torch.randn(size, size, 5, generator=torch.Generator().manual_seed(0))
    y, x = ((torch.arange(num) + 0.5) / num * 2 - 1 for num in (rows, columns))
    grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)
    expected = F.grid_sample(
        table.permute(2, 0, 1)[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(resized_table(table, rows, columns), expected[0].permute(1, 2, 0), rtol=0, atol=1e-5)


def test_patches_of_a_token_lie_side_by_side() -> None:
    assert patch_places(2, 4, 2, CPU).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    page = torch.arange(8).view(2, 4, 1)
    assert by_token(page, 2).flatten().tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
