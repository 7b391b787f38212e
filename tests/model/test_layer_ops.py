"""The kernels equal what is written out in PyTorch. Without a CUDA device Triton runs them as Python."""

from __future__ import annotations

import pytest
import torch

from glyph_core.model.layer_ops import LayerOps, TorchOps, TritonOps

pytest.importorskip("triton", reason="the package triton is not installed")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EPS = 1e-5
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2}  # a GPU's exp and rsqrt are approximate, too


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed + len(shape))
    return torch.randn(shape, generator=random).to(DEVICE, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("size", [64, 384])
def test_norms(size: int, dtype: torch.dtype) -> None:
    residual, x = draw(3, size, dtype=dtype), draw(3, size, dtype=dtype, seed=1)
    post, following = 1 + draw(size, dtype=dtype) / 4, 1 + draw(size, dtype=dtype, seed=2) / 4
    tolerance = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
    torch.testing.assert_close(TritonOps().norm(x, post, EPS), TorchOps().norm(x, post, EPS), **tolerance)
    got, expected = (ops.add_norms(residual, x, post, following, EPS) for ops in (TritonOps(), TorchOps()))
    torch.testing.assert_close(got[0], expected[0], **tolerance)
    torch.testing.assert_close(got[1], expected[1], atol=2 * TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_norm_after_a_sum(dtype: torch.dtype) -> None:
    residual, x, weight = draw(3, 96, dtype=dtype), draw(3, 96, dtype=dtype, seed=1), 1 + draw(96, dtype=dtype) / 4
    got, expected = (ops.add_norm(residual, x, weight, EPS) for ops in (TritonOps(), TorchOps()))
    assert torch.equal(expected[0], residual + x)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("num_places", [4, 8])
def test_halves_turn_as_neighbours_do(num_places: int) -> None:
    """The same pairs, put elsewhere: place i and i + R / 2 instead of 2 i and 2 i + 1."""
    x, angles = draw(5, 10 * 16), draw(5, num_places)
    order = torch.arange(2 * num_places, device=DEVICE).view(num_places, 2).t().flatten()
    for ops in (TorchOps(), TritonOps()):
        halves, neighbours = x.clone(), x.clone()
        heads = neighbours.view(5, 10, 16)[:, :8]
        heads[..., order] = x.view(5, 10, 16)[:, :8, : 2 * num_places]
        ops.rotate_halves(halves, angles.cos(), angles.sin(), 8, 16)
        ops.rotate(neighbours, angles.cos(), angles.sin(), 8, 16)
        heads[..., : 2 * num_places] = heads[..., order]
        torch.testing.assert_close(halves, neighbours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_rotation_leaves_values_and_the_rest_of_a_head_alone(dtype: torch.dtype) -> None:
    x = draw(5, 10 * 16, dtype=dtype)
    angles = draw(5, 4)
    rotated = [x.clone(), x.clone()]
    for ops, target in zip((TritonOps(), TorchOps()), rotated, strict=True):
        ops.rotate(target, angles.cos(), angles.sin(), 8, 16)
    torch.testing.assert_close(*rotated, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    before, after = x.view(5, 10, 16), rotated[0].view(5, 10, 16)
    assert torch.equal(after[:, 8:], before[:, 8:])
    assert torch.equal(after[..., 8:], before[..., 8:])
    assert not torch.isclose(after[:, :8, :8], before[:, :8, :8]).all()


def test_rotary_angles_of_far_positions() -> None:
    """Each frequency turns with its own axis; a hundred thousand turns are no worse than one."""
    positions = torch.tensor([[0, 3, 101_000], [0, 50, 99_999], [0, 7, 12]], device=DEVICE)
    axes, inv_freq = torch.tensor([0, 1, 1, 2], device=DEVICE), torch.tensor([1.0, 0.3, 0.01, 1e-4], device=DEVICE)
    got, expected = (ops.rotary(positions, axes, inv_freq) for ops in (TritonOps(), TorchOps()))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected[0][2], TorchOps().rotary(positions, axes * 0, inv_freq)[0][2], atol=0.01)


@pytest.mark.parametrize("size", [96, 1100])
def test_silu(size: int) -> None:
    x = 3 * draw(3, 2 * size)
    torch.testing.assert_close(TritonOps().silu_mul(x), TorchOps().silu_mul(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_rows", "n", "k"), [(1, 40, 64), (1, 33, 5000), (7, 33, 300), (16, 64, 1100), (32, 9000, 70)]
)
@pytest.mark.parametrize("has_bias", [False, True])
def test_products_of_few_rows(num_rows: int, n: int, k: int, has_bias: bool) -> None:
    x, weight = draw(num_rows, k), draw(n, k, seed=1)
    bias = draw(n) if has_bias else None
    got, expected = (ops.few_rows(x, weight, None, bias) for ops in (TritonOps(), TorchOps()))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    quantized, scale = TorchOps().quantize_rows(weight)
    got, expected = (ops.few_rows(x, quantized, scale[:, 0], bias) for ops in (TritonOps(), TorchOps()))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("num_rows", "n", "k"), [(1, 40, 64), (1, 33, 5000), (3, 33, 300), (16, 70, 64), (32, 9, 70)])
def test_a_gated_product_of_few_rows(num_rows: int, n: int, k: int) -> None:
    x, weight = draw(num_rows, k) / k**0.5, draw(2 * n, k, seed=1)
    got, expected = (ops.few_rows_gated(x, weight, None) for ops in (TritonOps(), TorchOps()))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    quantized, scale = TorchOps().quantize_rows(weight)
    got, expected = (ops.few_rows_gated(x, quantized, scale[:, 0]) for ops in (TritonOps(), TorchOps()))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("num_rows", "n", "num_parts"), [(1, 33, 0), (5, 33, 4), (5, 9000, 0)])
def test_parts_of_a_product_are_added_by_the_norm(num_rows: int, n: int, num_parts: int) -> None:
    x, weight, residual = draw(num_rows, 300), draw(n, 300, seed=1), draw(num_rows, n, seed=2)
    parts, whole = TritonOps().few_rows_parts(x, weight, None, None), TorchOps().few_rows(x, weight, None, None)
    assert parts.shape == ((num_parts, num_rows, n) if num_parts else (num_rows, n))
    post, following = draw(n), draw(n, seed=3)
    for norms in ((post, following), (following,)):
        expected = added(TorchOps(), residual, whole, norms)
        for ops in (TritonOps(), TorchOps()):
            got = added(ops, residual, parts, norms)
            torch.testing.assert_close(got[0], expected[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(got[1], expected[1], atol=1e-3, rtol=1e-3)


def added(
    ops: LayerOps, residual: torch.Tensor, x: torch.Tensor, norms: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    return (ops.add_norms if len(norms) == 2 else ops.add_norm)(residual, x, *norms, EPS)


def test_which_products_are_of_few_rows() -> None:
    """More rows of a large weight in 8 bits are quantised, and multiplied in 8 bits."""
    small, large = torch.empty(64, 16), torch.empty(9000, 16)
    for num_rows, weight, expected in [
        (32, small, True), (33, small, False), (32, large, True), (32, small.to(torch.float8_e4m3fn), True),
        (16, large.to(torch.float8_e4m3fn), True), (17, large.to(torch.float8_e4m3fn), False),
    ]:  # fmt: skip
        assert TritonOps().takes_few(torch.empty(num_rows, 16), weight) == expected
    assert not TorchOps().takes_few(torch.empty(1, 16), small)


def test_quantised_rows() -> None:
    """The scales are equal; the numbers differ by a rounding at most (Triton's interpreter rounds in its own way)."""
    x = draw(6, 200) * torch.tensor([1e-20, 1e-3, 1, 10, 1000, 0], device=DEVICE)[:, None]
    for ops in (TorchOps(), TritonOps()) if DEVICE.type == "cuda" else (TorchOps(),):
        quantized, scale = ops.quantize_rows(x)
        assert quantized.dtype == torch.float8_e4m3fn
        restored = quantized.float() * scale
        largest = x.abs().amax(-1, keepdim=True)
        # Three bits behind the point: half of a step of 1/8 at each power of two, and the steps below 2^-6 are equal.
        assert ((restored - x).abs() <= torch.maximum(x.abs() / 16, largest / 448 / 512 + 1e-14)).all()
    torch.testing.assert_close(TritonOps().quantize_rows(x)[1], TorchOps().quantize_rows(x)[1])
