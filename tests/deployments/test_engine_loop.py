"""The engine in its thread, as the event loop sees it."""

from __future__ import annotations

import asyncio

from deployments.engine_loop import EngineLoop
from deployments.running_sequence import PageState, RunningSequence
from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.engine import Engine
from tests.engine.driving import prompt_of
from tests.engine.fakes import FakeTextModel, page_features

NAMES = [f"page {number}" for number in range(4)]


def test_a_preempted_sequence_is_fed_again_what_it_had_computed() -> None:
    sequence = RunningSequence("a")
    sequence.note_pages(PageState(wanted=(0, 1, 2, 3), next_page=0))
    for number in range(3):
        sequence.note_fed(number)
    assert sequence.missing_pages == [3]
    sequence.note_pages(PageState(wanted=(3,), next_page=2))
    sequence.note_pages(PageState(wanted=(0, 1, 3), next_page=0))  # the engine still has page 2
    assert sequence.missing_pages == [0, 1, 3]


def test_answers_are_the_same_where_sequences_push_one_another_out() -> None:
    """A pool that holds one and a half: the younger is preempted after its pages were let go."""
    model = FakeTextModel()
    parts = [(*NAMES, (7 + index, 9)) for index in range(2)]
    sampling = SamplingConfig(max_tokens=20, ignore_eos=True)
    config = EngineConfig(block_size=4, num_blocks=16, max_num_seqs=4, prefix_cache=False, max_num_batched_tokens=16)
    engine = Engine(model, config, (), 200)
    loop = EngineLoop(engine)

    async def ask(index: int) -> list[int]:
        tokens: list[int] = []
        async with loop.sequence(f"{index}", prompt_of(*parts[index]), sampling) as sequence:

            async def feed() -> None:
                while True:
                    await sequence.until(lambda: sequence.missing_pages)
                    number = sequence.missing_pages[0]
                    loop.feed(sequence, number, page_features(NAMES[number]))

            feeding = asyncio.create_task(feed())
            while len(tokens) < sampling.max_tokens:
                if output := await sequence.next_output():
                    tokens.append(output.token_id)
            feeding.cancel()
        return tokens

    async def both() -> list[list[int]]:
        return await asyncio.wait_for(asyncio.gather(ask(0), ask(1)), timeout=60)

    answers = asyncio.run(both())
    features = [page_features(name) for name in NAMES]
    assert answers == [model.greedy(prompt_of(*part), features, sampling.max_tokens) for part in parts]
    assert engine.stats().num_preemptions > 0
