"""The decoder asks the renderers for evidence; what comes back equals what one process finds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from deployments import decoder
from deployments.protocol import ServedRequest
from deployments.refusals import accepted
from glyph_core.answering.request import new_request_id
from glyph_core.config import PRESETS, EvidenceConfig, SamplingConfig
from glyph_core.evidence.conclusion import conclude
from glyph_core.evidence.finder import EvidenceFinder, EvidenceQuery
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Answer, DocumentSource, Message, Page, TextDelta
from tests.deployments.fakes import FakeChain, FakeEngine, stored

LEASE = b"Lease\n\nThe rent is 1,200 EUR, payable to Ruth Albright.\nReference: AB-7340912-Q\n"
ANNEX = b"Annex\n\nThe deposit is 3,600 EUR.\n"
SAID = "The reference is AB-7340972-Q and the deposit is 3,600 EUR."
MENDED = "The reference is AB-7340912-Q and the deposit is 3,600 EUR."


class MarkedRenderer(PageRenderer):
    """Its pages begin as the fake stages expect it: with their index."""

    def render(self, source: DocumentSource, start: int, stop: int, paper: Paper = FRESH) -> list[Page]:
        pages = super().render(source, start, stop, paper)
        for page in pages:
            page.pixels[0, 0] = page.plan.page_index
        return pages


def chain_that_says(text: str) -> FakeChain:
    return FakeChain(engine=FakeEngine(text), drawing=MarkedRenderer(PRESETS["mini"]))


def request(evidence: EvidenceConfig | None = None) -> ServedRequest:
    documents = (stored(LEASE, "lease.txt"), stored(ANNEX, "annex.txt"))
    message = Message("user", "What is the reference?", (0, 1))
    sampling = SamplingConfig(max_tokens=100)
    return ServedRequest(
        new_request_id(), (message,), documents, sampling, PRESETS["mini"], evidence or EvidenceConfig()
    )


def answer_of(chain: FakeChain, asked: ServedRequest) -> tuple[Answer, str]:
    async def ask() -> tuple[Answer, str]:
        events = [event async for message in chain.decoder.answer(asked) for event in accepted(message)]
        answer = events[-1]
        assert isinstance(answer, Answer)
        return answer, "".join(event.text for event in events if isinstance(event, TextDelta))

    return asyncio.run(asyncio.wait_for(ask(), 30))


def in_process(answer: Answer, wanted: EvidenceConfig) -> Answer:
    """The same by hand."""
    finder = EvidenceFinder(PageRenderer(PRESETS["mini"]))
    sources = (DocumentSource("lease.txt", LEASE), DocumentSource("annex.txt", ANNEX))
    bare = replace(answer, text=answer.written or answer.text, written=None, citations=(), grounding=None)
    query = EvidenceQuery(bare.text, "What is the reference?", (0,), wanted)
    return conclude(
        bare, [s.name for s in sources], dict(enumerate(finder.find(source, query) for source in sources)), wanted
    )


@pytest.mark.parametrize("mode", ["repair", "flag", "off"])
def test_the_chain_finds_what_one_process_finds(mode: str) -> None:
    wanted = EvidenceConfig(grounding=mode)
    answer, streamed = answer_of(chain_that_says(SAID), request(wanted))
    assert streamed == SAID
    assert answer == in_process(answer, wanted)
    assert answer.text == (MENDED if mode == "repair" else SAID)
    assert answer.written == (SAID if mode == "repair" else None)
    assert {citation.name for citation in answer.citations} >= {"lease.txt"}
    assert (answer.grounding is None) == (mode == "off")


def test_nothing_is_asked_where_nothing_is_wanted() -> None:
    chain = chain_that_says(SAID)

    async def fail(*_: Any) -> None:
        raise AssertionError

    chain.renderer.evidence = fail  # type: ignore[method-assign]
    answer, _ = answer_of(chain, request(EvidenceConfig(citations=False, grounding="off")))
    assert (answer.text, answer.citations, answer.grounding) == (SAID, (), None)
    assert not any("citations" in warning for warning in answer.warnings)


@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_a_renderer_that_fails_costs_a_warning_not_the_answer(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "EVIDENCE_TIMEOUT_S", 0.2)
    chain = chain_that_says(SAID)

    async def fail(*_: Any) -> None:
        if fault == "dies":
            raise ActorDiedError
        await asyncio.sleep(60)

    chain.renderer.evidence = fail  # type: ignore[method-assign]
    answer, _ = answer_of(chain, request())
    assert (answer.text, answer.citations, answer.grounding) == (SAID, (), None)
    assert "no citations" in answer.warnings[-1]
