"""Where a stage's half of the model runs: device, dtype, threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deployments.protocol import StageReport, versions_of
from glyph_core.config import ModelConfig
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.loading import pick_device, pick_dtype, pick_vision_dtype


@dataclass(frozen=True, slots=True)
class Place:
    device: torch.device
    dtype: torch.dtype

    def report(self, stage: str) -> StageReport:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        dtype = str(self.dtype).removeprefix("torch.")
        return StageReport(stage, name, versions_of("torch", "transformers"), dtype)


def place_model(config: ModelConfig, vision_of: Checkpoint | None = None) -> Place:
    """Decides it, for the vision tower of a checkpoint or for the language model, and sets this process's threads.
    Raises ModelError for a device that is not there."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    device = pick_device(config.device)
    if vision_of is not None:
        return Place(device, pick_vision_dtype(config.dtype, device, vision_of))
    return Place(device, pick_dtype(config.dtype, device))
