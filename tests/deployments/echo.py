"""An endpoint without models: the real gateway before a decoder that says what it was asked.

``python -m tests.deployments.echo PORT STORE ASKED`` serves it, and notes in the file ASKED what was asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from deployments.access import AccessConfig
from deployments.entrance import OverloadConfig
from deployments.gateway import Gateway
from deployments.protocol import ServedRequest, StageReport
from deployments.refusals import yields_refusals
from glyph_core.config import PipelineConfig, StoreConfig
from glyph_core.errors import UnsupportedDocumentError
from glyph_core.types import Answer, AnswerEvent, Timings, Usage
from tests.deployments.local import FakeServeSide, LocalHandle, Stored

ANSWER_S = 0.05


@dataclass
class EchoDecoder:
    asked: Path | None = None
    answer_s: float = ANSWER_S
    requests: list[ServedRequest] = field(default_factory=list)

    async def unpin(self, prefix: str) -> list[str]:
        return []

    @yields_refusals
    async def answer(self, request: ServedRequest) -> AsyncGenerator[tuple[AnswerEvent, ...]]:
        self.requests.append(request)
        question, names = request.messages[-1].text, [document.name for document in request.documents]
        contents = [await document.content for document in request.documents]
        if self.asked is not None and question != "Ready?":  # which is the warm-up's
            with self.asked.open("a") as file:
                file.write(json.dumps([*names, question]) + "\n")
        if any(content.startswith(b"PK") for content in contents):
            raise UnsupportedDocumentError("an archive is no document")
        await asyncio.sleep(self.answer_s)
        text = f"{question} {' '.join(content.decode() for content in contents)}"
        yield (Answer(text, "stop", (1,), Usage(10, 1, 5, 0, 20), Timings(), len(names)),)

    async def describe(self) -> tuple[StageReport, ...]:
        return ()

    async def check_health(self) -> None:
        pass


def echo_gateway(decoder: EchoDecoder, store: StoreConfig) -> Gateway:
    return Gateway(
        LocalHandle(decoder),  # type: ignore[arg-type]
        LocalHandle(None),  # type: ignore[arg-type]
        PipelineConfig(),
        AccessConfig(),
        OverloadConfig(),
        store,
        serve_side=FakeServeSide(),
        put=Stored,  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    port, store, asked = sys.argv[1:]
    gateway = echo_gateway(EchoDecoder(asked=Path(asked)), StoreConfig(path=store))
    uvicorn.run(gateway.__serve_build_asgi_app__(), port=int(port), log_level="error")
