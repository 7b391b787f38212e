"""A convolution that sees one kernel's worth at a time is a matrix product; any other stays what it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glyph_core.model.whole_kernels import WholeKernel, replace_whole_kernels


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv3d(3, 8, (2, 4, 4), (2, 4, 4)), nn.Conv2d(6, 5, 2, 2), nn.Conv2d(6, 5, 2, 2, bias=False)],
    ids=["patches", "merger", "without bias"],
)
def test_it_equals_the_convolution(convolution: nn.Conv2d | nn.Conv3d) -> None:
    patches = torch.randn(7, *convolution.weight.shape[1:])
    torch.testing.assert_close(WholeKernel(convolution)(patches), convolution(patches), rtol=0, atol=1e-5)


def test_only_those_that_step_by_their_kernel_are_replaced() -> None:
    model = nn.ModuleDict(
        {
            "patches": nn.Conv2d(3, 4, 2, 2), "overlapping": nn.Conv2d(3, 4, 3, 1), "padded": nn.Conv2d(3, 4, 2, 2, 1),
            "grouped": nn.Conv2d(4, 4, 2, 2, groups=2), "dilated": nn.Conv2d(3, 4, 2, 2, dilation=2),
            "inner": nn.Sequential(nn.Conv3d(3, 4, 2, 2)),
        }
    )  # fmt: skip
    names = set(model.state_dict())
    replace_whole_kernels(model)
    replaced = {name for name, module in model.named_modules() if isinstance(module, WholeKernel)}
    assert replaced == {"patches", "inner.0"}
    assert set(model.state_dict()) == names


def test_an_uncut_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 4\)"):
        WholeKernel(nn.Conv2d(3, 4, 2, 2))(torch.zeros(1, 3, 4, 4))
