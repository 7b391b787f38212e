"""What happens to a page between the renderer and the model: resizing, blur, shift, JPEG, ink, paper and noise.

Pages that change their geometry pass through a canvas, a stack of pictures of one size; all others stay blocks.
C pages on the canvas of H×W px; N visual tokens. Coverage is 0 (paper) to 1 (ink).
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch.nn import functional

from glyph_core.training.batch import BLOCK_PX

KERNEL_SIDE = 7  # of the blur, px
# The luminance table of ITU-T T.81 (JPEG), annex K.1
_QUANTISATION = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip


class CanvasFields(IntEnum):
    """Columns of a batch's ``canvas_fields``."""

    WIDTH = 0  # as composed, px
    HEIGHT = 1
    FINAL_WIDTH = 2
    FINAL_HEIGHT = 3
    SHIFT_X = 4  # px
    SHIFT_Y = 5
    BLUR = 6  # standard deviation, px; 0: none
    QUALITY = 7  # of JPEG, 1 to 100; 0: none


def to_canvas(blocks: torch.Tensor, source: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """blocks (B, 28, 28) uint8 and source (C, rows * columns) into B and one white block → (C, H, W) float32."""
    columns, rows = grid
    with_white = torch.cat([blocks, blocks.new_zeros(1, BLOCK_PX, BLOCK_PX)])
    picked = with_white[source.long()].view(len(source), rows, columns, BLOCK_PX, BLOCK_PX)
    return picked.transpose(2, 3).reshape(len(source), rows * BLOCK_PX, columns * BLOCK_PX).float() / 255


def to_blocks(canvas: torch.Tensor) -> torch.Tensor:
    """(C, H, W) in 0..1 → (C * rows * columns, 28, 28) uint8."""
    count, height, width = canvas.shape
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    blocks = canvas.view(count, rows, BLOCK_PX, columns, BLOCK_PX).transpose(2, 3)
    return (blocks.reshape(-1, BLOCK_PX, BLOCK_PX) * 255).round().clamp(0, 255).to(torch.uint8)


def transform(canvas: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
    """Resizes, blurs and compresses each page of (C, H, W) as its row of ``fields`` (C, 8) says."""
    column = {name: fields[:, name] for name in CanvasFields}
    across = resize_matrix(canvas.shape[2], column[CanvasFields.WIDTH], column[CanvasFields.FINAL_WIDTH])
    down = resize_matrix(canvas.shape[1], column[CanvasFields.HEIGHT], column[CanvasFields.FINAL_HEIGHT])
    canvas = (canvas @ across.transpose(1, 2)).clamp(0, 1)  # Pillow, too, cuts off between its two passes
    canvas = (down @ canvas).clamp(0, 1)
    canvas = blur(canvas, column[CanvasFields.BLUR], column[CanvasFields.SHIFT_X], column[CanvasFields.SHIFT_Y])
    return compress(canvas, column[CanvasFields.QUALITY])


def resize_matrix(side: int, size: torch.Tensor, final_size: torch.Tensor) -> torch.Tensor:
    """(C, side, side): row i holds what pixel i of the final size takes of each pixel of ``size``.

    Bicubic with a = -0.5, widened where it shrinks: Pillow's ``Image.resize``, which glm4v's image processor uses.
    """
    scale = (size / final_size)[:, None, None]
    pixel = torch.arange(side, device=size.device, dtype=torch.float32)
    centre = (pixel[None, :, None] + 0.5) * scale
    reach = scale.clamp(min=1)
    distance = ((pixel[None, None] + 0.5 - centre) / reach).abs()
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weight = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    weight = weight * (pixel[None, None] < size[:, None, None]) * (pixel[None, :, None] < final_size[:, None, None])
    return weight / weight.sum(2, keepdim=True).clamp(min=1e-6)


def blur(canvas: torch.Tensor, sigma: torch.Tensor, shift_x: torch.Tensor, shift_y: torch.Tensor) -> torch.Tensor:
    """Each page of (C, H, W) under a Gaussian that is off its middle by the shift; sigma 0: untouched."""
    offset = torch.arange(KERNEL_SIDE, device=canvas.device) - KERNEL_SIDE // 2
    width = sigma.clamp(min=0.05)[:, None]
    across = torch.exp(-0.5 * ((offset + shift_x[:, None]) / width) ** 2)
    down = torch.exp(-0.5 * ((offset + shift_y[:, None]) / width) ** 2)
    kernel = down[:, :, None] * across[:, None, :]
    kernel = kernel / kernel.sum((1, 2), keepdim=True).clamp(min=1e-6)
    blurred = functional.conv2d(canvas[None], kernel[:, None], padding=KERNEL_SIDE // 2, groups=len(canvas))[0]
    return torch.where((sigma > 0)[:, None, None], blurred, canvas)


def compress(canvas: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """JPEG's loss on each page of (C, H, W), sides in multiples of 28: 8×8 cosine transforms, quantised; quality 0:
    untouched."""
    count, height, width = canvas.shape
    padded = functional.pad(canvas, (0, -width % 8, 0, -height % 8))
    index = torch.arange(8, device=canvas.device, dtype=torch.float32)
    basis = torch.cos((2 * index[None] + 1) * index[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    tiles = padded.view(count, padded.shape[1] // 8, 8, padded.shape[2] // 8, 8).transpose(2, 3) * 255
    percent = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality)[:, None, None, None, None]
    table = torch.tensor(_QUANTISATION, device=canvas.device, dtype=torch.float32)
    steps = ((table * percent + 50) / 100).floor().clamp(min=1)
    restored = basis.T @ ((basis @ tiles @ basis.T / steps).round() * steps) @ basis
    restored = (restored / 255).transpose(2, 3).reshape(padded.shape)[:, :height, :width].clamp(0, 1)
    return torch.where((quality > 0)[:, None, None], restored, canvas)


def expose(blocks: torch.Tensor, photometry: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """coverage (N, 28, 28) uint8, photometry (N, 3: ink, paper, noise) and standard normal ``noise`` (N, 28, 28) →
    brightness in 0..1, in the dtype of ``noise``."""
    ink, paper, strength = (photometry[:, i, None, None].to(noise.dtype) for i in range(3))
    return paper + (ink - paper) * (blocks.to(noise.dtype) / 255) + strength * noise
