"""``glyph bench page``: what tabs that are open and idle cost those who ask the API, and how long a first visit takes.

The same requests go to the endpoint with no tab and with some open, in turns, so that what else the machine does
disturbs both alike.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import median

import httpx

from deployments.bench.page_visit import Visitor, browser_loads, browser_missing
from deployments.bench.ports import free_port
from deployments.bench.report import Json, Show, installed_versions, now, processor
from deployments.bench.serve_load import model_served_to
from deployments.bench.serve_report import percentiles_ms
from deployments.client import async_endpoint_client, endpoint_client, file_json, raise_for_error, root_of, unreachable
from deployments.endpoint import Endpoint, EndpointSettings
from deployments.page.examples import EXAMPLES

EXAMPLE = EXAMPLES[0]
SETTLE_S = 0.5  # after tabs were opened or closed, before times count
GOAL_S = 3.0  # of a first visit
PACKAGES = ("glyph-serve", "ray", "gradio", "fastapi", "uvicorn", "playwright")

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class PagePlan:
    num_rounds: int
    num_tabs: int = 10
    models_a_turn: int = 20
    answers_a_turn: int = 4
    num_visits: int = 5


def page_report(url: str | None, plan: PagePlan, show: Show) -> Json:
    """Of the endpoint at ``url``; None: of one of its own, with glyph-mini. Raises StageError where no page is
    served."""
    missing = browser_missing()
    with _root(url, show) as root:
        with endpoint_client(root) as client:
            model = model_served_to(client)
        show("first visits in Chromium" if missing is None else f"no visit in Chromium: {missing}")
        visits = browser_loads(root, plan.num_visits) if missing is None else []
        try:
            report = asyncio.run(_over_http(root, model, visits[0].files if visits else (), plan, show))
        except httpx.HTTPError as error:
            raise unreachable(root, error) from error
    return {
        "date": now(),
        "processor": processor(),
        "num_cpus": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "versions": installed_versions(*PACKAGES),
        "model": model,
        "plan": asdict(plan),
        **report,
        "browser_missing": missing,
        "browser_loads": [{**asdict(visit), "files": len(visit.files)} for visit in visits],
    }


def as_lines(report: Json) -> str:
    num_tabs = report["plan"]["num_tabs"]
    lines = [f"{'':<32}{'no tab':>18}{f'{num_tabs} idle tabs':>18}{'ratio':>14}"]
    for name, row in report["latency"].items():
        lines += [
            f"{f'{name}, {share} ms':<32}{row['without_ms'][share]:>18,.1f}{row['with_ms'][share]:>18,.1f}"
            f"{row['ratio'][share]:>14.3f}"
            for share in ("p50", "p90")
        ]
    loads = report["http_loads"]
    lines += [
        "",
        f"a first visit's {loads[0]['num_requests']} files, {loads[0]['num_bytes']:,} bytes, over HTTP: "
        f"{median(load['seconds'] for load in loads):.2f} s",
    ]
    if visits := report["browser_loads"]:
        lines.append(
            f"a first visit in Chromium: {median(visit['usable_s'] for visit in visits):.2f} s until it can be used "
            f"(goal: {GOAL_S:g}), {median(visit['told_s'] for visit in visits):.2f} s until it names the model"
        )
    else:
        lines.append(f"a first visit in Chromium: not measured, {report['browser_missing']}")
    return "\n".join(lines)


def compared(without_s: list[float], with_s: list[float]) -> Json:
    """Percentiles of both, and theirs with tabs over theirs without."""
    before, after = percentiles_ms(without_s), percentiles_ms(with_s)
    if before is None or after is None:
        raise ValueError("no times to compare")
    ratio = {share: round(after[share] / before[share], 3) for share in before}
    return {"requests": len(without_s), "without_ms": before, "with_ms": after, "ratio": ratio}


async def latencies(
    client: httpx.AsyncClient, asks: dict[str, tuple[Ask, int]], tabs: list[Visitor], num_rounds: int, show: Show
) -> Json:
    """By name of what is asked, so many times a turn. Odd rounds begin with the tabs, even ones without."""
    seconds: dict[str, dict[bool, list[float]]] = {name: {False: [], True: []} for name in asks}
    for number in range(num_rounds):
        for has_tabs in (number % 2 == 1, number % 2 == 0):
            show(f"round {number + 1}/{num_rounds}, {len(tabs) if has_tabs else 0} tabs")
            async with AsyncExitStack() as opened:
                for tab in tabs if has_tabs else ():
                    await opened.enter_async_context(tab.idle())
                await asyncio.sleep(SETTLE_S)
                for name, (ask, num_asked) in asks.items():
                    seconds[name][has_tabs] += [await _timed(client, ask) for _ in range(num_asked)]
    return {name: compared(of[False], of[True]) for name, of in seconds.items()}


async def _over_http(root: str, model: str, files: Collection[str], plan: PagePlan, show: Show) -> Json:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": [
            {"type": "file", "file": file_json(EXAMPLE.file, EXAMPLE.path.read_bytes())},
            {"type": "text", "text": EXAMPLE.question},
        ]}],
        "max_tokens": 16,
        "temperature": 0,
    }  # fmt: skip
    asks: dict[str, tuple[Ask, int]] = {
        "models": (lambda client: client.get("/v1/models"), plan.models_a_turn),
        "answer": (lambda client: client.post("/v1/chat/completions", json=body), plan.answers_a_turn),
    }
    async with async_endpoint_client(root) as client, AsyncExitStack() as visitors:
        show("asking for the first time")
        for ask, _ in asks.values():
            await _timed(client, ask)  # from here on the document is one that was seen before
        browsers = [async_endpoint_client(root, send_own_key=False) for _ in range(plan.num_tabs)]
        tabs = [Visitor(await visitors.enter_async_context(browser)) for browser in browsers]
        show("first visits over HTTP")
        loads = [await tab.load(files) for tab in tabs]
        latency = await latencies(client, asks, tabs, plan.num_rounds, show)
    return {"latency": latency, "http_loads": [asdict(load) for load in loads]}


async def _timed(client: httpx.AsyncClient, ask: Ask) -> float:
    started_at = time.perf_counter()
    response = await ask(client)
    seconds = time.perf_counter() - started_at
    raise_for_error(response)
    return seconds


@contextmanager
def _root(url: str | None, show: Show) -> Iterator[str]:
    if url is not None:
        yield root_of(url)
        return
    with Endpoint(EndpointSettings(port=free_port())) as endpoint:
        yield root_of(endpoint.wait_ready(show).api)
