"""The fast step gives what the reference gives: Triton's attention, replayed decode steps, tables kept on the device.

Without a CUDA device Triton runs the kernels as Python (TRITON_INTERPRET=1, set by the suite's conftest).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random
from typing import TypeVar

import pytest
import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.block_manager import BlockManager
from glyph_core.engine.block_tables import BlockTables
from glyph_core.engine.decode_runner import batch_sizes
from glyph_core.engine.engine import Engine
from glyph_core.engine.replay import EagerReplayer
from glyph_core.engine.sampler import SamplerState
from glyph_core.engine.sequence import Sequence
from glyph_core.model.family import TextModel
from tests.engine.conftest import CaseFactory
from tests.engine.driving import Case, drive, prompt_of, token_ids

pytest.importorskip("triton", reason="the package triton is not installed")
T = TypeVar("T")
PAGES = ((224, 112), (140, 196))
SHARED_TOKENS = 16


class CountingReplayer(EagerReplayer):
    def __init__(self) -> None:
        self.keys: list[Hashable] = []

    def run(self, key: Hashable, function: Callable[[], T]) -> T:
        self.keys.append(key)
        return super().run(key, function)


def short(case: Case, num_tokens: int) -> Case:
    sampling = SamplingConfig(max_tokens=num_tokens, ignore_eos=True)
    return Case(case.prompt, case.features, case.expected[:num_tokens], sampling)


@pytest.mark.parametrize("is_replayed", [False, True], ids=["eager", "replayed"])
def test_the_triton_engine_gives_what_transformers_gives(
    is_replayed: bool, text_model: TextModel, tiny_case: CaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three questions about one document (so a size of four has padding), and a fourth request about another."""
    monkeypatch.setattr("glyph_core.engine.model_runner.MIN_SAVED_TOKENS", SHARED_TOKENS)
    replayer = CountingReplayer() if is_replayed else None
    cases = {f"{n}": short(tiny_case(PAGES, question=f"{n}. Who signed?"), 8 - n) for n in range(3)}
    config = EngineConfig(num_blocks=128, attention="triton", max_num_batched_tokens=64)
    engine = Engine(text_model, config, (), 4096, replayer)
    assert engine.attention.name == "triton"
    outputs = drive(engine, cases)
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}
    if replayer is not None:
        assert (4, True) in replayer.keys  # three sequences that share their document
        assert replayer.keys[-1] == (1, False)


def test_sampling_after_a_replayed_step(text_model: TextModel, tiny_case: CaseFactory) -> None:
    plain = tiny_case(PAGES)
    sampling = SamplingConfig(temperature=0.8, top_p=0.9, repetition_penalty=1.2, seed=3, max_tokens=6, ignore_eos=True)
    case = Case(plain.prompt, plain.features, sampling=sampling)
    answers = []
    for name, replayer in (("sdpa", None), ("triton", EagerReplayer())):
        config = EngineConfig.model_validate({"num_blocks": 128, "attention": name})
        answers.append(token_ids(drive(Engine(text_model, config, (), 4096, replayer), {"a": case})["a"]))
    assert answers[0] == answers[1]


def test_sizes_of_replayed_steps() -> None:
    assert batch_sizes(32) == [1, 2, 4, 8, 16, 24, 32]
    assert batch_sizes(20) == [1, 2, 4, 8, 16, 24]
    assert batch_sizes(3) == [1, 2, 3]
    assert batch_sizes(1) == [1]


def test_tables_on_the_device_follow_the_block_manager() -> None:
    """Whatever happens to the blocks of more sequences than there are rows: a step's rows are its tables."""
    random = Random(1)
    blocks = BlockManager(40, 4)
    tables = BlockTables(3, 16, torch.device("cpu"))
    sequences: list[Sequence] = []
    for _ in range(600):
        event = random.random()
        if event < 0.2 and len(sequences) < 6:
            prompt = prompt_of(tuple(random.choice([(1, 2, 3, 4) * 3, (1, 2, 3, 4, 5, 6, 7, 8)])))
            state = SamplerState(SamplingConfig(), prompt.token_ids, 32, torch.device("cpu"))
            sequences.append(Sequence("x", prompt, len(sequences), 64, torch.zeros(3, 12), 0, state))
            blocks.match_prefix(sequences[-1])
        elif event < 0.3 and sequences:
            blocks.free(random.choice(sequences))  # preempted
        elif event < 0.4 and sequences:
            ended = sequences.pop(random.randrange(len(sequences)))
            blocks.free(ended)
            tables.forget(ended)
        elif event < 0.5 and sequences:
            waiting = random.choice(sequences)
            if waiting.block_table and waiting.num_computed_tokens == len(waiting.block_table) * 4:
                blocks.give_up_last_block(waiting)
        else:
            step = random.sample(sequences, min(len(sequences), random.randint(1, 3)))
            step = [sequence for sequence in step if blocks.can_allocate(sequence) and sequence.num_tokens < 60]
            for sequence in step:
                if not blocks.can_allocate(sequence):
                    break
                blocks.allocate(sequence)
                blocks.match_prefix(sequence) if random.random() < 0.3 else None
                if sequence.num_computed_tokens < sequence.num_tokens - 1 and random.random() < 0.5:
                    blocks.register(sequence, sequence.num_computed_tokens, sequence.num_tokens)
                    sequence.num_computed_tokens = sequence.num_tokens
                sequence.token_ids.append(random.randrange(4))
            for row, sequence in zip(tables.update(step), step, strict=True):
                table = sequence.block_table
                assert tables.device_rows[row, : len(table)].tolist() == table
                assert tables.host_rows[row, : len(table)].tolist() == table


def test_warming_up_records_every_size_and_changes_nothing(
    text_model: TextModel, tiny_case: CaseFactory, caplog: pytest.LogCaptureFixture
) -> None:
    replayer = CountingReplayer()
    config = EngineConfig(num_blocks=128, attention="triton", max_num_seqs=4, max_num_batched_tokens=64)
    engine = Engine(text_model, config, (), 4096, replayer)
    with caplog.at_level("INFO"):
        engine.warm_up(600.0)
    assert replayer.keys == [(1, False), (2, False), (2, True), (4, False), (4, True)]
    assert "5 of 5 decode steps recorded" in caplog.text
    cases = {f"{n}": short(tiny_case(PAGES, question=f"{n}. Who signed?"), 3) for n in range(2)}
    outputs = drive(engine, cases)
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}


def test_warming_up_ends_in_time(text_model: TextModel, caplog: pytest.LogCaptureFixture) -> None:
    replayer = CountingReplayer()
    config = EngineConfig(num_blocks=128, attention="triton", max_num_seqs=4, max_num_batched_tokens=64)
    engine = Engine(text_model, config, (), 4096, replayer)
    with caplog.at_level("INFO"):
        engine.warm_up(0.0)
        assert not caplog.text
        engine.warm_up(1e-9)
    assert "0 of 5 decode steps recorded" in caplog.text
    assert not replayer.keys
