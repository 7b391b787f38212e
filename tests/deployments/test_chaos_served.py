"""Replicas of every kind are killed under load: each request still ends, the answers are right, and nothing is left."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import httpx
import pytest

from tests.deployments.load import DEATH_CODES, Outcome, ask, clients_asking, kinds_of, object_store_bytes, question
from tests.deployments.serving import FAKE_ANSWER, FREED_S, App, wait_until

pytestmark = pytest.mark.serve

UNSEEN = ("Renderer", "Encoder")  # whose death no client sees
SEEN = ("Decoder", "Gateway")
NUM_CLIENTS = 3
RECOVERY_S = 120.0  # that a replica may take to come back on a busy machine
KB = 1024


async def kill_one(app: App, stage: str) -> float:
    """Kills a replica; seconds until the stage is whole and the service answers again."""
    before = app.replicas(stage)
    started_at = time.monotonic()
    before[0].kill()
    killed = before[0].pid

    def is_back() -> bool:
        pids = [replica.pid for replica in app.replicas(stage)]
        return killed not in pids and len(pids) == len(before)

    await asyncio.to_thread(wait_until, is_back, RECOVERY_S)
    await asyncio.to_thread(app.wait_healthy, RECOVERY_S)
    return time.monotonic() - started_at


def fake_question(number: int) -> dict[str, Any]:
    return question(str(10 + 40 * (number % 3)).encode(), stream=number % 2 == 0)


def assert_nothing_is_left(app: App, store_bytes: float) -> None:
    wait_until(app.is_idle, FREED_S)
    wait_until(lambda: object_store_bytes() < store_bytes + 500 * KB, 30)  # a page's features are more


def test_each_kind_of_replica_may_die_under_load(fake_app: App) -> None:
    store_bytes = object_store_bytes()

    async def test() -> list[tuple[int, Outcome]]:
        async with clients_asking(fake_app, fake_question, NUM_CLIENTS) as outcomes:
            for stage in (*UNSEEN, *SEEN):
                await asyncio.sleep(1.0)
                if stage == SEEN[0]:
                    assert kinds_of(outcomes) == {"answered"}
                await kill_one(fake_app, stage)
        return outcomes

    outcomes = asyncio.run(test())
    assert kinds_of(outcomes) <= {"answered", "failed", "cut"}
    assert {outcome.text for _, outcome in outcomes if outcome.kind == "answered"} == {FAKE_ANSWER}
    others = [outcome for _, outcome in outcomes if outcome.kind != "answered"]
    assert len(others) <= len(SEEN) * NUM_CLIENTS, others
    assert {outcome.code for outcome in others if outcome.kind == "failed"} <= DEATH_CODES
    assert_nothing_is_left(fake_app, store_bytes)


DOCUMENTS = [f"The {word} of clause {n} is {n * 7} days. ".encode() * (20 + 15 * n) for n, word in enumerate(
    ["Notice Period", "Term", "Renewal", "Cure Period", "Warranty", "Retention", "Grace Period", "Audit"])]  # fmt: skip
NUM_REQUESTS = 100
MIN_KILLS = 8


def real_question(number: int) -> dict[str, Any]:
    return question(DOCUMENTS[number % len(DOCUMENTS)], "How long?", stream=number % 2 == 0, max_tokens=256)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_requests_to_the_real_stages_under_random_deaths(tiny_app: App) -> None:
    """Kills at intervals of three times the recovery before, while clients ask without a pause."""
    rng = random.Random(7)
    store_bytes = object_store_bytes()

    async def undisturbed() -> list[str]:
        async with httpx.AsyncClient(timeout=180, trust_env=False) as client:
            return [(await ask(client, tiny_app, real_question(number))).text for number in range(len(DOCUMENTS))]

    async def disturbed() -> tuple[list[tuple[int, Outcome]], list[tuple[str, float]]]:
        deaths: list[tuple[str, float]] = []
        async with clients_asking(tiny_app, real_question, NUM_CLIENTS) as outcomes:
            while len(outcomes) < NUM_REQUESTS or len(deaths) < MIN_KILLS:
                stages = [*UNSEEN, *SEEN]
                rng.shuffle(stages)
                for stage in stages:
                    deaths.append((stage, await kill_one(tiny_app, stage)))
                    await asyncio.sleep(2 * deaths[-1][1] * rng.uniform(0.8, 1.2))
        return outcomes, deaths

    answers = asyncio.run(undisturbed())
    outcomes, deaths = asyncio.run(disturbed())
    num = {kind: sum(outcome.kind == kind for _, outcome in outcomes) for kind in kinds_of(outcomes)}
    print(f"{len(outcomes)} requests, {len(deaths)} deaths: {num}")  # noqa: T201 - the figures of a slow test
    print("recovery:", [f"{stage} {seconds:.1f} s" for stage, seconds in deaths])  # noqa: T201
    assert num.keys() <= {"answered", "failed", "cut"}
    assert {outcome.code for _, outcome in outcomes if outcome.kind == "failed"} <= DEATH_CODES
    num_seen = sum(stage in SEEN for stage, _ in deaths)
    assert len(outcomes) - num["answered"] <= num_seen * NUM_CLIENTS
    for number, outcome in outcomes:
        if outcome.kind == "answered":
            assert outcome.text == answers[number % len(DOCUMENTS)]
    assert_nothing_is_left(tiny_app, store_bytes)
