"""Low-rank adapters (LoRA, Hu et al. 2021) of a language model, by peft."""

from __future__ import annotations

from typing import Any

import torch

from glyph_core.errors import ConfigError
from glyph_core.training.stages.reader import FamilyReader


def add_lora(reader: FamilyReader, rank: int, seed: int) -> Any:
    """Puts adapters beside all linear layers of the language model; peft's handle on them. Raises ConfigError where
    peft is not installed."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError("lora_rank needs peft: pip install 'glyph-serve[train]'") from error
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    return get_peft_model(reader.model.model.language_model, config)


def merge_lora(adapted: Any) -> None:
    """Adds the adapters to the weights that they stand beside, and takes them away."""
    adapted.merge_and_unload()
