"""Convolutions whose kernel covers their whole input, as the matrix products that they are.

Vision towers cut patches beforehand and then embed each with a convolution; on the CPU that takes several times as
long as the same sums as one product.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear


class WholeKernel(nn.Module):
    """Equals ``convolution`` up to rounding for inputs of the kernel's own size: (N, C, *kernel) → (N, out, 1, …)."""

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias  # (out, C, *kernel): the names stay, too
        self.kernel_size = convolution.kernel_size

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        if patches.shape[1:] != self.weight.shape[1:]:
            raise ValueError(f"patches of {tuple(patches.shape[1:])} for a kernel of {tuple(self.weight.shape[1:])}")
        product = linear(patches.flatten(1), self.weight.flatten(1), self.bias)  # (N, out)
        return product.reshape(*product.shape, *(1 for _ in self.kernel_size))


def replace_whole_kernels(model: nn.Module) -> None:
    """Puts :class:`WholeKernel` in the place of ``model``'s convolutions that step by their kernel's size.

    Only for towers that get their patches cut: an input that is larger than the kernel is an error from then on.
    """
    for name, child in list(model.named_modules()):
        if isinstance(child, nn.Conv2d | nn.Conv3d) and _steps_by_kernel(child):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, WholeKernel(child))


def _steps_by_kernel(convolution: nn.Conv2d | nn.Conv3d) -> bool:
    return (
        convolution.stride == convolution.kernel_size
        and not any(convolution.padding)
        and set(convolution.dilation) == {1}
        and convolution.groups == 1
    )
