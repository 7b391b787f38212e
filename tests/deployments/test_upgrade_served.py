"""An application that is deployed anew under load drops nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve

from tests.deployments.load import Outcome, ask, clients_asking, question
from tests.deployments.serving import FAKE_ANSWER, FREED_S, App, fake_chain, wait_until

pytestmark = pytest.mark.serve

STAGES = ("Gateway", "Decoder", "Encoder", "Renderer")


def fake_question(number: int) -> dict[str, Any]:
    return question(str(5 + number % 7).encode(), stream=number % 2 == 0)


def test_an_upgrade_under_load_drops_nothing(fake_app: App, tiny_folder: Path) -> None:
    """All four stages are replaced: Serve sees new code in every ``serve.run``."""
    before = {stage: {replica.pid for replica in fake_app.replicas(stage)} for stage in STAGES}

    async def test() -> tuple[list[tuple[int, Outcome]], Outcome]:
        async with (
            clients_asking(fake_app, fake_question, 2) as outcomes,
            httpx.AsyncClient(timeout=180, trust_env=False) as client,
        ):
            long_stream = asyncio.create_task(ask(client, fake_app, question(b"1000", stream=True)))
            await asyncio.sleep(0.5)
            upgrade = asyncio.to_thread(serve.run, fake_chain(tiny_folder), name="fakes", route_prefix="/fakes")
            await upgrade
            await asyncio.sleep(2.5)  # an answer's time, of the new replicas
        return outcomes, await long_stream

    outcomes, long_stream = asyncio.run(test())
    assert len(outcomes) > 4
    assert {outcome for _, outcome in outcomes} == {Outcome("answered", FAKE_ANSWER)}
    assert long_stream == Outcome("answered", FAKE_ANSWER)
    for stage in STAGES:
        wait_until(lambda stage=stage: fake_app.replicas(stage), 30)
        wait_until(lambda stage=stage: not before[stage] & {r.pid for r in fake_app.replicas(stage)}, 30)
    wait_until(fake_app.is_idle, FREED_S)
