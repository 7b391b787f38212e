"""Clients of a served application that note how each of their requests ended."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import httpx
import ray

from tests.deployments.serving import App

# What a client may meet of a replica's death: our own error, or Serve's proxy's 500 where the gateway itself is gone.
DEATH_CODES = frozenset({"stage_failed", "not_ready", "internal"})
Kind = Literal["answered", "failed", "cut", "truncated"]


@dataclass(frozen=True)
class Outcome:
    """How a request ended: with an answer; with one error, in a response or as a stream's last event; cut by its
    connection's end; or truncated, as if it had been answered."""

    kind: Kind
    text: str = ""
    code: str = ""


def question(document: bytes, ask: str = "What?", **fields: Any) -> dict[str, Any]:
    parts = [
        {"type": "file", "file": {"file_data": base64.b64encode(document).decode()}},
        {"type": "text", "text": ask},
    ]
    return {"model": "tiny", "messages": [{"role": "user", "content": parts}], **fields}


async def ask(client: httpx.AsyncClient, app: App, body: dict[str, Any]) -> Outcome:
    lines: list[str] = []
    try:
        async with client.stream("POST", f"{app.url}/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                lines.append(line)  # noqa: PERF401 - what came before the connection ended counts
    except (httpx.RemoteProtocolError, httpx.ReadError):
        assert "data: [DONE]" not in lines
        return Outcome("cut")
    if response.status_code != 200:
        return _failed("".join(lines))
    if not body.get("stream"):
        return Outcome("answered", json.loads("".join(lines))["choices"][0]["message"]["content"])
    return _end_of_stream([line.removeprefix("data: ") for line in lines if line.startswith("data: ")])


def _end_of_stream(events: list[str]) -> Outcome:
    if '"error"' in events[-1]:
        return _failed(events[-1])
    if events[-1] != "[DONE]":
        return Outcome("truncated", "".join(events))
    deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    return Outcome("answered", "".join(delta.get("content") or "" for delta in deltas))


def _failed(body: str) -> Outcome:
    if body == "Internal Server Error":  # Serve's proxy, in the place of a gateway that died
        return Outcome("failed", body, "internal")
    error = json.loads(body)["error"]
    return Outcome("failed", error["message"], error["code"])


@asynccontextmanager
async def clients_asking(
    app: App, bodies: Callable[[int], dict[str, Any]], num_clients: int
) -> AsyncGenerator[list[tuple[int, Outcome]]]:
    """So many clients that ask without a pause; a body is made of its number. Yields numbers and outcomes as they come;
    on leaving, what is on its way is waited for."""
    outcomes: list[tuple[int, Outcome]] = []
    numbers = count()
    is_over = asyncio.Event()

    async def ask_on(client: httpx.AsyncClient) -> None:
        while not is_over.is_set():
            number = next(numbers)
            outcomes.append((number, await ask(client, app, bodies(number))))

    async with httpx.AsyncClient(timeout=180, trust_env=False) as client:
        asking = [asyncio.create_task(ask_on(client)) for _ in range(num_clients)]
        try:
            yield outcomes
        finally:
            is_over.set()
            await asyncio.gather(*asking)


def kinds_of(outcomes: Iterable[tuple[int, Outcome]]) -> set[Kind]:
    return {outcome.kind for _, outcome in outcomes}


def object_store_bytes() -> float:
    """What lies in the object store of all nodes, seconds ago at most."""
    name = "object_store_memory"
    return float(ray.cluster_resources()[name] - ray.available_resources()[name])
