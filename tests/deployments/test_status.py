"""The last minute's numbers, and the live picture as a person sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployments.access import AccessConfig, ApiKeys
from deployments.cli_status import as_text
from deployments.entrance import Entrance, OverloadConfig
from deployments.protocol import DecoderStats, EncoderStats, StageReport
from deployments.recent import LastMinute
from deployments.status import status_json, summed
from glyph_core.engine.stats import EngineStats
from tests.clock import Clock
from tests.deployments.test_http_api import ANSWER


def answer(ttft_s: float) -> Any:
    return replace(ANSWER, timings=replace(ANSWER.timings, ttft_s=ttft_s))


def test_only_the_last_minute_counts() -> None:
    clock = Clock()
    recent = LastMinute(clock)
    recent.note("failed", None)
    clock.now += 100
    for ttft_s in (0.1, 0.2, 0.3, 5.0):
        recent.note("answered", answer(ttft_s))
    recent.note("refused", None)
    clock.now += 30
    last = recent.as_json()
    assert (last["answered"], last["refused"], last["failed"], last["left"]) == (4, 1, 0, 0)
    assert last["ttft_ms"] == {"p50": 300.0, "p95": 5000.0}
    assert (last["window_s"], last["requests_per_s"], last["pages_per_s"]) == (60.0, 0.08, 0.13)
    clock.now += 31
    assert recent.as_json()["answered"] == 0
    assert recent.as_json()["ttft_ms"] is None


def test_a_young_service_counts_from_its_start() -> None:
    clock = Clock()
    recent = LastMinute(clock)
    clock.now += 4
    recent.note("answered", ANSWER)
    assert (recent.as_json()["window_s"], recent.as_json()["requests_per_s"]) == (4.0, 0.25)


def picture(recent: LastMinute, engine: EngineStats, replicas: dict[str, dict[str, int]]) -> Any:
    entrance = Entrance(ApiKeys({}), AccessConfig(), OverloadConfig(max_open_requests=1024))
    reports = [StageReport("decoder", "NVIDIA H200", {})]
    encoder = EncoderStats(2048, 12_345, 1_000_000, 7_900_000, 12_345_678)
    return status_json(
        "zai-org/Glyph", None, entrance, recent, reports, replicas, [(DecoderStats(1024, engine), encoder)]
    )


def test_eighty_columns_hold_large_numbers_too() -> None:
    clock = Clock()
    recent = LastMinute(clock)
    clock.now += 86_400 * 12 + 3600 * 7
    for number in range(9000):
        recent.note("answered", answer(number / 100))
    engine = EngineStats(256, 768, 1_677_721, 100_000, 1_677_721, 1_234_567)
    replicas = {"Renderer": {"RUNNING": 64, "STARTING": 12}, "Encoder": {"RUNNING": 1}}
    text = as_text(picture(recent, engine, replicas), "http://127.0.0.1:7860/v1/")
    assert max(map(len, text.splitlines())) <= 80, text
    assert text.startswith("zai-org/Glyph at http://127.0.0.1:7860 is ready, up 12 d 7 h\n")
    assert "renderer  64, 12 starting" in text
    assert "94 % of 1,677,721 in use" in text
    assert "1,234,567 sequences lost theirs" in text


def test_an_idle_service_shows_no_numbers_that_it_has_not() -> None:
    recent = LastMinute(Clock())
    idle = EngineStats(0, 0, 400, 400, 0, 0)
    text = as_text(picture(recent, idle, {}), "http://127.0.0.1:7860")
    assert "median" not in text
    assert "began again" not in text
    assert f"KV blocks {'░' * 24} 0 % of 400 in use, ▒ cached\n" in text


def test_several_pairs_are_summed() -> None:
    one = DecoderStats(3, EngineStats(2, 1, 100, 40, 30, 0))
    other = DecoderStats(1, EngineStats(1, 0, 100, 90, 5, 2))
    assert summed([one, other]) == DecoderStats(4, EngineStats(3, 1, 200, 130, 35, 2))
    assert summed([one]) == one
