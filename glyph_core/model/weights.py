"""A model's weights, one tensor at a time, from the checkpoint's files straight to the device.

transformers' loader makes the whole model before anything can be quantised: on a card that holds it in 8 bits but not
in 16 it would not start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import read_json
from glyph_core.model.shards import INDEX, SINGLE, Part

PIECE = 1 << 26  # random numbers that are drawn at once
# As transformers 5 writes it, as 4.5x did, and as GLM-4.1V was first published.
PREFIXES: dict[Part, re.Pattern[str]] = {
    "text": re.compile(r"^(model\.language_model\.|language_model\.model\.|language_model\.|model\.)"),
    "vision": re.compile(r"^(model\.)?visual\."),
}


class Weights(Protocol):
    dtype: torch.dtype
    device: torch.device

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """The weight ``name`` of the language model (``layers.0.mlp.down_proj.weight``) or of the vision tower
        (``blocks.0.attn.qkv.weight``) on the device."""
        ...

    def __contains__(self, name: str) -> bool: ...


class CheckpointWeights:
    """Of one part of the folder ``path``; names are looked up without their prefix. The other part's keep one."""

    def __init__(self, path: Path, dtype: torch.dtype, device: torch.device, part: Part = "text") -> None:
        """Reads the files' lists of names. Raises ModelError where they are missing or damaged."""
        self._path, self.dtype, self.device = path, dtype, device
        self._places: dict[str, tuple[Path, str]] = {}
        prefix = PREFIXES[part]
        try:
            for file, names in self._files():
                self._places |= {prefix.sub("", name): (file, name) for name in names}
        except (OSError, SafetensorError) as error:
            raise ModelError(f"the weights in {path} cannot be loaded: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """Raises ModelError for a weight that is missing or of another shape."""
        if name not in self._places:
            raise ModelError(f"the weights in {self._path} lack {name}; get the checkpoint again")
        file, stored_name = self._places[name]
        try:
            with safe_open(file, framework="pt", device=str(self.device)) as tensors:
                weight: torch.Tensor = tensors.get_tensor(stored_name).to(self.dtype)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"the weights in {self._path} cannot be loaded: {error}") from error
        if tuple(weight.shape) != tuple(shape):
            raise ModelError(
                f"the weights in {self._path} have the wrong shape for {name}: {tuple(weight.shape)}, and config.json "
                f"says {tuple(shape)}; get the checkpoint again"
            )
        return weight

    def _files(self) -> list[tuple[Path, list[str]]]:
        weight_map = read_json(self._path / INDEX).get("weight_map")
        if weight_map is None:
            file = self._path / SINGLE
            with safe_open(file, framework="pt") as tensors:
                return [(file, list(tensors.keys()))]
        return [
            (self._path / file, [name for name, where in weight_map.items() if where == file])
            for file in sorted(set(weight_map.values()))
        ]


class RandomWeights:
    """Drawn on the device: speed and memory of a shape without its weights."""

    def __init__(self, dtype: torch.dtype, device: torch.device, seed: int = 0) -> None:
        self.dtype, self.device = dtype, device
        self._random = torch.Generator(device).manual_seed(seed)

    def __contains__(self, name: str) -> bool:
        return True

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """Norms are 1, biases 0, matrices of variance 1 / columns; in every dtype the same numbers, rounded."""
        if len(shape) == 1:
            return torch.full(tuple(shape), 0.0 if "bias" in name else 1.0, dtype=self.dtype, device=self.device)
        weight = torch.empty(tuple(shape), dtype=self.dtype, device=self.device)
        std = math.prod(shape[1:]) ** -0.5
        for piece in torch.split(weight.flatten(), PIECE):  # a whole one in float32 may be more than the card has left
            drawn = torch.empty(len(piece), dtype=torch.float32, device=self.device)
            piece.copy_(drawn.normal_(std=std, generator=self._random))
        return weight
