"""What the engine promises its driver beyond the right tokens: limits, ends, errors, figures."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from glyph_core.config import EngineConfig, SamplingConfig
from glyph_core.engine.engine import Engine
from glyph_core.errors import ConfigError, ContextLengthError, InvalidRequestError, StageError
from glyph_core.types import PagePlacement, Prompt
from tests.engine.conftest import MAX_MODEL_LEN, EngineFactory
from tests.engine.driving import Case, drive, prompt_of, token_ids
from tests.engine.fakes import FakeTextModel, page_features

MODEL = FakeTextModel()
DOCUMENT = ("p", "q", (1, 2, 3))
ANSWER = MODEL.greedy(prompt_of(*DOCUMENT), [page_features("p"), page_features("q")], 12)


def case_of(num_tokens: int, **sampling: object) -> Case:
    return Case(
        prompt_of(*DOCUMENT),
        [page_features("p"), page_features("q")],
        sampling=SamplingConfig.model_validate({"max_tokens": num_tokens, **sampling}),
    )


def test_an_answer_ends_at_max_tokens(make_engine: EngineFactory) -> None:
    outputs = drive(make_engine(MODEL), {"a": case_of(12)})["a"]
    assert token_ids(outputs) == ANSWER
    assert [output.finish_reason for output in outputs] == [None] * 11 + ["length"]


def test_an_end_of_sequence_token_is_reported_and_ends_the_answer(make_engine: EngineFactory) -> None:
    eos = ANSWER[5]
    outputs = drive(make_engine(MODEL, eos_token_ids=(eos, 31)), {"a": case_of(12)})["a"]
    assert token_ids(outputs) == ANSWER[: ANSWER.index(eos) + 1]
    assert outputs[-1].finish_reason == "stop"
    ignoring = drive(make_engine(MODEL, eos_token_ids=(eos, 31)), {"a": case_of(12, ignore_eos=True)})["a"]
    assert token_ids(ignoring) == ANSWER


@pytest.mark.parametrize("limits", [{"max_model_len": 20}, {"num_blocks": 5, "block_size": 4}], ids=["model", "pool"])
def test_an_answer_longer_than_the_context_is_cut_there(limits: dict[str, int], make_engine: EngineFactory) -> None:
    outputs = drive(make_engine(MODEL, **limits), {"a": case_of(3_000_000_000)})["a"]  # the prompt has 15 tokens
    assert token_ids(outputs) == ANSWER[:5]
    assert outputs[-1].finish_reason == "length"


@pytest.mark.parametrize("limits", [{"max_model_len": 15}, {"num_blocks": 3, "block_size": 5}], ids=["model", "pool"])
def test_a_prompt_that_leaves_no_room_is_refused(limits: dict[str, int], make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, **limits)
    with pytest.raises(ContextLengthError, match="15 tokens and the context holds 15"):
        engine.add("a", prompt_of(*DOCUMENT), SamplingConfig())
    assert not engine.has_work
    drive(engine, {"b": Case(prompt_of((1,) * 14), sampling=SamplingConfig())})


def test_bad_requests_are_refused(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL)
    with pytest.raises(InvalidRequestError, match="no tokens"):
        engine.add("a", Prompt(token_ids=(), pages=()), SamplingConfig())
    good = prompt_of(*DOCUMENT)
    swapped = Prompt(token_ids=good.token_ids, pages=good.pages[::-1])
    beyond = Prompt(token_ids=good.token_ids, pages=(PagePlacement(good.pages[0].page, 12, 6, (1, 4, 6)),))
    for prompt in (swapped, beyond):
        with pytest.raises(StageError, match="within its prompt"):
            engine.add("a", prompt, SamplingConfig())
    engine.add("a", good, SamplingConfig())
    with pytest.raises(InvalidRequestError, match="'a' is in use"):
        engine.add("a", good, SamplingConfig())
    engine.abort("a")
    engine.add("a", good, SamplingConfig())  # free again
    engine.abort("a")


def test_features_that_do_not_fit_are_refused(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL)
    engine.add("a", prompt_of(*DOCUMENT), SamplingConfig())
    for shape in ((5, 8), (6, 7), (48,)):
        with pytest.raises(StageError, match=r"page number 1 .* room for \(6, 8\)"):
            engine.feed("a", 1, torch.zeros(shape))
    for number in (-1, 2):
        with pytest.raises(StageError, match="has 2 pages"):
            engine.feed("a", number, page_features("p"))
    assert engine.wanted_pages("a") == (0, 1)
    engine.feed("a", 1, page_features("q"))
    assert engine.wanted_pages("a") == (0,)
    engine.abort("a")


def test_a_request_that_has_ended_takes_no_notice(make_engine: EngineFactory) -> None:
    """Pages and aborts may still be on their way when a request ends."""
    engine = make_engine(MODEL)
    drive(engine, {"a": case_of(3)})
    engine.abort("a")
    engine.feed("a", 0, page_features("p"))
    assert engine.wanted_pages("a") == ()
    assert (engine.has_work, engine.can_step, engine.step()) == (False, False, [])


@pytest.mark.parametrize("num_steps", range(6))
def test_abort_frees_at_once_whatever_the_stage(num_steps: int, make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, num_blocks=8, block_size=4, max_num_batched_tokens=8, max_num_seqs=4)
    cases = {"a": case_of(12), "b": case_of(12)}
    for name, case in cases.items():
        engine.add(name, case.prompt, case.sampling)
        for number in engine.wanted_pages(name):
            engine.feed(name, number, case.features[number])
    answers: dict[str, list[int]] = {"a": [], "b": []}
    for _ in range(num_steps):
        for output in engine.step():
            answers[output.request_id].append(output.token_id)
    engine.abort("a")
    engine.check_integrity()
    while engine.has_work:
        for output in engine.step():
            answers[output.request_id].append(output.token_id)
    assert answers["b"] == ANSWER
    assert engine.stats().num_free_blocks == 8


def test_pages_are_let_go_when_they_are_computed(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, max_num_batched_tokens=10, max_num_seqs=2)
    engine.add("a", prompt_of(*DOCUMENT), SamplingConfig(max_tokens=2))
    features = [page_features("p"), page_features("q")]
    references = [weakref.ref(feature) for feature in features]
    for number, feature in enumerate(features):
        engine.feed("a", number, feature)
    del features, feature
    held = []
    while engine.has_work:
        engine.step()
        gc.collect()
        held.append([reference() is not None for reference in references])
        assert held[-1][1] or not held[-1][0]  # the first goes first
    assert [False, True] in held
    assert held[-1] == [False, False]
    assert engine.wanted_pages("a") == ()


def test_the_driver_sees_how_far_prefill_has_come_and_what_it_took(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, block_size=4)
    engine.add("a", prompt_of(*DOCUMENT), SamplingConfig(max_tokens=3))
    assert engine.next_page("a") == 0
    engine.feed("a", 0, page_features("p"))
    engine.step()
    assert engine.next_page("a") == 0  # its last two tokens lie in a block with the next page
    engine.feed("a", 1, page_features("q"))
    first, *others = [output for _ in range(3) for output in engine.step()]
    assert first.prefill_s > 0
    assert [output.prefill_s for output in others] == [first.prefill_s] * 2  # decoding adds nothing


def test_stats(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, num_blocks=20, block_size=4, max_num_seqs=1)
    for name in "ab":
        engine.add(name, prompt_of((1,) * 10), SamplingConfig(max_tokens=4))
    engine.step()
    stats = engine.stats()
    assert (stats.num_running, stats.num_waiting) == (1, 1)
    assert (stats.num_blocks, stats.num_free_blocks, stats.num_cached_blocks) == (20, 17, 2)
    while engine.has_work:
        engine.step()
    assert engine.stats().num_free_blocks == 20


def test_pool_size_comes_from_memory_where_no_number_is_given() -> None:
    block_bytes = 2 * 2 * 16 * 1 * 8 * 8  # k and v, layers, tokens, heads, head dim, bytes of a float64
    config = EngineConfig(kv_memory_gb=100.5 * block_bytes / 1024**3)
    assert Engine(MODEL, config, (), MAX_MODEL_LEN).stats().num_blocks == 100
    with pytest.raises(ConfigError, match="holds 1 KV blocks of 16 tokens"):
        Engine(MODEL, EngineConfig(kv_memory_gb=1.5 * block_bytes / 1024**3), (), MAX_MODEL_LEN)
