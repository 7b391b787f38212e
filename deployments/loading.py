"""What the two stages that hold a half of the model are made of, and loading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from deployments.engine_loop import StepEngine
from deployments.placing import keep_to_share, place_model
from deployments.protocol import StageReport, versions_of
from glyph_core.answering.reader import Reader
from glyph_core.config import CreditConfig, EngineConfig, FeatureStoreConfig, ModelConfig
from glyph_core.engine.engine import Engine
from glyph_core.engine.fitting import device_memory, fit_blocks, measure
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.loading import slower_modules
from glyph_core.types import Page, PageFeatures
from glyph_core.vision.encoder import VisionEncoder
from glyph_core.vision.feature_store import FeatureStore, fingerprint
from glyph_core.vision.feature_store import default_path as default_feature_path

NO_STORE = FeatureStoreConfig()


@dataclass(frozen=True, slots=True)
class LoadedDecoder:
    engine: StepEngine
    reader: Reader
    max_model_len: int
    report: StageReport
    num_kv_tokens: int | None = None  # that the pool holds; None: any number
    model: str = ""  # as the configuration names it


class PageEncoder(Protocol):
    """What the stage needs of a VisionEncoder; called from one thread."""

    def encode(self, pages: Sequence[Page]) -> list[PageFeatures]: ...


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    encoder: PageEncoder
    report: StageReport
    model: str = ""  # as the configuration names it
    store: FeatureStore | None = None  # of its features, on disk


def load_decoder(config: ModelConfig, engine_config: EngineConfig, credit_config: CreditConfig) -> LoadedDecoder:
    """The language half of a checkpoint in an engine. Raises ModelError or ConfigError where that cannot be."""
    checkpoint = resolve_checkpoint(config.model)
    reader = Reader.of(checkpoint)
    place = place_model(config)
    plan = keep_to_share("decoder", place.device, config, engine_config, credit_config, checkpoint)
    text_model = reader.family.load_text(place.dtype, place.device, weights=config.weights, kernels=config.kernels)

    def make(num_blocks: int | None) -> Engine:
        return Engine(
            text_model,
            engine_config.model_copy(update={"num_blocks": num_blocks}),
            checkpoint.eos_token_ids,
            checkpoint.max_model_len,
            constrain=reader.constrain,
        )

    def rehearsed(num_blocks: int) -> Engine:
        engine = make(num_blocks)
        engine.rehearse()
        return engine

    fallbacks = checkpoint.fallbacks
    if config.kernels == "auto" and reader.family.why_not_fused:
        fallbacks = (*fallbacks, slower_modules(reader.family.why_not_fused))
    memory, use = device_memory(place.device), None
    if plan is not None and memory is not None:
        engine, use = fit_blocks(rehearsed, plan, memory)
    else:
        engine = make(plan.num_blocks if plan else engine_config.num_blocks)
        engine.warm_up(engine_config.warm_up_s)
    report = place.report("decoder", attention=str(engine.attention), fallbacks=fallbacks, memory=use)
    num_kv_tokens = engine.stats().num_blocks * engine_config.block_size
    return LoadedDecoder(engine, reader, engine.max_model_len, report, num_kv_tokens, config.model)


def load_encoder(
    config: ModelConfig,
    engine_config: EngineConfig,
    credit_config: CreditConfig,
    store_config: FeatureStoreConfig = NO_STORE,
) -> LoadedEncoder:
    """The vision half of a checkpoint. Raises ModelError where it cannot be loaded, ConfigError where the memory that
    is planned for both stages is too small or its features cannot be kept where they should."""
    checkpoint = resolve_checkpoint(config.model)
    place = place_model(config, vision_of=checkpoint)
    plan = keep_to_share("encoder", place.device, config, engine_config, credit_config, checkpoint)
    encoder = VisionEncoder(
        family_of(checkpoint), place.dtype, place.device, weights=config.weights, kernels=config.kernels
    )
    memory, use = device_memory(place.device), None
    if plan is not None and memory is not None:
        use = measure(partial(encoder.rehearse, credit_config.max_encode_batch), plan.encoder.allocated, memory)
    store = None
    if store_config.gb:
        made_by = versions_of("glyph-serve", "torch", "transformers")
        precision = (place.dtype, place.device.type, config.weights, config.kernels, made_by)
        folder = Path(store_config.path or default_feature_path()) / fingerprint(checkpoint, *precision)
        store = FeatureStore(folder, int(store_config.gb * 1e9))
    report = place.report("encoder", fallbacks=checkpoint.fallbacks, memory=use)
    return LoadedEncoder(encoder, report, config.model, store)
