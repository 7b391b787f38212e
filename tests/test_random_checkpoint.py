"""A checkpoint of a shape alone runs like any other, and says that its answers mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deployments.bench.random_checkpoint import write_random_checkpoint
from deployments.loading import load_decoder, load_encoder
from glyph_core.config import (
    CreditConfig,
    EngineConfig,
    ModelConfig,
    PipelineConfig,
    SamplingConfig,
)
from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.pipeline import Pipeline
from glyph_core.types import DocumentSource

SAMPLING = SamplingConfig(max_tokens=4, ignore_eos=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("random"), "glyph_tiny")


@pytest.mark.parametrize("weights", ["auto", "fp8"])
def test_a_pipeline_answers_the_same_every_time(folder: Path, weights: str) -> None:
    config = PipelineConfig.model_validate({"model": {"weights": weights, "device": "cpu"}})
    document = DocumentSource("a.txt", b"The contract ends in March.\n" * 40)
    answers = [Pipeline.from_pretrained(folder, config).ask([document], "When?", sampling=SAMPLING) for _ in range(2)]
    assert answers[0].token_ids == answers[1].token_ids
    assert len(answers[0].token_ids) == 4
    assert answers[0].usage.num_visual_tokens > 0


def test_both_stages_say_so(folder: Path) -> None:
    model = ModelConfig(model=str(folder), device="cpu")
    for load in (load_encoder, load_decoder):
        report = load(model, EngineConfig(kv_memory_gb=0.01), CreditConfig()).report
        assert any("answers mean nothing" in fallback for fallback in report.fallbacks)
    assert resolve_checkpoint("glyph-mini").fallbacks == ()


def test_transformers_modules_take_random_weights_too(folder: Path) -> None:
    config = PipelineConfig.model_validate({"model": {"kernels": "transformers", "device": "cpu"}})
    answer = Pipeline.from_pretrained(folder, config).ask([DocumentSource("a.txt", b"A")], "When?", sampling=SAMPLING)
    assert len(answer.token_ids) == 4
    assert all(logprob > -100 for logprob in answer.token_logprobs)  # numbers, not what memory held


def test_transformers_modules_run_no_eight_bits(folder: Path) -> None:
    model = {"kernels": "transformers", "weights": "fp8", "device": "cpu"}
    with pytest.raises(ConfigError, match=r"set model\.kernels to auto"):
        Pipeline.from_pretrained(folder, PipelineConfig.model_validate({"model": model}))


def test_drawn_numbers_are_the_same_in_every_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    from glyph_core.model import weights

    monkeypatch.setattr(weights, "PIECE", 1000)
    cpu = torch.device("cpu")
    wide = weights.RandomWeights(torch.float32, cpu).take("layer.weight", (70, 50))
    assert torch.equal(wide.bfloat16(), weights.RandomWeights(torch.bfloat16, cpu).take("layer.weight", (70, 50)))
    assert wide.std().item() == pytest.approx(50**-0.5, rel=0.05)
    assert len(wide.unique()) > 3000
