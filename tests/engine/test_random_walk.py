"""Whatever the order of events and however small the pool: all requests end, with the tokens they would get alone."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from random import Random

import pytest
import torch

from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import Engine
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import PinnedShareError
from tests.engine.conftest import EngineFactory
from tests.engine.driving import Parts, prompt_of
from tests.engine.fakes import FakeTextModel, page_features

NUM_BLOCKS, BLOCK_SIZE = 12, 4
NUM_EVENTS = 300
MAX_STEPS = 4000  # to end with; a request takes about 20
# Few documents and questions, so that prompts often begin alike, differ late, or differ in a page only.
DOCUMENTS: list[Parts] = [("p", "q"), ("p", "q", "r"), ("p", "r", "q"), ((1, 2, 3), "p", "q"), ((1, 2, 3, 4, 5),)]
QUESTIONS: list[Parts] = [((1, 2, 3),), ((1, 2, 4, 5, 6),), ((7,) * 9,), ()]
MODEL = FakeTextModel()


def features_of(request: Parts) -> list[torch.Tensor]:
    return [page_features(name) for name in request if isinstance(name, str)]


@cache
def expected(request: Parts, num_tokens: int) -> list[int]:
    return MODEL.greedy(prompt_of(*request), features_of(request), num_tokens)


class Walk:
    """Requests come, get their pages, are stepped and aborted, by the dice of ``random``."""

    def __init__(self, engine: Engine, random: Random) -> None:
        self.engine = engine
        self.random = random
        self.requests: dict[str, tuple[Parts, int]] = {}  # that have not ended: what was asked, tokens to give
        self.answers: dict[str, list[int]] = {}
        self.num_ended = 0

    def add(self) -> None:
        name = f"{len(self.answers)}"
        request = self.random.choice(DOCUMENTS) + self.random.choice(QUESTIONS)
        num_tokens = self.random.randint(1, 20)
        self.engine.add(name, prompt_of(*request), SamplingConfig(max_tokens=num_tokens))
        self.requests[name] = request, num_tokens
        self.answers[name] = []

    def feed_one(self) -> None:
        """Some of the pages that one request wants, in any order."""
        name = self.random.choice([*self.requests, "unknown"])
        wanted = self.engine.wanted_pages(name)
        self.feed(name, self.random.sample(wanted, self.random.randint(0, len(wanted))))

    def feed_all(self) -> None:
        for name in self.requests:
            self.feed(name, self.engine.wanted_pages(name))

    def feed(self, name: str, page_numbers: tuple[int, ...] | list[int]) -> None:
        for number in page_numbers:
            self.engine.feed(name, number, features_of(self.requests[name][0])[number])

    def abort(self) -> None:
        name = self.random.choice([*self.requests, "unknown"])
        self.engine.abort(name)
        self.requests.pop(name, None)

    def pin(self) -> None:
        name = self.random.choice("pqr")
        if self.random.random() < 0.4:
            self.engine.unpin(name)
            return
        pages = prompt_of(*self.random.choice(DOCUMENTS)).pages
        with suppress(PinnedShareError):
            self.engine.pin(name, [page.page.digest for page in pages], [4 * self.random.randint(1, 5)])

    def step(self) -> None:
        for output in self.engine.step():
            answer = self.answers[output.request_id]
            answer.append(output.token_id)
            if output.finish_reason is not None:
                self.num_ended += 1
                assert answer == expected(*self.requests.pop(output.request_id))
        self.engine.check_integrity()


@pytest.mark.parametrize("seed", range(20))
def test_random_walk(seed: int, make_engine: EngineFactory) -> None:
    random = Random(seed)
    engine = make_engine(
        MODEL,
        block_size=BLOCK_SIZE,
        num_blocks=NUM_BLOCKS,
        max_num_batched_tokens=random.randint(4, 40),
        max_num_seqs=random.randint(1, 4),
        prefix_cache=random.random() < 0.8,
        pinned_share=random.choice((0, 0.5, 0.9)),
        host_kv_gb=random.choice((0, 3, 8, 30)) * KVCache.num_block_bytes(MODEL, BLOCK_SIZE) / 1024**3,
    )
    walk = Walk(engine, random)
    events = [walk.add, walk.feed_one, walk.feed_all, walk.abort, walk.step, walk.pin]
    for _ in range(NUM_EVENTS):
        random.choices(events, weights=[3, 6, 1, 0.3, 20, 1])[0]()
    for _ in range(MAX_STEPS):
        if not engine.has_work:
            break
        walk.feed_all()
        assert engine.can_step, "all pages are fed and nothing can run"
        walk.step()
    assert not engine.has_work, f"{len(walk.requests)} requests are left after {MAX_STEPS} steps"
    assert walk.num_ended > 10
