"""Steps launched before the tokens of the last are known give what steps one after another give."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import pytest
import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine import model_runner
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup
from glyph_core.engine.attention.sdpa import SdpaBackend
from glyph_core.engine.decode_ahead import DecodeAhead, Flight, MakeInputs
from glyph_core.engine.engine import Engine
from glyph_core.engine.replay import EagerReplayer
from glyph_core.engine.scheduler import Chunk
from tests.engine.driving import Case, drive, prompt_of, token_ids
from tests.engine.test_random_walk import MAX_STEPS, MODEL, NUM_EVENTS, Walk

T = TypeVar("T")
EOS = 9


class StaticSdpa(SdpaBackend):
    """The reference, as steps over the same memory."""

    def static_decode(self, num_queries: int, slot_mapping: torch.Tensor, block_tables: torch.Tensor) -> _Static:
        return _Static(self, slot_mapping, block_tables)


@dataclass
class _Static:
    backend: StaticSdpa
    slot_mapping: torch.Tensor
    block_tables: torch.Tensor
    table_rows: Sequence[int] = ()
    context_lens: Sequence[int] = ()

    def load(self, table_rows: Sequence[int], context_lens: Sequence[int], groups: Sequence[PrefixGroup]) -> bool:
        self.table_rows, self.context_lens = table_rows, context_lens
        return False

    def attention(self, *, is_shared: bool) -> _Static:
        return self

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        num = len(self.table_rows)
        lens = tuple(self.context_lens)
        batch = AttentionBatch(self.slot_mapping[:num], self.block_tables, tuple(self.table_rows), (1,) * num, lens)
        attended = torch.zeros(q.shape[1], q.shape[0], q.shape[2], dtype=q.dtype)
        attended[:num] = self.backend.plan(batch)(layer_idx, q[:, :num], k[:, :num], v[:, :num], scale)
        return attended


class CountingReplayer(EagerReplayer):
    num_runs = 0

    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        self.num_runs += 1
        return super().run(key, function)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the steps whose tokens came from the host."""
    sizes: list[int] = []
    launch = DecodeAhead.launch

    def spy(ahead: DecodeAhead, chunks: Sequence[Chunk], make_inputs: MakeInputs) -> Flight:
        sizes.append(len(chunks))
        return launch(ahead, chunks, make_inputs)

    monkeypatch.setattr(DecodeAhead, "launch", spy)
    return sizes


@pytest.fixture
def replayer(monkeypatch: pytest.MonkeyPatch) -> CountingReplayer:
    monkeypatch.setattr(model_runner, "make_backend", lambda choice, cache, num_heads: StaticSdpa(cache))
    return CountingReplayer()


def engine_of(replayer: CountingReplayer, eos: tuple[int, ...] = (), **fields: object) -> Engine:
    config = EngineConfig.model_validate({"num_blocks": 64, "block_size": 4, **fields})
    return Engine(MODEL, config, eos, 4096, replayer)


def cases_of(*nums_tokens: int, **sampling: object) -> dict[str, Case]:
    """Requests of different questions and lengths of answer."""
    return {
        f"{num}": Case(
            prompt_of((1, 2, num)),
            expected=MODEL.greedy(prompt_of((1, 2, num)), [], num),
            sampling=SamplingConfig.model_validate({"max_tokens": num, "ignore_eos": True, **sampling}),
        )
        for num in nums_tokens
    }


def test_every_step_but_the_first_was_in_flight(replayer: CountingReplayer, launches: list[int]) -> None:
    engine, cases = engine_of(replayer), cases_of(12, 20, 23)
    for name, outputs in drive(engine, cases).items():
        assert token_ids(outputs) == cases[name].expected
    # The prompt gives the first token; then one launch a step, and none for a step that nobody would be left for.
    assert replayer.num_runs == 22
    assert launches == [3]  # blocks of four tokens: room for the next one was there each time


def test_a_sequence_that_ends_takes_nothing_from_the_others(replayer: CountingReplayer) -> None:
    """Its row was launched already, and is thrown away."""
    cases = cases_of(18, 20, 24, ignore_eos=False)
    answers = {name: list(case.expected) for name, case in cases.items()}
    eos = answers["20"][6]
    ends = {name: ids.index(eos) + 1 if eos in ids else len(ids) for name, ids in answers.items()}
    assert len(set(ends.values())) > 1
    outputs = drive(engine_of(replayer, (eos,)), cases)
    assert {name: token_ids(found) for name, found in outputs.items()} == {
        name: ids[: ends[name]] for name, ids in answers.items()
    }
    assert replayer.num_runs == max(ends.values()) - 1 + (max(ends, key=ends.__getitem__) == "20")


def test_one_that_comes_while_others_decode(replayer: CountingReplayer) -> None:
    engine, cases = engine_of(replayer, max_num_batched_tokens=8, max_num_seqs=4), cases_of(30, 11)
    late = prompt_of(tuple(range(1, 23)))
    expected_late = MODEL.greedy(late, [], 9)
    for name, case in cases.items():
        engine.add(name, case.prompt, case.sampling)
    answers: dict[str, list[int]] = {**{name: [] for name in cases}, "late": []}
    for step in range(60):
        if step == 5:
            engine.add("late", late, SamplingConfig(max_tokens=9))
        for output in engine.step() if engine.has_work else []:
            answers[output.request_id].append(output.token_id)
        engine.check_integrity()
    assert answers == {**{name: case.expected for name, case in cases.items()}, "late": expected_late}


def test_nothing_is_launched_ahead_of_a_draw(replayer: CountingReplayer) -> None:
    cases = cases_of(6, 8, temperature=1.0, seed=4)
    outputs = drive(engine_of(replayer), cases)
    alone = drive(Engine(MODEL, EngineConfig(num_blocks=64, block_size=4), (), 4096), cases)
    assert {name: token_ids(found) for name, found in outputs.items()} == {
        name: token_ids(found) for name, found in alone.items()
    }
    assert replayer.num_runs == 7


@pytest.mark.parametrize("seed", range(12))
def test_random_walk(seed: int, replayer: CountingReplayer) -> None:
    """Whoever comes, goes, is preempted or waits for pages: all get the tokens that they would get alone."""
    random = Random(seed)
    engine = engine_of(
        replayer,
        num_blocks=random.choice([12, 40]),
        max_num_batched_tokens=random.randint(4, 40),
        max_num_seqs=random.randint(1, 4),
        prefix_cache=random.random() < 0.8,
    )
    walk = Walk(engine, random)
    events = [walk.add, walk.feed_one, walk.feed_all, walk.abort, walk.step]
    for _ in range(NUM_EVENTS):
        random.choices(events, weights=[1.5, 6, 3, 0.3, 20])[0]()
    for _ in range(MAX_STEPS):
        if not engine.has_work:
            break
        walk.feed_all()
        walk.step()
    assert not engine.has_work
    assert walk.num_ended > 5
    assert replayer.num_runs > 20
