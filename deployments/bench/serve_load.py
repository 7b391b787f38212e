"""The load that ``glyph bench serve`` puts on an endpoint, and what became of each request, seen from outside."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from deployments.bench.report import Show
from deployments.bench.workload import Ask, Workload
from deployments.client import async_endpoint_client, endpoint_client, root_of, served_model, unreachable
from deployments.openai_answers import Json


@dataclass(frozen=True, slots=True)
class Level:
    """How hard it is pressed: by so many requests a second (open loop) or by so many clients (closed loop)."""

    rate_per_s: float | None = None
    num_clients: int | None = None

    @property
    def name(self) -> str:
        return f"{self.rate_per_s:g}/s" if self.rate_per_s is not None else f"{self.num_clients} at once"


@dataclass(slots=True)
class Sample:
    """One request. Times are seconds after the level's beginning; in an open loop a request begins when it should have
    been sent, so that what a slow client delays counts as waiting."""

    begun_s: float
    sent_s: float
    first_s: float | None = None  # the first piece of text or reasoning
    ended_s: float = 0.0
    error: str | None = "cut"  # its code; None where it was answered
    num_completion_tokens: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_pages: int = 0

    @property
    def ttft_s(self) -> float | None:
        return None if self.first_s is None else self.first_s - self.begun_s

    @property
    def tpot_s(self) -> float | None:
        """The mean time of a token after the first."""
        if self.first_s is None or self.num_completion_tokens < 2:
            return None
        return (self.ended_s - self.first_s) / (self.num_completion_tokens - 1)

    @property
    def e2e_s(self) -> float:
        return self.ended_s - self.begun_s


class LoadGenerator:
    def __init__(self, client: httpx.AsyncClient, model: str, workload: Workload) -> None:
        self._client, self._model, self._workload = client, model, workload

    async def run(self, level: Level, duration_s: float) -> list[Sample]:
        """All requests that were begun within ``duration_s``, when the last of them has ended."""
        started_at = time.perf_counter()
        if level.rate_per_s is not None:
            return await self._open_loop(self._workload.poisson(level.rate_per_s, duration_s), started_at)
        return await self._closed_loop(level.num_clients or 1, duration_s, started_at)

    async def warm_up(self, num_requests: int) -> list[Sample]:
        """One after another."""
        asks = self._workload.endless()
        return [await self._ask(next(asks), time.perf_counter()) for _ in range(num_requests)]

    async def _open_loop(self, asks: Iterator[Ask], started_at: float) -> list[Sample]:
        asking = []
        for ask in asks:
            await asyncio.sleep(max(0.0, started_at + ask.at_s - time.perf_counter()))
            asking.append(asyncio.create_task(self._ask(ask, started_at, begun_s=ask.at_s)))
        return await asyncio.gather(*asking)

    async def _closed_loop(self, num_clients: int, duration_s: float, started_at: float) -> list[Sample]:
        asks = self._workload.endless()
        samples: list[Sample] = []

        async def ask_on() -> None:
            while time.perf_counter() - started_at < duration_s:
                samples.append(await self._ask(next(asks), started_at))

        await asyncio.gather(*(ask_on() for _ in range(num_clients)))
        return samples

    async def _ask(self, ask: Ask, started_at: float, begun_s: float | None = None) -> Sample:
        body = json.dumps(self._workload.body(ask, self._model)).encode()
        sent_s = time.perf_counter() - started_at
        sample = Sample(sent_s if begun_s is None else begun_s, sent_s)
        try:
            async with self._client.stream("POST", "/v1/chat/completions", content=body) as response:
                if response.is_success:
                    async for line in response.aiter_lines():
                        _note(sample, line, time.perf_counter() - started_at)
                else:
                    sample.error = _code_of(await response.aread(), response.status_code)
        except httpx.TransportError as error:
            sample.error = type(error).__name__
        sample.ended_s = time.perf_counter() - started_at
        return sample


def _note(sample: Sample, line: str, now_s: float) -> None:
    """What a line of the stream tells of the request. The line that ends it alone makes it an answer."""
    if line == "data: [DONE]":
        sample.error = None
        return
    if not line.startswith("data: "):
        return
    chunk = json.loads(line.removeprefix("data: "))
    if "error" in chunk:
        sample.error = str(chunk["error"]["code"])
        return
    deltas = [choice["delta"] for choice in chunk["choices"]]
    if sample.first_s is None and any(delta.get("content") or delta.get("reasoning_content") for delta in deltas):
        sample.first_s = now_s
    if usage := chunk.get("usage"):
        sample.num_completion_tokens = usage["completion_tokens"]
        sample.num_prompt_tokens = usage["prompt_tokens"]
        sample.num_cached_tokens = usage["prompt_tokens_details"]["cached_tokens"]
    sample.num_pages = (chunk.get("glyph") or {}).get("pages", sample.num_pages)


def _code_of(body: bytes, status: int) -> str:
    try:
        error: Json = json.loads(body)["error"]
        return str(error["code"])
    except (ValueError, KeyError, TypeError):
        return f"http_{status}"


def measure_endpoint(
    url: str, workload: Workload, levels: Sequence[Level], duration_s: float, num_warm_up: int, show: Show
) -> tuple[str, list[tuple[Level, list[Sample]]]]:
    """The model's name and, level by level, what became of the requests. Raises StageError where nobody serves, and
    the endpoint's own error where it lets nobody in."""
    with endpoint_client(root_of(url)) as client:
        model = model_served_to(client)
    return model, asyncio.run(_measure(url, model, workload, levels, duration_s, num_warm_up, show))


def model_served_to(client: httpx.Client) -> str:
    try:
        return served_model(client.get("/v1/models"))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(str(client.base_url), error) from error


async def _measure(
    url: str,
    model: str,
    workload: Workload,
    levels: Sequence[Level],
    duration_s: float,
    num_warm_up: int,
    show: Show,
) -> list[tuple[Level, list[Sample]]]:
    async with async_endpoint_client(root_of(url)) as client:
        generator = LoadGenerator(client, model, workload)
        show(f"warming up with {num_warm_up} requests")
        await generator.warm_up(num_warm_up)
        measured = []
        for level in levels:
            show(f"{level.name} for {duration_s:g} s")
            measured.append((level, await generator.run(level, duration_s)))
        return measured
