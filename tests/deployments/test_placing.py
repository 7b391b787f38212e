"""Both stages keep to their shares of one memory plan."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Literal

import pytest
import torch

from deployments.openai_answers import health_json
from deployments.placing import keep_to_share, place_model
from deployments.protocol import StageReport
from glyph_core.config import CreditConfig, EngineConfig, ModelConfig
from glyph_core.engine.memory_plan import MemoryPlan
from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint

MINI = resolve_checkpoint("glyph-mini")
CPU = ModelConfig(device="cpu", dtype="float32")


def plan(
    budget_gb: float | None, stage: Literal["decoder", "encoder"] = "decoder", device: str = "cpu"
) -> MemoryPlan | None:
    config = CPU.model_copy(update={"gpu_memory_gb": budget_gb})
    return keep_to_share(stage, torch.device(device), config, EngineConfig(), CreditConfig(), MINI)


def test_both_stages_make_the_same_plan_and_log_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        decoders, encoders = plan(8), plan(8, "encoder")
    assert decoders is not None
    assert decoders == encoders
    assert caplog.messages == [str(decoders)] * 2
    assert decoders.decoder.total + decoders.encoder.total <= 8 * 1024**3


def test_no_budget_is_no_plan() -> None:
    assert plan(None) is None


def test_too_small_a_budget_fails_at_start() -> None:
    with pytest.raises(ConfigError, match=r"gpu_memory_gb=1 is too small"):
        plan(1)


def test_the_share_is_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    card, fractions = SimpleNamespace(total_memory=10 * 10**9), []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: fractions.append(given))
    settings: list[str] = []
    monkeypatch.setattr(torch._C, "_accelerator_setAllocatorSettings", settings.append)
    planned = plan(8, device="cuda")
    plan(8, "encoder", device="cuda")
    assert planned is not None
    assert settings == ["expandable_segments:True"] * 2
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:False")
    plan(8, device="cuda")
    assert len(settings) == 2
    assert fractions[:2] == [
        (planned.decoder.allocated / card.total_memory, 1),
        (planned.encoder.allocated / card.total_memory, 1),
    ]


def test_a_card_that_is_smaller_than_the_budget_is_planned_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is sold as 24 GB has 23.6 GiB."""
    card = SimpleNamespace(total_memory=int(23.6 * 1024**3))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *_: None)
    monkeypatch.setattr(torch._C, "_accelerator_setAllocatorSettings", lambda _: None)
    planned, encoders = plan(24, device="cuda"), plan(24, "encoder", device="cuda")
    assert planned is not None
    assert planned == encoders
    assert planned.decoder.total + planned.encoder.total <= card.total_memory
    assert "gpu_memory_gb=24 is more than the card has: 23.60 GiB" in caplog.text


def on(stage: str, gpu: str | None, host: str = "one") -> StageReport:
    return StageReport(stage, "NVIDIA" if gpu else "cpu", {}, gpu=gpu, host=host)


@pytest.mark.parametrize(
    ("encoder", "decoder", "says"),
    [
        (on("encoder", "GPU-1"), on("decoder", "GPU-1"), None),
        (on("encoder", None), on("decoder", None), None),
        (on("encoder", None), on("decoder", "GPU-1"), None),
        (on("encoder", "GPU-1"), on("decoder", "GPU-2"), "GPU-1 of one and the decoder on GPU-2 of one"),
        (on("encoder", None), on("decoder", None, "two"), "cpu of one and the decoder on cpu of two"),
    ],
    ids=["one card", "no card", "told so", "two cards", "two machines"],
)
def test_stages_that_ended_up_apart_are_told(encoder: StageReport, decoder: StageReport, says: str | None) -> None:
    [*warnings] = health_json("glyph-mini", [on("renderer", None, "three"), encoder, decoder], None)["warnings"]
    assert [says in warning for warning in warnings if says] == [True] * bool(says)
    assert bool(warnings) == bool(says)


def test_health_names_the_attention_of_the_decoder_alone() -> None:
    place = place_model(CPU)
    reports = [place.report("encoder"), place.report("decoder", attention="sdpa: the model runs on cpu")]
    stages = health_json("glyph-mini", reports, None)["stages"]
    assert stages["decoder"]["attention"] == "sdpa: the model runs on cpu"
    assert "attention" not in stages["encoder"]
