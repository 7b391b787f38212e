"""Requests of every kind, again and again, leave nothing behind: no memory, no file, no thread, no object."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from statistics import median
from typing import Any

import httpx
import psutil
import pytest

from tests.deployments.load import object_store_bytes, question
from tests.deployments.serving import App, wait_until

pytestmark = pytest.mark.serve

STAGES = ("Gateway", "Decoder", "Encoder", "Renderer")
# So few that every cache knows them all after a while: what grows then is a leak.
DOCUMENTS = [f"Clause {n}: the Notice Period is {n * 7} days. ".encode() * (5 + 4 * n) for n in range(12)]
NUM_CLIENTS = 2
MB = 1024**2


async def ask_somehow(client: httpx.AsyncClient, app: App, number: int) -> str:
    """One of six ways in turn; returns how it ended."""
    url = f"{app.url}/v1/chat/completions"
    document = DOCUMENTS[number // 6 % len(DOCUMENTS)]
    fields: dict[str, Any] = {"max_tokens": 16}
    match number % 6:
        case 0:  # one that leaves in the middle of the stream, with a long way to go
            body = question(document, stream=True, temperature=2.0, seed=number, max_tokens=4000)
            async with client.stream("POST", url, json=body) as response:
                lines = (line async for line in response.aiter_lines() if '"content":' in line)
                await anext(lines)
                return "left"
        case 1:
            document = b""  # refused by the renderer
        case 2:
            fields = {"glyph": {"timeout_s": 0.05}}
        case 3:
            fields = {"max_tokens": 10**6}  # refused by the gateway
        case 4:
            fields |= {"stream": True}
    response = await client.post(url, json=question(document, **fields))
    assert response.status_code < 500 or response.status_code == 504, response.text
    return str(response.status_code)


async def ask_until(app: App, is_over: Any) -> list[str]:
    """How the requests ended."""
    numbers, endings = count(), []

    async def ask_on(client: httpx.AsyncClient) -> None:
        while not is_over(number := next(numbers)):
            endings.append(await ask_somehow(client, app, number))

    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        await asyncio.gather(*(ask_on(client) for _ in range(NUM_CLIENTS)))
    return endings


def replicas(app: App) -> list[psutil.Process]:
    found = [app.replicas(stage) for stage in STAGES]
    assert [len(each) for each in found] == [1, 1, 1, 1]
    return [each[0] for each in found]


def assert_no_more_than(before: list[int], after: list[int], more: int, what: str) -> None:
    grown = {stage: now - then for stage, then, now in zip(STAGES, before, after, strict=True)}
    assert max(grown.values()) <= more, f"{what} grew: {grown}"


def test_sixty_requests_of_every_kind_leave_no_file_no_thread_and_no_object(tiny_app: App) -> None:
    asyncio.run(ask_until(tiny_app, lambda number: number >= 24))  # whatever is made once
    wait_until(tiny_app.is_idle, 10)
    processes = replicas(tiny_app)
    store_bytes = object_store_bytes()
    files = [process.num_fds() for process in processes]
    threads = [process.num_threads() for process in processes]
    endings = asyncio.run(ask_until(tiny_app, lambda number: number >= 60))
    assert {"left", "400", "200"} <= set(endings)
    wait_until(tiny_app.is_idle, 10)
    assert_no_more_than(files, [process.num_fds() for process in processes], 6, "open files")
    assert_no_more_than(threads, [process.num_threads() for process in processes], 8, "threads")
    wait_until(lambda: object_store_bytes() <= store_bytes + 100_000, 30)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_minutes_of_requests_of_every_kind_show_no_growth(tiny_app: App) -> None:
    duration_s, sample_s = 600.0, 5.0
    processes = replicas(tiny_app)
    samples: list[tuple[float, list[int]]] = []

    async def test() -> list[str]:
        started_at = time.monotonic()
        asking = asyncio.create_task(ask_until(tiny_app, lambda _: time.monotonic() - started_at > duration_s))
        while not asking.done():
            await asyncio.sleep(sample_s)
            rss = [process.memory_info().rss for process in processes]
            samples.append((time.monotonic() - started_at, rss))
        return await asking

    endings = asyncio.run(test())
    second_third = [rss for at_s, rss in samples if duration_s / 3 < at_s < 2 * duration_s / 3]
    last_third = [rss for at_s, rss in samples if at_s > 2 * duration_s / 3]
    before, after = (
        [int(median(rss[index] for rss in part)) for index in range(len(STAGES))] for part in (second_third, last_third)
    )
    grown = {stage: round((now - then) / MB, 2) for stage, then, now in zip(STAGES, before, after, strict=True)}
    print(f"{len(endings)} requests: { ({kind: endings.count(kind) for kind in set(endings)}) }; grown by MB: {grown}")  # noqa: T201
    assert_no_more_than(before, after, 4 * MB, "memory")
    wait_until(tiny_app.is_idle, 10)
