"""``glyph status``: the live picture of an endpoint, for a person at a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import httpx

from deployments.client import endpoint_client, not_ours, reply_in, root_of, unreachable
from deployments.openai_answers import Json
from deployments.status import STAGES

BAR_CHARS = 24
WIDTH_CHARS = 80
STATUS_TIMEOUT_S = 30.0
OUTCOMES = ("answered", "refused", "expired", "failed", "left")
RATES = {"requests": "requests", "pages": "pages", "prompt_tokens": "tokens in", "completion_tokens": "tokens out"}


def fetch_status(url: str) -> Json:
    """Raises the endpoint's own error, and StageError where it is out of reach."""
    try:
        with endpoint_client(root_of(url)) as client:
            response = client.get("/status", timeout=STATUS_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(root_of(url), error) from error
    picture = reply_in(response)
    if "stages" not in picture:
        raise not_ours(response)
    return picture


def as_text(picture: Json, url: str) -> str:
    doing = _doing(picture)
    lines = [
        f"{picture['model']} at {root_of(url)} is {picture['status']}, up {_duration(picture['uptime_s'])}",
        "",
        f"{'stage':<9} {'replicas':<16} doing",
        *(f"{stage:<9} {_replicas(picture['stages'][stage]['replicas']):<16} {doing[stage]}" for stage in STAGES),
        "",
        f"KV blocks {_kv_blocks(picture['decoder'])}",
        *_memory(picture["stages"]),
        "",
        *_last_minute(picture["last_minute"]),
        *(f"\n{fill(f'warning: {warning}', WIDTH_CHARS)}" for warning in picture.get("warnings", ())),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _doing(picture: Json) -> dict[str, str]:
    requests, decoder, encoder = picture["requests"], picture["decoder"], picture["encoder"]
    batch = encoder["mean_batch_pages"]
    ranges, drawn = _count(encoder["ranges_open"], "range"), _count(encoder["pages_encoded"], "page")
    return {
        "gateway": f"{requests['open']:,} of {requests['max_open']:,} requests open",
        "decoder": f"{decoder['sequences_running']:,} sequences running, {decoder['sequences_waiting']:,} waiting",
        "encoder": f"{_count(encoder['pages_waiting'], 'page')} waiting" + (f", {batch:.1f} a batch" if batch else ""),
        "renderer": f"{ranges} wanted, {drawn} so far",
    }


def _replicas(states: Mapping[str, int]) -> str:
    """``2``, or ``1, 1 starting`` where not all of them run."""
    others = [f"{count} {state.lower()}" for state, count in sorted(states.items()) if state != "RUNNING" and count]
    return ", ".join([str(states.get("RUNNING", 0)), *others])


def _kv_blocks(decoder: Mapping[str, int]) -> str:
    total, used, cached = decoder["kv_blocks_total"], decoder["kv_blocks_used"], decoder["kv_blocks_cached"]
    filled = round(BAR_CHARS * used / total)
    kept = max(0, min(BAR_CHARS - filled, round(BAR_CHARS * (cached - used) / total)))
    bar = "█" * filled + "▒" * kept + "░" * (BAR_CHARS - filled - kept)
    preemptions = decoder["preemptions"]
    preempted = f"\n          {_count(preemptions, 'sequence')} lost theirs and began again" if preemptions else ""
    more = f"{_wanted(decoder)}{_pinned(decoder)}{preempted}"
    return f"{bar} {100 * used / total:.0f} % of {total:,} in use, ▒ cached{more}"


def _memory(stages: Mapping[str, Json]) -> list[str]:
    """What each process took of its share at most; nothing where no memory is planned."""
    planned = {stage: memory for stage, of in stages.items() if (memory := of.get("memory"))}
    shares = (f"{stage} {memory['peak_mib']:,} of {memory['share_mib']:,} MiB" for stage, memory in planned.items())
    return [f"memory    {', '.join(shares)} at most"] if planned else []


def _pinned(decoder: Mapping[str, int]) -> str:
    if not decoder.get("pins"):
        return ""
    documents = _count(decoder["pins"], "pinned document")
    held, most = decoder["kv_blocks_pinned"], decoder["kv_blocks_pinned_max"]
    return f"\n          {documents}: {held:,} blocks of {most:,} that may be pinned"


def _wanted(decoder: Mapping[str, int | None]) -> str:
    wanted, most = decoder.get("kv_tokens_wanted"), decoder.get("kv_tokens_wanted_max")
    if not wanted or not most:
        return ""
    return f"\n          open requests want {wanted:,} tokens; {most:,} may wait together"


def _last_minute(last: Json) -> list[str]:
    span = "last minute" if last["window_s"] >= 60 else f"last {last['window_s']:.0f} s"
    counts = ", ".join(f"{last[outcome]:,} {outcome}" for outcome in OUTCOMES if last[outcome] or outcome != "expired")
    rates = ", ".join(f"{last[f'{rate}_per_s']:g} {name}" for rate, name in RATES.items())
    lines = [f"{span}: {counts}", f"  a second: {rates}"]
    if last["prompt_tokens_per_s"]:
        hits = 100 * last["cached_tokens_per_s"] / last["prompt_tokens_per_s"]
        lines.append(f"  {hits:.0f} % of the prompt tokens came from the prefix cache")
    if last["ttft_ms"]:
        lines += ["", f"{'':<14} {'median':>9} {'95 %':>9}"]
        named = (("first token", "ttft_ms"), ("a later token", "tpot_ms"), ("whole answer", "e2e_ms"))
        lines += [f"{name:<14} {_ms(last[key]['p50']):>9} {_ms(last[key]['p95']):>9}" for name, key in named]
    return lines


def _ms(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}" + ("" if count == 1 else "s")


def _duration(seconds: float) -> str:
    minutes, _ = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts: list[tuple[int, Any]] = [(days, "d"), (hours, "h"), (minutes, "min")]
    shown = [f"{count} {unit}" for count, unit in parts if count][:2]
    return " ".join(shown) or f"{seconds:.0f} s"
