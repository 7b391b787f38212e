"""Greedy decoding gives transformers' ``generate``, token for token, however the work is cut."""

from __future__ import annotations

import random

import pytest

from glyph_core.model.family import TextModel
from tests.engine.conftest import CaseFactory, EngineFactory
from tests.engine.driving import drive, feed_wanted, token_ids

ONE_PAGE = ((224, 112),)
MANY_PAGES = ((224, 112), (140, 196), (100, 333), (28, 28), (168, 84))  # px; two of them are resized


@pytest.mark.parametrize("sizes", [(), ONE_PAGE, MANY_PAGES], ids=["text", "one page", "many pages"])
def test_one_request(
    sizes: tuple[tuple[int, int], ...], text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    case = tiny_case(sizes)
    outputs = drive(make_engine(text_model), {"a": case})["a"]
    assert token_ids(outputs) == case.expected
    assert len(set(case.expected)) >= 8, "the checkpoint repeats itself: equality would say little"
    assert [output.finish_reason for output in outputs] == [None] * 31 + ["length"]


def test_different_pages_give_different_answers(tiny_case: CaseFactory) -> None:
    assert tiny_case(ONE_PAGE, seed=0).expected != tiny_case(ONE_PAGE, seed=1).expected


@pytest.mark.parametrize("block_size", [1, 5, 16])
@pytest.mark.parametrize("budget", [1, 7, 16, 33, 100])
def test_uneven_prefill_chunks(
    budget: int, block_size: int, text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    case = tiny_case(MANY_PAGES)
    engine = make_engine(text_model, max_num_batched_tokens=budget, max_num_seqs=1, block_size=block_size)
    assert token_ids(drive(engine, {"a": case})["a"]) == case.expected


@pytest.mark.parametrize("prefix_cache", [True, False])
def test_eight_requests_at_once_with_preemption(
    prefix_cache: bool, text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    cases = {f"request {seed}": tiny_case(MANY_PAGES[seed % 3 :], seed) for seed in range(8)}
    longest = max(len(case.prompt.token_ids) for case in cases.values())
    engine = make_engine(
        text_model, block_size=4, num_blocks=longest // 4 * 5 // 2, max_num_batched_tokens=64, prefix_cache=prefix_cache
    )
    outputs = drive(engine, cases)
    assert engine.stats().num_preemptions > 0
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}


def test_pages_that_arrive_late_and_out_of_order(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    cases = {"a": tiny_case(MANY_PAGES), "b": tiny_case(ONE_PAGE * 4, seed=3)}
    engine = make_engine(text_model, max_num_batched_tokens=64)
    for name, case in cases.items():
        engine.add(name, case.prompt, case.sampling)
    arrivals = [(name, number) for name, case in cases.items() for number in range(len(case.features))]
    random.Random(5).shuffle(arrivals)
    answers: dict[str, list[int]] = {name: [] for name in cases}
    while engine.has_work:
        while engine.can_step:
            for output in engine.step():
                answers[output.request_id].append(output.token_id)
        engine.check_integrity()
        if arrivals:
            name, number = arrivals.pop()
            assert answers[name] == []  # not before its last page is here
            engine.feed(name, number, cases[name].features[number])
    assert answers == {name: case.expected for name, case in cases.items()}


def test_prefill_begins_before_the_last_page(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    case = tiny_case(MANY_PAGES)
    engine = make_engine(text_model, block_size=4)
    engine.add("a", case.prompt, case.sampling)
    for number in range(3):
        engine.feed("a", number, case.features[number])
    while engine.can_step:
        assert engine.step() == []
    mark = case.prompt.pages[3].start
    assert engine.stats().num_cached_blocks == mark // 4  # computed up to the missing page, in whole blocks
    feed_wanted(engine, "a", case)
    answer = []
    while engine.has_work:
        answer += token_ids(engine.step())
    assert answer == case.expected


def test_repeated_document_comes_from_the_prefix_cache(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    first, again = tiny_case(MANY_PAGES), tiny_case(MANY_PAGES, question="When does it end?")
    engine = make_engine(text_model)
    assert drive(engine, {"a": first})["a"][0].num_cached_tokens == 0
    outputs = drive(engine, {"b": again})["b"]
    assert token_ids(outputs) == again.expected
    assert outputs[0].num_cached_tokens == again.prompt.pages[-1].stop // 16 * 16


@pytest.mark.parametrize("block_size", [1, 16])
def test_cached_pages_are_not_wanted(
    block_size: int, text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    """Only a page whose end shares a block with the question, which differs, is asked for again."""
    first, again = tiny_case(MANY_PAGES), tiny_case(MANY_PAGES, question="When does it end?")
    engine = make_engine(text_model, block_size=block_size)
    drive(engine, {"a": first})
    engine.add("b", again.prompt, again.sampling)
    assert engine.wanted_pages("b") == (() if again.prompt.pages[-1].stop % block_size == 0 else (4,))


def test_questions_that_come_together_share_one_prefill(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    """Only the first is given pages, one after the other; the others want only the last
    page, whose end shares a block with the question."""
    cases = {f"{n}": tiny_case(MANY_PAGES, question=f"{n}. Who signed?") for n in range(8)}
    engine = make_engine(text_model, max_num_batched_tokens=64)
    for name, case in cases.items():
        engine.add(name, case.prompt, case.sampling)
    outputs = {}
    answers: dict[str, list[int]] = {name: [] for name in cases}
    for number, features in enumerate(cases["0"].features):
        engine.feed("0", number, features)
        while engine.can_step:
            for output in engine.step():
                answers[output.request_id].append(output.token_id)
    for name, case in list(cases.items())[1:]:
        assert engine.wanted_pages(name) == (4,)
        feed_wanted(engine, name, case)
    while engine.has_work:
        for output in engine.step():
            answers[output.request_id].append(output.token_id)
            outputs[output.request_id] = output
    assert answers == {name: case.expected for name, case in cases.items()}
    shared = cases["0"].prompt.pages[-1].stop // 16 * 16
    assert [output.num_cached_tokens for output in outputs.values()] == [shared] * 7
