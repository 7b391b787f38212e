"""Every knob, in one place: frozen, checked, and refused when misspelt."""

from __future__ import annotations

from glyph_core.config.base import Config
from glyph_core.config.engine import EngineConfig, ModelConfig, SamplingConfig
from glyph_core.config.evidence import EvidenceConfig
from glyph_core.config.pipeline import CreditConfig, LimitConfig, PipelineConfig
from glyph_core.config.reading import ReadingConfig, SecondLookConfig, WindowConfig
from glyph_core.config.render import MAX_PAGE_PIXELS, PRESETS, RENDERER_VERSION, RenderConfig, preset, varied
from glyph_core.config.storage import FeatureStoreConfig, StoreConfig

__all__ = [
    "MAX_PAGE_PIXELS",
    "PRESETS",
    "RENDERER_VERSION",
    "Config",
    "CreditConfig",
    "EngineConfig",
    "EvidenceConfig",
    "FeatureStoreConfig",
    "LimitConfig",
    "ModelConfig",
    "PipelineConfig",
    "ReadingConfig",
    "RenderConfig",
    "SamplingConfig",
    "SecondLookConfig",
    "StoreConfig",
    "WindowConfig",
    "preset",
    "varied",
]
