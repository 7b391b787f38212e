"""Sampling does what transformers' processors do, and one request's draw is no business of another's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from transformers import Glm4vForConditionalGeneration
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from glyph_core.config import SamplingConfig
from glyph_core.engine import sampler
from glyph_core.engine.sampler import SampledToken, SamplerState, greedy
from glyph_core.errors import ModelError
from glyph_core.model.family import TextModel
from tests.engine.conftest import CaseFactory, EngineFactory
from tests.engine.driving import Case, drive, token_ids

VOCAB_SIZE = 50
NUM_DRAWS = 5000
CPU = torch.device("cpu")
PAGES = ((224, 112), (140, 196))


def state_of(sampling: SamplingConfig, prompt_ids: list[int]) -> SamplerState:
    return SamplerState(sampling, prompt_ids, VOCAB_SIZE, CPU)


def sample(logits: torch.Tensor, states: Sequence[SamplerState]) -> list[SampledToken]:
    return sampler.sample(logits, greedy(logits), states)


def random_logits(num_rows: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(num_rows, VOCAB_SIZE, generator=torch.Generator().manual_seed(seed))


def hf_probs(sampling: SamplingConfig, ids: list[int], logits: torch.Tensor) -> torch.Tensor:
    """What transformers would draw from, after ``ids``: (V,)."""
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    return processors(torch.tensor([ids]), logits[None].clone()).softmax(-1)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("temperature", "repetition_penalty", "top_p"),
    [(1.0, 1.0, 1.0), (0.3, 1.0, 1.0), (2.0, 1.5, 1.0), (1.0, 1.0, 0.9), (2.0, 0.7, 0.5), (0.5, 1.2, 0.01)],
)
def test_draws_have_the_distribution_of_transformers(
    temperature: float, repetition_penalty: float, top_p: float
) -> None:
    sampling = SamplingConfig(temperature=temperature, repetition_penalty=repetition_penalty, top_p=top_p)
    logits, ids = random_logits(1)[0], [3, 3, 7, 20, 21]
    states = [state_of(sampling.model_copy(update={"seed": seed}), ids) for seed in range(NUM_DRAWS)]
    drawn = torch.tensor([token.token_id for token in sample(logits.expand(NUM_DRAWS, -1), states)])
    frequencies = drawn.bincount(minlength=VOCAB_SIZE) / NUM_DRAWS
    expected = hf_probs(sampling, ids, logits)
    assert not frequencies[expected == 0].any()  # what top-p cuts off is never drawn
    assert (frequencies - expected).abs().max() < 4 * 0.5 / NUM_DRAWS**0.5  # four standard deviations


def test_greedy_takes_the_likeliest_and_draws_nothing() -> None:
    logits = random_logits(6)
    tokens = sample(logits, [state_of(SamplingConfig(top_p=0.5), []) for _ in range(6)])
    assert [token.token_id for token in tokens] == logits.argmax(-1).tolist()


def test_logprobs_are_of_the_models_own_distribution() -> None:
    logits = random_logits(3)
    samplings = [
        SamplingConfig(),
        SamplingConfig(temperature=2.0, top_p=0.3, seed=1),
        SamplingConfig(repetition_penalty=5.0),
    ]
    tokens = sample(logits, [state_of(sampling, list(range(20))) for sampling in samplings])
    for row, token in zip(logits.log_softmax(-1), tokens, strict=True):
        assert token.logprob == pytest.approx(row[token.token_id].item(), abs=1e-5)


@pytest.mark.parametrize("best", [(2.0, 1.5), (-1.0, -1.5)])
def test_a_drawn_token_is_penalised_from_then_on(best: tuple[float, float]) -> None:
    logits = torch.full((1, VOCAB_SIZE), -5.0)
    logits[0, [4, 5]] = torch.tensor(best)
    state = state_of(SamplingConfig(repetition_penalty=2.0), [9])
    assert [sample(logits, [state])[0].token_id for _ in range(4)] == [4, 5, 4, 4]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("sampling", [SamplingConfig(), SamplingConfig(temperature=1.0)], ids=["greedy", "drawn"])
def test_logits_that_are_no_numbers_are_refused(value: float, sampling: SamplingConfig) -> None:
    logits = random_logits(3)
    logits[1, 7] = value
    with pytest.raises(ModelError, match=r"not finite.*bfloat16"):
        sample(logits, [state_of(sampling, []) for _ in range(3)])


def test_requests_without_a_seed_differ() -> None:
    states = [state_of(SamplingConfig(temperature=1.0), []) for _ in range(200)]
    assert len({token.token_id for token in sample(torch.zeros(200, VOCAB_SIZE), states)}) > 10


def test_a_mixed_batch_gives_each_what_it_gets_alone() -> None:
    samplings = [
        SamplingConfig(),
        SamplingConfig(temperature=1.0, seed=1),
        SamplingConfig(repetition_penalty=1.3),
        SamplingConfig(temperature=0.7, top_p=0.8, repetition_penalty=1.2, seed=2),
    ] * 2
    together = [state_of(sampling, [1, 2, row]) for row, sampling in enumerate(samplings)]
    alone = [state_of(sampling, [1, 2, row]) for row, sampling in enumerate(samplings)]
    for step in range(20):
        logits = random_logits(len(samplings), seed=step)
        expected = [sample(logits[row : row + 1], [state])[0] for row, state in enumerate(alone)]
        assert sample(logits, together) == expected


def test_seeded_sampling_is_the_same_alone_and_in_a_batch_of_eight(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    def case(seed: int) -> Case:
        plain = tiny_case(PAGES, seed)
        sampling = SamplingConfig(temperature=0.8, top_p=0.95, seed=seed, max_tokens=24, ignore_eos=True)
        return Case(plain.prompt, plain.features, sampling=sampling)

    cases = {f"{seed}": case(seed) for seed in range(8)}
    together = drive(make_engine(text_model, max_num_batched_tokens=100), cases)
    for name in ("0", "3", "7"):
        assert token_ids(drive(make_engine(text_model), {name: cases[name]})[name]) == token_ids(together[name])
    other_seed = Case(cases["0"].prompt, cases["0"].features, sampling=cases["1"].sampling)
    assert token_ids(drive(make_engine(text_model), {"x": other_seed})["x"]) != token_ids(together["0"])


def test_repetition_penalty_equals_transformers_generate(
    whole_model: Glm4vForConditionalGeneration,
    text_model: TextModel,
    tiny_case: CaseFactory,
    make_engine: EngineFactory,
) -> None:
    plain = tiny_case(PAGES)
    sampling = SamplingConfig(repetition_penalty=1.4, max_tokens=32, ignore_eos=True)
    got = drive(make_engine(text_model), {"a": Case(plain.prompt, plain.features, sampling=sampling)})["a"]
    with torch.no_grad():
        output = whole_model.generate(**plain.hf_inputs, max_new_tokens=32, do_sample=False, repetition_penalty=1.4)
    assert token_ids(got) == output[0, len(plain.prompt.token_ids) :].tolist()
    assert token_ids(got) != plain.expected


def test_logprobs_equal_those_of_the_whole_model(
    whole_model: Glm4vForConditionalGeneration,
    text_model: TextModel,
    tiny_case: CaseFactory,
    make_engine: EngineFactory,
) -> None:
    """One token at a time from the cache, as against all at once without."""
    case = tiny_case(PAGES)
    outputs = drive(make_engine(text_model, max_num_batched_tokens=33), {"a": case})["a"]
    answer = torch.tensor([token_ids(outputs)])
    inputs = dict(case.hf_inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], dim=1)
    inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, answer.shape[1]))
    with torch.no_grad():
        logits = whole_model(**inputs).logits[0]  # (T, V)
    expected = logits[-answer.shape[1] - 1 : -1].log_softmax(-1).gather(-1, answer.T)[:, 0]
    assert [output.logprob for output in outputs] == pytest.approx(expected.tolist(), abs=1e-4)
