"""Fixtures of the engine's tests. Every engine that a test makes is checked when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.config import EngineConfig
from glyph_core.engine.engine import Engine
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import TextModel, family_of, place_pages
from glyph_core.model.tokenizer import Tokenizer
from glyph_core.types import PagePlan, digest_of
from tests.engine.driving import Case
from tests.tiny_checkpoint import make_tiny_glm4v, question_about, random_pages
from tests.tiny_families import hf_generate, hf_inputs

MAX_MODEL_LEN = 4096
NUM_TOKENS = 32
Sizes = tuple[tuple[int, int], ...]  # (width, height) px
EngineFactory = Callable[..., Engine]
CaseFactory = Callable[..., Case]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The tiny models are faster so, most of all on a busy machine."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_glm4v(tmp_path_factory.mktemp("tiny_glm4v"), max_model_len=MAX_MODEL_LEN)


@pytest.fixture(scope="session")
def text_model(tiny_folder: Path) -> TextModel:
    return family_of(resolve_checkpoint(str(tiny_folder))).load_text(torch.float32, torch.device("cpu"))


@pytest.fixture(scope="session")
def whole_model(tiny_folder: Path) -> Glm4vForConditionalGeneration:
    """The tiny checkpoint as transformers runs it."""
    model = Glm4vForConditionalGeneration.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(scope="session")
def tiny_case(tiny_folder: Path) -> CaseFactory:
    """``tiny_case(sizes, seed, question)``: a request to the tiny checkpoint, and transformers' greedy answer to it."""
    return case_factory(tiny_folder)


def case_factory(folder: Path) -> CaseFactory:
    """Requests to a tiny checkpoint of any family."""
    checkpoint = resolve_checkpoint(str(folder))
    family, tokenizer = family_of(checkpoint), Tokenizer(checkpoint)
    vision = family.load_vision(torch.float32, torch.device("cpu"))

    @lru_cache
    def make(sizes: Sizes, seed: int = 0, question: str = "Who signed it?") -> Case:
        pages = random_pages(sizes, seed)
        messages = question_about(len(pages), question)
        plans = [PagePlan(i, *sizes[i], digest_of(page.tobytes())) for i, page in enumerate(pages)]
        prompt = place_pages(family, tokenizer.encode_chat(messages), plans)
        inputs = hf_inputs(folder, pages, messages)
        assert list(prompt.token_ids) == inputs["input_ids"][0].tolist()
        return Case(
            prompt=prompt,
            features=vision.encode(*family.preprocess(pages)) if pages else [],
            expected=hf_generate(folder, pages, question, NUM_TOKENS),
            hf_inputs=inputs,
        )

    return make


@pytest.fixture
def make_engine() -> Iterator[EngineFactory]:
    """``make_engine(model, eos_token_ids=…, **EngineConfig fields)``; afterwards the pool's books must be in order, and
    no block held where no request is left."""
    engines: list[Engine] = []

    def make(model: TextModel, eos_token_ids: tuple[int, ...] = (), **fields: object) -> Engine:
        config = EngineConfig.model_validate({"num_blocks": 512, "block_size": 16, **fields})
        engines.append(Engine(model, config, eos_token_ids, MAX_MODEL_LEN))
        return engines[-1]

    yield make
    for engine in engines:
        engine.check_integrity()
        stats = engine.stats()
        assert engine.has_work or stats.num_free_blocks == stats.num_blocks
