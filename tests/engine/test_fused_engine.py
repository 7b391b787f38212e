"""The engine over the fused model, its kernels and replayed steps gives what transformers gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.engine import Engine
from glyph_core.engine.replay import EagerReplayer
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.layer_ops import TritonOps
from tests.engine.conftest import CaseFactory, EngineFactory, case_factory
from tests.engine.driving import Case, drive, token_ids
from tests.tiny_families import FAMILIES, make_tiny

CPU = torch.device("cpu")
PAGES = ((224, 112), (140, 196), (28, 28))
SMALL_PAGES = ((112, 84), (28, 28))  # an interpreter's


def test_fused_model_with_the_reference_attention(
    tiny_folder: Path, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    model = family_of(resolve_checkpoint(str(tiny_folder))).load_text(torch.float32, CPU, kernels="fused")
    cases = {f"{seed}": tiny_case(PAGES, seed) for seed in range(3)}
    outputs = drive(make_engine(model, max_num_batched_tokens=50), cases)
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}


@pytest.fixture(params=["glm4v", *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES)])
def any_folder(request: pytest.FixtureRequest, tmp_path: Path, tiny_folder: Path) -> Path:
    return tiny_folder if request.param == "glm4v" else make_tiny(tmp_path, request.param)


def test_everything_that_runs_on_a_gpu(any_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreted, and the replayed steps run plainly."""
    monkeypatch.setattr("glyph_core.engine.attention.prefill.PREFIX_STEP", 16)
    monkeypatch.setattr("glyph_core.engine.attention.prefill.SQUARE_STEP", 16)
    pytest.importorskip("triton", reason="the package triton is not installed")
    monkeypatch.setattr("glyph_core.model.layer_ops.pick_ops", lambda _: TritonOps())
    model = family_of(resolve_checkpoint(str(any_folder))).load_text(torch.float32, CPU, kernels="fused")
    assert isinstance(model, FusedTextModel)
    config = EngineConfig(num_blocks=64, attention="triton", prefill="split", max_num_batched_tokens=32)
    plain = case_factory(any_folder)(SMALL_PAGES)
    assert len(plain.prompt.token_ids) > config.max_num_batched_tokens
    case = Case(plain.prompt, plain.features, plain.expected[:4], SamplingConfig(max_tokens=4, ignore_eos=True))
    engine = Engine(model, config, (), 4096, EagerReplayer())
    assert token_ids(drive(engine, {"a": case})["a"]) == case.expected
