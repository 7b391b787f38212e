"""The widest step that a configuration permits is run at the start, and nothing of it is kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glyph_core.config import EngineConfig
from glyph_core.engine import drawing
from glyph_core.engine.engine import Engine
from glyph_core.model.family import TextModel
from tests.engine.conftest import CaseFactory, EngineFactory
from tests.engine.driving import drive, token_ids
from tests.engine.test_fast_step import CountingReplayer

PAGES = ((224, 112), (140, 196))


class Watched:
    """A language model that notes what it is given."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self.forwards: list[tuple[int, ...]] = []
        self.logit_rows: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def forward(self, inputs_embeds: torch.Tensor, *given: Any) -> torch.Tensor:
        self.forwards.append(tuple(inputs_embeds.shape))
        return self._model.forward(inputs_embeds, *given)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        self.logit_rows.append(len(hidden))
        return self._model.logits(hidden)


@pytest.mark.parametrize(
    ("fields", "num_tokens", "num_rows"),
    [
        ({"num_blocks": 40}, 96, 5),
        ({"num_blocks": 40, "block_size": 1}, 43, 5),  # the pool's 40, less one for an answer, and four others
        ({"num_blocks": 40, "max_model_len": 50}, 53, 5),
        ({"num_blocks": 40, "max_num_batched_tokens": 5}, 5, 5),
        ({"num_blocks": 40, "max_num_seqs": 1}, 96, 1),
    ],
)
def test_it_is_as_wide_as_the_configuration_permits(
    fields: dict[str, int], num_tokens: int, num_rows: int, text_model: TextModel, make_engine: EngineFactory
) -> None:
    watched = Watched(text_model)
    engine = make_engine(watched, **{"max_num_batched_tokens": 96, "max_num_seqs": 5, **fields})
    engine.rehearse()
    assert watched.forwards == [(num_tokens, watched.feature_size)]
    assert watched.logit_rows == [num_rows]


def test_every_draw_is_from_the_whole_vocabulary(
    text_model: TextModel, make_engine: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes more memory than drawing among the likeliest."""
    drawn: list[tuple[int, ...]] = []
    whole = drawing.draw
    monkeypatch.setattr(
        "glyph_core.engine.sampler.draw", lambda scores, draws: drawn.append(scores.shape) or whole(scores, draws)
    )
    monkeypatch.setattr("glyph_core.engine.drawing.NUM_LIKELY", 16)
    likely = drawing.draw_likely
    monkeypatch.setattr("glyph_core.engine.sampler.draw_likely", lambda scores, draws: likely(scores, draws, 16))
    make_engine(text_model, max_num_seqs=3).rehearse()
    assert drawn == [(3, text_model.vocab_size)]


def test_answers_are_the_same_after_it(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    engine = make_engine(text_model, max_num_batched_tokens=64, max_num_seqs=4)
    engine.rehearse()
    cases = {f"{seed}": tiny_case(PAGES, seed) for seed in range(2)}
    outputs = drive(engine, cases)
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}


def test_it_leaves_the_pool_as_it_was(text_model: TextModel, make_engine: EngineFactory) -> None:
    for kv_dtype in ("auto", "fp8"):
        engine = make_engine(text_model, max_num_batched_tokens=64, kv_dtype=kv_dtype)
        engine.rehearse()
        cache = engine._runner._cache
        assert not cache.k.view(torch.uint8).any()
        assert not cache.v.view(torch.uint8).any()


def test_every_decode_step_is_recorded(text_model: TextModel) -> None:
    pytest.importorskip("triton", reason="the package triton is not installed")
    replayer = CountingReplayer()
    config = EngineConfig(num_blocks=16, attention="triton", max_num_seqs=4, max_num_batched_tokens=16, warm_up_s=0)
    Engine(text_model, config, (), 4096, replayer).rehearse()
    assert replayer.keys == [(1, False), (2, False), (2, True), (4, False), (4, True)]
