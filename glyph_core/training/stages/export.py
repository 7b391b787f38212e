"""A trained model of any family as a checkpoint folder, which ``glyph serve --model`` takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.hub import SMALL_FILES
from glyph_core.model.loading import DTYPES

WRITTEN = ("config.json", "generation_config.json", "model.safetensors.index.json")  # by transformers


def export_checkpoint(model: Any, begun_from: Checkpoint, folder: Path) -> Path:
    """Writes safetensors in the dtype that the run began with, and the files that belong to the format."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in SMALL_FILES:
        for file in begun_from.path.glob(pattern):
            if file.name not in WRITTEN:
                shutil.copyfile(file, folder / file.name)
    model.to(DTYPES.get(begun_from.dtype or "float32", torch.float32)).save_pretrained(folder)
    return folder
