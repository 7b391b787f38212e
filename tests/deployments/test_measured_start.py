"""Where memory is planned, both stages measure at their start what they take, and tell it; the decoder gives up KV
blocks where its share is too small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from deployments.access import AccessConfig, ApiKeys
from deployments.cli_status import as_text
from deployments.entrance import Entrance, OverloadConfig
from deployments.loading import load_decoder, load_encoder
from deployments.openai_answers import health_json
from deployments.protocol import DecoderStats, EncoderStats, StageReport
from deployments.recent import LastMinute
from deployments.status import status_json
from glyph_core.config import CreditConfig, EngineConfig, ModelConfig
from glyph_core.engine.engine import Engine
from glyph_core.engine.memory_plan import MIB
from glyph_core.engine.stats import EngineStats, MemoryUse
from glyph_core.vision.encoder import VisionEncoder

PLANNED = ModelConfig(device="cpu", dtype="float32", gpu_memory_gb=4.0)
ENGINE = EngineConfig(num_blocks=3000, max_num_batched_tokens=64)


class FakeMemory:
    def begin(self) -> None: ...

    def reserved(self) -> int:
        return 400 * MIB

    def peak(self) -> int:
        return 100 * MIB


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What was rehearsed: engines, and numbers of pages."""
    rehearsed: list[object] = []
    monkeypatch.setattr("deployments.loading.device_memory", lambda _: FakeMemory())
    monkeypatch.setattr(VisionEncoder, "rehearse", lambda _, num_pages: rehearsed.append(num_pages))
    whole = Engine.rehearse

    def rehearse(engine: Engine) -> None:
        rehearsed.append(engine.stats().num_blocks)
        whole(engine)
        if len(rehearsed) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0")

    monkeypatch.setattr(Engine, "rehearse", rehearse)
    return rehearsed


def test_the_decoder_runs_with_the_blocks_that_fit(measured: list[object]) -> None:
    loaded = load_decoder(PLANNED, ENGINE, CreditConfig())
    use = loaded.report.memory
    assert use is not None
    assert measured == [3000, use.num_blocks]
    assert 256 <= use.num_blocks < 3000
    assert loaded.engine.stats().num_blocks == use.num_blocks
    assert loaded.num_kv_tokens == use.num_blocks * ENGINE.block_size
    assert loaded.max_model_len <= loaded.num_kv_tokens
    [fallback] = loaded.report.fallbacks
    assert f"{3000 - use.num_blocks} of 3,000 planned KV blocks" in fallback


def test_the_encoder_tells_what_its_largest_batch_took(measured: list[object]) -> None:
    report = load_encoder(PLANNED, ENGINE, CreditConfig(max_encode_batch=5)).report
    assert measured == [5]
    assert report.memory is not None
    assert (report.memory.peak, report.fallbacks) == (100 * MIB, ())


def test_without_a_plan_nothing_is_measured(measured: list[object]) -> None:
    config = PLANNED.model_copy(update={"gpu_memory_gb": None})
    assert load_decoder(config, ENGINE, CreditConfig()).report.memory is None
    assert load_encoder(config, ENGINE, CreditConfig()).report.memory is None
    assert measured == []


def test_everybody_who_looks_is_told() -> None:
    decoder = MemoryUse(21_000 * MIB, 20_500 * MIB, 16_000, 15_000, MIB // 2)
    encoder = MemoryUse(2_100 * MIB, 1_800 * MIB)
    reports = [
        StageReport("encoder", "NVIDIA", {}, gpu="GPU-1", memory=encoder, fallbacks=encoder.fallbacks),
        StageReport("decoder", "NVIDIA", {}, gpu="GPU-1", memory=decoder, fallbacks=decoder.fallbacks),
    ]
    health = health_json("zai-org/Glyph", reports, None)
    assert health["stages"]["decoder"]["memory"] == {
        "share_mib": 21_000, "peak_mib": 20_500, "unused_mib": 500,
        "kv_blocks_planned": 16_000, "kv_blocks_given_up": 1_000,
    }  # fmt: skip
    assert health["stages"]["encoder"]["memory"] == {"share_mib": 2_100, "peak_mib": 1_800, "unused_mib": 300}
    [fallback] = health["fallbacks"]
    assert fallback.startswith("decoder: 1,000 of 16,000 planned KV blocks, 500 MiB, were given up")
    entrance = Entrance(ApiKeys({}), AccessConfig(), OverloadConfig())
    stats = [(DecoderStats(0, EngineStats(0, 0, 15_000, 15_000, 0, 0)), EncoderStats(0, 0))]
    picture = status_json("zai-org/Glyph", None, entrance, LastMinute(), reports, {}, stats)
    assert picture["warnings"] == [fallback]
    assert picture["stages"]["encoder"]["memory"]["peak_mib"] == 1_800
    text = as_text(picture, "http://127.0.0.1:7860")
    assert "memory    decoder 20,500 of 21,000 MiB, encoder 1,800 of 2,100 MiB at most" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "warning: decoder: 1,000 of 16,000" in text
