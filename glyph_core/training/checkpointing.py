"""Saving and resuming a training run: whole and exact, or in small pieces that travel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glyph_core.errors import ConfigError

STATE_FILE = "state.pt"
PIECE_BYTES = 15_500_000


def save_state(state: dict[str, Any], folder: Path) -> None:
    """Everything, as it is; a reader never sees half a file."""
    partial = folder / f"{STATE_FILE}.partial"
    torch.save(state, partial)
    partial.replace(folder / STATE_FILE)


def load_state(folder: Path) -> dict[str, Any]:
    """What :func:`save_state` or :func:`save_pieces` wrote to ``folder``; raises ConfigError if there is nothing."""
    if (folder / STATE_FILE).is_file():
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
        return state
    pieces = sorted(folder.glob("piece_*.pt"))
    if not pieces:
        raise ConfigError(f"{folder} holds no state of a training run; begin without --resume")
    flat: dict[tuple[Any, ...], Any] = {}
    for piece in pieces:
        flat.update(torch.load(piece, map_location="cpu", weights_only=True))
    return _nested(flat)


def save_pieces(state: dict[str, Any], folder: Path, *, with_optimiser: bool) -> None:
    """``state`` in files of at most 15.5 MB, tensors in bfloat16: half the size, and resuming from it loses a little.

    Without the optimisers' state a run can be evaluated and exported from the pieces; resumed, it warms up anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    piece: dict[tuple[Any, ...], Any] = {}
    size = number = 0
    for name, value in _flat({k: v for k, v in state.items() if with_optimiser or k not in ("muon", "adam")}):
        if isinstance(value, Tensor) and value.is_floating_point():
            value = value.to(torch.bfloat16)
        num_bytes = value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        if piece and size + num_bytes > PIECE_BYTES:
            torch.save(piece, folder / f"piece_{number:02d}.pt")
            piece, size, number = {}, 0, number + 1
        piece[name] = value
        size += num_bytes
    torch.save(piece, folder / f"piece_{number:02d}.pt")


def _flat(state: dict[Any, Any], prefix: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for key, value in state.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def _nested(flat: dict[tuple[Any, ...], Any]) -> dict[str, Any]:
    state: dict[Any, Any] = {}
    for path, value in flat.items():
        place = state
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return state
