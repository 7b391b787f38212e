"""What pages go through on their way: equal to the libraries that do it to real pages."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from glyph_core.training import augment


def random_picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(5).integers(0, 256, (-(-height // 4), -(-width // 4)), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(4, 0).repeat(4, 1)[:height, :width])


def transform(picture: np.ndarray, final: tuple[int, int], **effects: float) -> np.ndarray:
    """Through a canvas that is larger than the picture; ``final`` is (width, height)."""
    height, width = picture.shape
    canvas = torch.zeros(1, 168, 168)
    canvas[0, :height, :width] = torch.from_numpy(picture) / 255
    fields = torch.zeros(1, len(augment.CanvasFields))
    fields[0, :4] = torch.tensor([width, height, *final])
    for name, value in effects.items():
        fields[0, augment.CanvasFields[name.upper()]] = value
    return (augment.transform(canvas, fields)[0, : final[1], : final[0]] * 255).round().numpy()


def test_resizing_is_pillows_bicubic() -> None:
    picture = random_picture(119, 131)
    for final in ((112, 112), (140, 140), (131, 119)):
        reference = np.asarray(Image.fromarray(picture).resize(final, Image.Resampling.BICUBIC), dtype=np.float32)
        assert np.abs(transform(picture, final) - reference).max() <= 2  # Pillow rounds between its two passes


def test_nothing_is_changed_where_nothing_is_asked() -> None:
    picture = random_picture(112, 140)
    np.testing.assert_array_equal(transform(picture, (140, 112)), picture)


def test_compression_is_close_to_jpegs() -> None:
    picture = random_picture(112, 112)
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=60)
    reference = np.asarray(Image.open(encoded), dtype=np.float32)
    ours = transform(picture, (112, 112), quality=60)
    assert np.abs(ours - reference).mean() < 0.25 * np.abs(reference - picture).mean()


def test_a_shift_moves_and_a_blur_keeps_the_ink() -> None:
    picture = np.zeros((112, 112), np.uint8)
    picture[50:60, 50:60] = 255
    moved = transform(picture, (112, 112), blur=0.3, shift_x=2, shift_y=1)
    np.testing.assert_allclose(moved[51:61, 52:62].mean(), 255, atol=12)
    np.testing.assert_allclose(moved.sum(), picture.sum(), rtol=0.01)


def test_exposure_inverts_by_ink_and_paper() -> None:
    blocks = torch.tensor([[[0, 255]]], dtype=torch.uint8).expand(2, 1, 2)
    photometry = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    bright = augment.expose(blocks, photometry, torch.zeros(2, 1, 2))
    assert bright.tolist() == [[[1.0, 0.0]], [[0.0, 1.0]]]
