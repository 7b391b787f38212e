"""The memory plan of a configuration, and a process that keeps to its share."""

from __future__ import annotations

import logging
import math
import os

import torch

from glyph_core.config import CreditConfig, EngineConfig, ModelConfig
from glyph_core.engine.memory_plan import GIB, MemoryPlan, plan_memory
from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.loading import pick_dtype

ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")  # whoever sets one knows what he wants
logger = logging.getLogger(__name__)


def plan_for(
    config: ModelConfig,
    engine: EngineConfig,
    credit_config: CreditConfig,
    checkpoint: Checkpoint,
    device: torch.device,
) -> MemoryPlan | None:
    """From the configuration, the checkpoint's config.json and the card's size; None where no budget is set. Raises
    ConfigError for a budget that is too small, saying what would fit."""
    if config.gpu_memory_gb is None:
        return None
    budget_gb = min(config.gpu_memory_gb, _card_gb(device))
    if budget_gb < config.gpu_memory_gb:  # a card that is sold as 24 GB has 23.6 GiB
        logger.warning(
            "gpu_memory_gb=%g is more than the card has: %.2f GiB are planned", config.gpu_memory_gb, budget_gb
        )
    plan = plan_memory(
        family_of(checkpoint).shape(),
        engine,
        credit_config,
        budget_gb=budget_gb,
        itemsize=pick_dtype(config.dtype, device).itemsize,
        is_fp8=config.weights == "fp8",
    )
    logger.info("%s", plan)
    return plan


def _card_gb(device: torch.device) -> float:
    return torch.cuda.get_device_properties(device).total_memory / GIB if device.type == "cuda" else math.inf


def limit_memory(device: torch.device, *, allocated: int, total: int) -> None:
    """PyTorch then runs out of memory in this process rather than take another's. ``allocated`` bytes are PyTorch's,
    ``total`` the process's. Raises ConfigError for a card that is smaller than that."""
    if device.type != "cuda":
        return
    card = torch.cuda.get_device_properties(device).total_memory
    if total > card:
        raise ConfigError(
            f"this process's share is {total / 1e9:.1f} GB, and {torch.cuda.get_device_name(device)} has "
            f"{card / 1e9:.1f} GB; lower gpu_memory_gb"
        )
    if not any(name in os.environ for name in ALLOCATOR_VARIABLES):
        # Weights that are made in pieces leave holes of some hundred MiB in segments of fixed size
        torch._C._accelerator_setAllocatorSettings("expandable_segments:True")
    index = torch.cuda.current_device() if device.index is None else device.index  # it takes no device without one
    torch.cuda.set_per_process_memory_fraction(allocated / card, index)
