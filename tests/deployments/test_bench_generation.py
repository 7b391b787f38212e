"""The comparison of engines measures what it says it does."""

from __future__ import annotations

import json

import pytest
import torch

from deployments.bench.attention import TINY, attention_figures
from deployments.bench.generation import CONFIGS, PARTS, Prompts, measure, vllm_config
from glyph_core.model.shape import ModelShape

CALL_S, STEP_S, TOKEN_S = 0.5, 0.01, 0.0001


class Recorder:
    """An engine of known speed, with a prefix cache."""

    def __init__(self) -> None:
        self.asked: list[Prompts] = []
        self.known: set[tuple[int, ...]] = set()

    def __call__(self, prompts: Prompts, num_tokens: int) -> float:
        self.asked.append(prompts)
        new = [prompt for prompt in prompts if tuple(prompt) not in self.known]
        self.known.update(map(tuple, prompts))
        return CALL_S + STEP_S * num_tokens + TOKEN_S * sum(map(len, new))


def test_a_step_is_what_a_longer_answer_takes_more() -> None:
    report: dict[str, list[dict[str, float]]] = {}
    engine = Recorder()
    measure(engine, report, lambda: None, PARTS, is_tiny=True)
    assert set(report) == {*PARTS}
    for part in ("decode", "shared_prefix"):
        for row in report[part]:
            assert row["step_ms"] == pytest.approx(1e3 * STEP_S)  # whatever the prompts took
            assert row["tokens_s"] == pytest.approx(row["sequences"] / STEP_S)
    (prefill,) = report["prefill"]
    assert prefill["prefill_s"] == pytest.approx(
        CALL_S + STEP_S + TOKEN_S * prefill["tokens"]
    )  # nothing of it was known


def test_only_the_prompts_of_the_shared_part_begin_alike() -> None:
    for part, alike in (("decode", False), ("shared_prefix", True)):
        engine = Recorder()
        measure(engine, {}, lambda: None, [part], is_tiny=True)
        first, second = next(prompts for prompts in engine.asked if len(prompts) > 1)[:2]
        assert (first[:96] == second[:96]) == alike
        assert first[96:] != second[96:]


def test_what_fails_is_recorded_and_the_rest_measured() -> None:
    def generate(prompts: Prompts, num_tokens: int) -> float:
        if len(prompts[0]) == 130:  # the prefill's
            raise RuntimeError("out of memory\nand more")
        return 0.01 * num_tokens

    report: dict[str, list[dict[str, object]]] = {}
    measure(generate, report, lambda: None, PARTS, is_tiny=True)
    assert report["prefill"] == [{"tokens": 130, "error": "RuntimeError: out of memory"}]
    assert "error" not in report["shared_prefix"][0]


def test_vllm_gets_the_same_text_model() -> None:
    config = json.loads((CONFIGS / "glyph_9b.json").read_text())
    given, shape = vllm_config(config), ModelShape.of(config).text
    assert given["architectures"] == ["Glm4ForCausalLM"]
    assert given[
        "attention_bias"
    ]  # Glyph's queries, keys and values have biases, which glm4 leaves to its configuration
    assert given["rope_parameters"] == {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    assert (given["num_hidden_layers"], given["hidden_size"]) == (shape.num_layers, shape.hidden_size)
    assert (given["num_key_value_heads"], given["head_dim"]) == (shape.num_kv_heads, shape.head_dim)
    assert (given["vocab_size"], given["intermediate_size"]) == (shape.vocab_size, shape.intermediate_size)


def test_attention_is_measured_where_it_runs_and_says_why_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)  # which would be slow
    shape = ModelShape.of(json.loads((CONFIGS / "glyph_tiny.json").read_text())).text
    rows = attention_figures(shape, torch.device("cpu"), torch.float32, TINY)
    for row in rows:
        if row["backend"] == "sdpa":
            assert row["layer_us"] > 0
            assert row["difference"] == 0
        else:
            assert "engine.attention is" in row["failure"]
    assert {row["backend"] for row in rows} == {"sdpa", "flash", "triton"}
