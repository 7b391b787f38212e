"""The picture of ``glyph bench serve``: what came of each load, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from deployments.bench.serve_load import Level, Sample
from deployments.bench.serve_report import latencies
from deployments.openai_answers import Json
from glyph_core.errors import ConfigError

RATES = {  # with line widths: equal ones stay visible below one another
    "requests_per_s": ("asked", "C0", 7),
    "answered_per_s": ("answered", "C1", 4),
    "goodput_per_s": ("goodput", "C2", 1.5),
}
SPANS = {"e2e": ("whole answer", "C1"), "ttft": ("first token", "C0"), "tpot": ("a later token", "C2")}


def draw(report: Json, measured: Sequence[tuple[Level, Sequence[Sample]]], path: Path) -> None:
    """Writes a PNG. Raises ConfigError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("the picture needs matplotlib: pip install 'glyph-serve[bench]'") from error
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    rates, spans, firsts = figure.subplots(1, 3)
    _draw_rates(rates, report["levels"])
    _draw_spans(spans, report["levels"])
    _draw_first_tokens(firsts, measured, report["objective"]["ttft_ms"])
    for axes in (rates, spans):
        axes.set_xticks(range(len(measured)), [level.name for level, _ in measured])
        axes.set_xlabel("load")
    for axes in (rates, spans, firsts):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))  # no curve lies under it
    figure.savefig(path, dpi=110)


def _runs(levels: Sequence[Json]) -> list[list[tuple[int, Json]]]:
    """Levels with their places, those of an open loop apart from those of a closed one: no line joins them."""
    return [list(run) for _, run in groupby(enumerate(levels), key=lambda level: level[1]["loop"])]


def _draw_rates(axes: Any, levels: Sequence[Json]) -> None:
    for key, (label, colour, width) in RATES.items():
        for index, run in enumerate(_runs(levels)):
            values = [level[key] for _, level in run]
            places = [place for place, _ in run]
            axes.plot(places, values, "o-", color=colour, lw=width, ms=4 + width, label="" if index else label)
    axes.set(title="requests a second", ylim=(0, None))


def _draw_spans(axes: Any, levels: Sequence[Json]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    for name, (label, colour) in SPANS.items():
        for percentile, line in (("p50", "o-"), ("p99", "o--")):
            for index, run in enumerate(_runs(levels)):
                values = [(level[f"{name}_ms"] or {}).get(percentile) for _, level in run]
                places = [place for place, _ in run]
                axes.plot(places, values, line, color=colour, label="" if index else f"{label}, {percentile}")
    axes.set(title="latency in ms", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_first_tokens(axes: Any, measured: Sequence[tuple[Level, Sequence[Sample]]], objective_ms: float) -> None:
    for level, samples in measured:
        answered = [sample for sample in samples if sample.error is None]
        ttft_ms = sorted(1000 * seconds for seconds in latencies(answered, "ttft"))
        if not ttft_ms:
            continue
        shares = [index / len(ttft_ms) for index in range(len(ttft_ms) + 1)]
        axes.step([*ttft_ms[:1], *ttft_ms], shares, where="post", label=level.name)
    axes.axvline(objective_ms, color="0.6", linestyle=":", label="objective")
    axes.set(title="first token within", xlabel="ms", ylabel="share of the answers", ylim=(0, 1.02), xlim=(0, None))
