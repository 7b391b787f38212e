"""Where a stage's half of the model runs: device, dtype, threads, and its share of the card's memory."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import Literal

import torch

from deployments.protocol import StageReport, versions_of
from glyph_core.config import CreditConfig, EngineConfig, ModelConfig
from glyph_core.engine.memory_limit import limit_memory, plan_for
from glyph_core.engine.memory_plan import MemoryPlan
from glyph_core.engine.stats import MemoryUse
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.loading import pick_device, pick_dtype, pick_vision_dtype


@dataclass(frozen=True, slots=True)
class Place:
    device: torch.device
    dtype: torch.dtype

    def report(
        self,
        stage: str,
        *,
        attention: str | None = None,
        fallbacks: tuple[str, ...] = (),
        memory: MemoryUse | None = None,
    ) -> StageReport:
        dtype = str(self.dtype).removeprefix("torch.")
        versions = versions_of("torch", "transformers")
        fallbacks = (*fallbacks, *(memory.fallbacks if memory else ()))
        report = StageReport(
            stage, str(self.device), versions, dtype, fallbacks, attention, host=platform.node(), memory=memory
        )
        if self.device.type != "cuda":
            return report
        card = torch.cuda.get_device_properties(self.device)
        return replace(report, device=card.name, gpu=str(card.uuid))


def place_model(config: ModelConfig, vision_of: Checkpoint | None = None) -> Place:
    """Decides it, for the vision tower of a checkpoint or for the language model, and sets this process's threads.
    Raises ModelError for a device that is not there."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    device = pick_device(config.device)
    if vision_of is not None:
        return Place(device, pick_vision_dtype(config.dtype, device, vision_of))
    return Place(device, pick_dtype(config.dtype, device))


def keep_to_share(
    stage: Literal["decoder", "encoder"],
    device: torch.device,
    config: ModelConfig,
    engine: EngineConfig,
    credit_config: CreditConfig,
    checkpoint: Checkpoint,
) -> MemoryPlan | None:
    """Limits this process to the stage's share of the plan for both, which is the same in each; None where no budget is
    set. Raises ConfigError for a budget that is too small, saying what would fit."""
    plan = plan_for(config, engine, credit_config, checkpoint, device)
    if plan is not None:
        share = plan.decoder if stage == "decoder" else plan.encoder
        limit_memory(device, allocated=share.allocated, total=share.total)
    return plan
