"""Pinned documents, from the request to the engine and back."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import httpx
import pytest

from deployments.protocol import PinRequest
from glyph_core.config import EngineConfig, PipelineConfig, SamplingConfig
from glyph_core.errors import PinnedShareError
from glyph_core.pipeline import Pipeline
from glyph_core.types import Answer, DocumentSource
from tests.deployments.fakes import FakeChain, FakeEngine, ScriptedDecoder, request_about
from tests.deployments.test_chain import events_of, run
from tests.deployments.test_files_http import upload
from tests.deployments.test_http_api import ANSWER, serving
from tests.tiny_checkpoint import make_tiny_glm4v

ANA = PinRequest("ana", is_wanted=True)


def test_a_request_pins_its_documents_before_they_are_read_and_unpins_them() -> None:
    async def test() -> None:
        chain = FakeChain(window_pages=4)
        request = replace(request_about(10, 2), pin=ANA)
        await events_of(chain, request)
        names = [ANA.name(document.digest) for document in request.documents]
        assert list(chain.engine.pins) == names
        assert [len(pages) for pages in chain.engine.pins.values()] == [10, 2]
        await events_of(chain, replace(request_about(2), pin=replace(ANA, is_wanted=False)))
        assert list(chain.engine.pins) == names[:1]
        assert await chain.decoder.unpin("ben/") == []
        assert await chain.decoder.unpin("ana/") == names[:1]

    run(test())


def test_who_finds_no_room_is_told_before_anything_is_read() -> None:
    async def test() -> None:
        chain = FakeChain(engine=FakeEngine(max_pinned_tokens=100))
        with pytest.raises(PinnedShareError, match="no room"):
            await events_of(chain, replace(request_about(10), pin=ANA))
        assert chain.drawing.num_pages == 0

    run(test())


def test_over_http() -> None:
    async def test() -> None:
        decoder = ScriptedDecoder([ANSWER])
        async with serving(decoder) as client:
            file = (await upload(client)).json()["id"]
            pinned = await client.post(f"/v1/files/{file}/pin")
            assert pinned.json() == {"id": file, "object": "file.pin", "pinned": True, "pages": ANSWER.num_pages}
            asked = decoder.requests[-1]
            assert asked.pin is not None
            assert (asked.pin.is_wanted, asked.sampling.max_tokens) == (True, 1)
            gone = await client.delete(f"/v1/files/{file}/pin")
            assert gone.json() == {"id": file, "object": "file.pin", "pinned": False, "was_pinned": True}
            assert decoder.unpinned == [asked.pin.name(asked.documents[0].digest)]
            await client.delete(f"/v1/files/{file}")
            assert len(decoder.unpinned) == 2
            assert (await client.post(f"/v1/files/{file}/pin")).status_code == 404

    asyncio.run(asyncio.wait_for(test(), 300))


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_chat_request_says_whether_it_pins(wanted: bool | None) -> None:
    async def test() -> None:
        decoder = ScriptedDecoder([ANSWER])
        async with serving(decoder) as client:
            await ask(client, wanted)
        pin = decoder.requests[-1].pin
        assert (pin and pin.is_wanted) == wanted

    asyncio.run(asyncio.wait_for(test(), 300))


async def ask(client: httpx.AsyncClient, pin: bool | None) -> None:
    file = {"filename": "a.txt", "file_data": base64.b64encode(b"The fee is 400 crowns.").decode()}
    content = [{"type": "file", "file": file}, {"type": "text", "text": "What is the fee?"}]
    body = {
        "model": "glyph-mini",
        "messages": [{"role": "user", "content": content}],
        "glyph": {"pin": pin} if pin is not None else {},
    }
    (await client.post("/v1/chat/completions", json=body)).raise_for_status()


def test_in_one_process_a_pinned_document_outlives_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = PipelineConfig(engine=EngineConfig(num_blocks=64, pinned_share=0.5), feature_cache_gb=0)
    pipeline = Pipeline.from_pretrained(make_tiny_glm4v(tmp_path_factory.mktemp("tiny")), config)
    lease, *others = (DocumentSource("d", f"Number {number}.\n".encode() * 60) for number in range(5))

    def cached(document: DocumentSource) -> int:
        answer: Answer = pipeline.ask([document], "Who?", sampling=SamplingConfig(max_tokens=2, ignore_eos=True))
        return answer.usage.num_cached_tokens

    def after_others() -> int:
        cached(lease)
        assert [cached(document) for document in others] == [0] * 4
        return cached(lease)

    assert after_others() == 0
    pipeline.pin([lease])
    assert after_others() > 0
    with pytest.raises(PinnedShareError, match="unpin another"):
        pipeline.pin([DocumentSource("long", b"One more line of many.\n" * 400)])
    pipeline.unpin([lease])
    assert after_others() == 0
    pipeline.engine.check_integrity()
