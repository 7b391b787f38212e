"""Which attention backend runs, and why."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.attention.flash import FlashBackend
from glyph_core.engine.attention.prefill import PREFILLS
from glyph_core.engine.attention.protocol import AttentionBackend
from glyph_core.engine.attention.sdpa import SdpaBackend
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from glyph_core.model.varlen import varlen_function

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    name: str
    prefill: str  # of the triton backend; else the backend's own
    reason: str

    def __str__(self) -> str:
        return f"{self.name} (prefill: {self.prefill}): {self.reason}"


def choose_attention(config: EngineConfig, device: torch.device, dtype: torch.dtype) -> AttentionChoice:
    """What ``config`` names, or for ``auto`` the fastest that runs here. Raises ConfigError for what doesn't run."""
    if config.attention == "auto":
        name, reason = _best(device)
    else:
        name, reason = config.attention, "the configuration names it"
        if missing := _missing(name, device):
            raise ConfigError(f"engine.attention is {name}, but {missing}; set it to auto or sdpa")
    choice = AttentionChoice(name, _prefill(config, name, device, dtype), reason)
    logger.info("attention: %s", choice)
    return choice


def make_backend(choice: AttentionChoice, cache: KVCache, num_heads: int) -> AttentionBackend:
    """The backend chosen, over ``cache``. Raises ConfigError for a cache that it doesn't take."""
    if choice.name == "triton":
        from glyph_core.engine.attention.triton_backend import TritonBackend  # triton is not everywhere

        return TritonBackend(cache, num_heads, PREFILLS[choice.prefill])
    return FlashBackend(cache) if choice.name == "flash" else SdpaBackend(cache)


def is_interpreted() -> bool:
    """Triton runs its kernels as Python, on any device: what the tests do. Decided by its own variable."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _best(device: torch.device) -> tuple[str, str]:
    if device.type != "cuda":
        return "sdpa", f"the model runs on {device.type}"
    if missing := _missing("triton", device):
        return "sdpa", missing
    return "triton", f"the model runs on {torch.cuda.get_device_name(device)}"


def _missing(name: str, device: torch.device) -> str | None:
    """What keeps the backend from running here; None where it runs."""
    if name == "sdpa":
        return None
    package, module = ("triton", "triton") if name == "triton" else ("flash-attn", "flash_attn")
    if find_spec(module) is None:
        return f"the package {package} is not installed"
    if device.type != "cuda" and not (name == "triton" and is_interpreted()):
        return f"it needs a CUDA device, and the model runs on {device.type}"
    return None


def _prefill(config: EngineConfig, name: str, device: torch.device, dtype: torch.dtype) -> str:
    if name != "triton":
        return name
    if config.prefill != "auto":
        return config.prefill
    has_flash = device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)
    try:
        varlen_function()
    except ImportError:
        has_flash = False
    if not has_flash:
        return "sdpa"
    return "split" if torch.cuda.get_device_capability(device) >= (9, 0) else "varlen"
