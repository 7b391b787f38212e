"""Muon for the matrices, AdamW for the rest.

Muon (Jordan et al. 2024): momentum, then each matrix's update is made nearly orthogonal by five Newton-Schulz steps.
Matrices of one shape are stacked and orthogonalised together. A fused matrix (query, key and value of the vision
tower; gate and up of the language model) is several matrices one under the other, and is treated as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NUM_STEPS = 5


class _Slice(NamedTuple):
    parameter: nn.Parameter
    place: int
    num_matrices: int  # matrices that the parameter holds
    is_tall: bool


def orthogonalise(matrices: Tensor) -> Tensor:
    """(n, rows ≤ columns) each → singular values near 1."""
    a, b, c = _COEFFICIENTS
    x: Tensor = matrices.bfloat16() if matrices.is_cuda else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.02 + 1e-7)
    for _ in range(_NUM_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon:
    """Keeps one momentum buffer for each shape. Every parameter must have a gradient at each step."""

    def __init__(self, parameters: Iterable[tuple[nn.Parameter, int]], *, momentum: float, weight_decay: float) -> None:
        """``parameters``: with the number of matrices that each holds, stacked along its first axis."""
        self._momentum, self._weight_decay = momentum, weight_decay
        self._slices: dict[tuple[int, int], list[_Slice]] = {}
        for parameter, count in parameters:
            rows, columns = len(parameter) // count, parameter[0].numel()
            key = (min(rows, columns), max(rows, columns))
            group = self._slices.setdefault(key, [])
            group.extend(_Slice(parameter, index, count, rows > columns) for index in range(count))
        self._buffers: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for shape, slices in self._slices.items():
            gradient = torch.stack([_view(s, s.parameter.grad) for s in slices]).float()
            buffer = self._buffers.setdefault(shape, torch.zeros_like(gradient))
            buffer.lerp_(gradient, 1 - self._momentum)
            updates = orthogonalise(gradient.lerp(buffer, self._momentum)).float()
            self._apply(slices, updates, shape, learning_rate)

    def _apply(self, slices: list[_Slice], updates: Tensor, shape: tuple[int, int], learning_rate: float) -> None:
        """updates (n, rows ≤ columns): all lying matrices at once, then all standing ones, as they lie in memory."""
        for is_tall in (False, True):
            chosen = [index for index, piece in enumerate(slices) if piece.is_tall == is_tall]
            if not chosen:
                continue
            update = updates if len(chosen) == len(slices) else updates[chosen]
            weights = [_matrix(slices[index], slices[index].parameter.data) for index in chosen]
            # as Jordan et al.: a matrix that maps to more than it takes is updated more strongly
            scale = (shape[1] / shape[0]) ** 0.5 if is_tall else 1.0
            torch._foreach_mul_(weights, 1 - learning_rate * self._weight_decay)
            torch._foreach_add_(
                weights, list((update.mT.contiguous() if is_tall else update).unbind()), alpha=-learning_rate * scale
            )

    def state_dict(self) -> dict[str, Any]:
        return {f"{rows}x{columns}": buffer for (rows, columns), buffer in self._buffers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for shape in self._slices:
            name = "x".join(map(str, shape))
            if name in state:
                device = self._slices[shape][0].parameter.device
                self._buffers[shape] = state[name].to(device, torch.float32)


def _matrix(piece: _Slice, tensor: Tensor | None) -> Tensor:
    """The piece's matrix of a parameter or its gradient, as it lies in memory."""
    assert tensor is not None, "a matrix without a gradient: the step left it out"
    return tensor.view(len(tensor), -1).chunk(piece.num_matrices, 0)[piece.place]


def _view(piece: _Slice, tensor: Tensor | None) -> Tensor:
    """The same, lying: rows ≤ columns."""
    matrix = _matrix(piece, tensor)
    return matrix.T if piece.is_tall else matrix


def sorted_parameters(reader: nn.Module) -> tuple[list[tuple[nn.Parameter, int]], list[Tensor]]:
    """Matrices of the towers' inside, with how many each holds, and all else that is trained."""
    matrices: list[tuple[nn.Parameter, int]] = []
    others: list[Tensor] = []
    inside = ("visual.blocks", "language_model.layers", "visual.merger", "visual.downsample")
    for name, parameter in reader.named_parameters():
        if parameter.ndim >= 2 and any(part in name for part in inside):
            matrices.append((parameter, 3 if "qkv" in name else 2 if "gate_up" in name else 1))
        elif parameter.requires_grad:
            others.append(parameter)
    return matrices, others
