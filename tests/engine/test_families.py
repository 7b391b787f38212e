"""Every family's greedy answer is transformers' ``generate``, token for token, however the work is cut. What is common
to all of them is tested with glm4v, in test_hf_equality.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import TextModel, family_of
from tests.engine.conftest import CaseFactory, EngineFactory, case_factory
from tests.engine.driving import drive, token_ids
from tests.tiny_families import FAMILIES, make_tiny

ONE_PAGE = ((224, 112),)
MANY_PAGES = ((224, 112), (140, 196), (100, 333), (28, 28))  # px


SLOW = ("llava_next", "qwen2_5_vl")  # much as the other of their kind


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAMILIES]
)
def family_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def family_text(family_folder: Path) -> TextModel:
    return family_of(resolve_checkpoint(str(family_folder))).load_text(torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def family_case(family_folder: Path) -> CaseFactory:
    return case_factory(family_folder)


@pytest.mark.parametrize("sizes", [(), ONE_PAGE, MANY_PAGES], ids=["text", "one page", "many pages"])
def test_one_request(
    sizes: tuple[tuple[int, int], ...], family_text: TextModel, family_case: CaseFactory, make_engine: EngineFactory
) -> None:
    case = family_case(sizes)
    assert token_ids(drive(make_engine(family_text), {"a": case})["a"]) == case.expected
    assert len(set(case.expected)) >= 8, "the checkpoint repeats itself: equality would say little"
    if sizes:
        assert case.expected != family_case(sizes, seed=1).expected, "it does not look at its pages"


@pytest.mark.parametrize(("budget", "block_size"), [(1, 16), (7, 5), (33, 1)])
def test_uneven_prefill_chunks(
    budget: int, block_size: int, family_text: TextModel, family_case: CaseFactory, make_engine: EngineFactory
) -> None:
    case = family_case(ONE_PAGE if budget == 1 else MANY_PAGES)
    fields = {"max_num_batched_tokens": budget, "max_num_seqs": 1, "num_blocks": 4096 // block_size}
    engine = make_engine(family_text, block_size=block_size, **fields)
    assert token_ids(drive(engine, {"a": case})["a"]) == case.expected


def test_requests_at_once_with_preemption(
    family_text: TextModel, family_case: CaseFactory, make_engine: EngineFactory
) -> None:
    cases = {f"request {seed}": family_case(MANY_PAGES[2:], seed) for seed in range(4)}
    num_prompt_tokens = len(cases["request 0"].prompt.token_ids)
    room_for_three = 3 * (num_prompt_tokens // 4 + 2)  # blocks, of their prompts
    engine = make_engine(family_text, block_size=4, num_blocks=room_for_three, max_num_batched_tokens=64)
    outputs = drive(engine, cases)
    assert engine.stats().num_preemptions > 0
    assert {name: token_ids(outputs[name]) for name in cases} == {name: case.expected for name, case in cases.items()}


def test_repeated_document_comes_from_the_prefix_cache(
    family_text: TextModel, family_case: CaseFactory, make_engine: EngineFactory
) -> None:
    first, again = family_case(MANY_PAGES), family_case(MANY_PAGES, question="When does it end?")
    engine = make_engine(family_text)
    drive(engine, {"a": first})
    [output, *_] = outputs = drive(engine, {"b": again})["b"]
    assert token_ids(outputs) == again.expected
    assert output.num_cached_tokens >= again.prompt.pages[-1].stop // 16 * 16


def test_other_pages_of_the_same_size_are_not_taken_for_them(
    family_text: TextModel, family_case: CaseFactory, make_engine: EngineFactory
) -> None:
    engine = make_engine(family_text)
    for seed in (0, 1):
        case = family_case(MANY_PAGES, seed)
        outputs = drive(engine, {"a": case})["a"]
        assert token_ids(outputs) == case.expected
        assert outputs[0].num_cached_tokens < case.prompt.pages[0].stop
