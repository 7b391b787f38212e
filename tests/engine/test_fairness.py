"""A giant document beside running answers and small questions: who waits for whom, counted in steps."""

from __future__ import annotations

import asyncio
from random import Random

import torch

from deployments.engine_loop import EngineLoop
from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import Engine, TokenOutput
from glyph_core.model.attention import PagedAttention
from tests.engine.conftest import EngineFactory
from tests.engine.driving import prompt_of
from tests.engine.fakes import FakeTextModel

BUDGET = 32  # tokens of a step
GIANT_TOKENS, SMALL_TOKENS, ANSWER_TOKENS = 960, 24, 4


class WatchedModel(FakeTextModel):
    """Remembers how many tokens each forward had."""

    def __init__(self) -> None:
        super().__init__()
        self.forwards: list[int] = []

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        self.forwards.append(len(inputs_embeds))
        return super().forward(inputs_embeds, positions, attention)


def engine_of(make_engine: EngineFactory, model: FakeTextModel, num_blocks: int = 400) -> Engine:
    return make_engine(
        model, block_size=4, num_blocks=num_blocks, max_num_batched_tokens=BUDGET, max_num_seqs=8, prefix_cache=False
    )


def add(engine: Engine, name: str, num_tokens: int, num_answer_tokens: int) -> None:
    random = Random(name)
    token_ids = tuple(random.randrange(1, 32) for _ in range(num_tokens))
    engine.add(name, prompt_of(token_ids), SamplingConfig(max_tokens=num_answer_tokens, ignore_eos=True))


def test_a_running_answer_gets_a_token_in_every_step_of_a_giants_prefill(make_engine: EngineFactory) -> None:
    model = WatchedModel()
    engine = engine_of(make_engine, model)
    add(engine, "answer", 10, 60)
    engine.step()
    add(engine, "giant", GIANT_TOKENS, 1)
    outputs: list[TokenOutput] = []
    while "giant" not in {output.request_id for output in outputs}:
        outputs = engine.step()
        assert "answer" in {output.request_id for output in outputs}
    assert max(model.forwards) <= BUDGET  # a step, which is all that it waits, is one chunk


def test_the_loop_gives_a_running_answer_a_token_for_every_chunk_of_a_giant(make_engine: EngineFactory) -> None:
    """The same through the thread that serves."""

    async def test() -> None:
        model = WatchedModel()
        loop = EngineLoop(engine_of(make_engine, model))
        many = SamplingConfig(max_tokens=200, ignore_eos=True)
        one = SamplingConfig(max_tokens=1, ignore_eos=True)
        giant_ids = tuple(1 + number % 31 for number in range(GIANT_TOKENS))
        async with loop.sequence("answer", prompt_of((5,) * 10), many) as answer:
            await answer.next_output()
            async with loop.sequence("giant", prompt_of(giant_ids), one) as giant:
                await giant.next_output()
                num_chunks = sum(num_tokens > 8 for num_tokens in model.forwards[1:])
                for _ in range(num_chunks):  # they are there, or on their way
                    await asyncio.wait_for(answer.next_output(), 5)
        assert num_chunks >= GIANT_TOKENS / BUDGET
        assert max(model.forwards) <= BUDGET

    asyncio.run(test())


def steps_of_small_questions(engine: Engine, num_questions: int, period_steps: int) -> tuple[list[int], int]:
    """Steps from each small question's coming to its end, one coming every ``period_steps``, beside a giant that came
    first; and the steps that the giant took."""
    add(engine, "giant", GIANT_TOKENS, 1)
    came: dict[str, int] = {}
    took: dict[str, int] = {}
    step = 0
    while len(took) < num_questions + 1:
        if step % period_steps == 0 and len(came) < num_questions:
            name = f"small {len(came)}"
            add(engine, name, SMALL_TOKENS, ANSWER_TOKENS)
            came[name] = step
        step += 1
        for output in engine.step():
            if output.finish_reason:
                took[output.request_id] = step - came.get(output.request_id, 0)
    giant_took = took.pop("giant")
    return list(took.values()), giant_took


def test_small_questions_pass_a_giant_which_gets_on_at_half_speed_at_least(make_engine: EngineFactory) -> None:
    assert steps_of_small_questions(engine_of(make_engine, FakeTextModel()), 0, 1) == ([], GIANT_TOKENS // BUDGET)
    small, giant = steps_of_small_questions(engine_of(make_engine, FakeTextModel()), 12, period_steps=3)
    # Half of a step is theirs: two steps of prefill; four tokens; and a step that one before it may still take.
    assert max(small) <= 2 + ANSWER_TOKENS + 1
    assert giant <= 2 * GIANT_TOKENS // BUDGET + ANSWER_TOKENS


def test_a_giant_that_comes_last_is_not_kept_waiting_for_ever(make_engine: EngineFactory) -> None:
    """Small questions without end, and a pool that the giant needs almost whole."""
    engine = engine_of(make_engine, FakeTextModel(), num_blocks=GIANT_TOKENS // 4 + 12)
    for number in range(4):
        add(engine, f"first {number}", SMALL_TOKENS, ANSWER_TOKENS)
    add(engine, "giant", GIANT_TOKENS, 1)
    for step in range(400):
        add(engine, f"later {step}", SMALL_TOKENS, ANSWER_TOKENS)
        if "giant" in {output.request_id for output in engine.step()}:
            break
    # It may be overtaken by as many tokens as it has, and is then read at half speed.
    assert step <= (1 + 2) * GIANT_TOKENS // BUDGET * 2
