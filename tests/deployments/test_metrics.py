"""The list of metrics, and those who name metrics: the dashboard and the operator's manual."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments import metrics

REPOSITORY = Path(__file__).parents[2]
DASHBOARD = REPOSITORY / "deployments" / "grafana" / "glyph_serve.json"
MANUAL = REPOSITORY / "docs" / "operations.md"
IN_PROMETHEUS = {name for metric in metrics.ALL for name in metric.prometheus_names}
LABELS = {"application", "deployment", "replica", "le"} | {tag for metric in metrics.ALL for tag in metric.tags}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query")


def test_every_query_names_metrics_and_labels_that_there_are(dashboard: dict[str, Any]) -> None:
    found = list(queries(dashboard))
    assert len(found) > 20
    for query in found:
        names = set(re.findall(r"\bray_\w+", query))
        assert names, query
        assert names <= IN_PROMETHEUS, query
        labels = re.findall(r'(\w+)=~?"', query) + re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query)))
        assert set(labels) <= LABELS, query


def test_every_metric_has_a_place_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    shown = set(re.findall(r"\bray_\w+", " ".join(queries(dashboard))))
    assert not [metric.name for metric in metrics.ALL if not shown & set(metric.prometheus_names)]


def test_panels_stand_beside_each_other(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_manual_lists_them_all() -> None:
    listed = set(re.findall(r"^\| `(glyph_\w+)`", MANUAL.read_text(), re.MULTILINE))
    assert listed == {metric.name for metric in metrics.ALL}


def test_names_say_their_units() -> None:
    for metric in metrics.ALL:
        assert metric.name.startswith("glyph_")
        assert metric.name.endswith("_s") == (isinstance(metric, metrics.Histogram) and "_pages" not in metric.name)


def test_a_counter_goes_on_from_what_the_engine_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from glyph_core.engine.stats import EngineStats

    counted: list[float] = []
    monkeypatch.setattr(metrics.Counter, "inc", lambda self, value=1, **tags: counted.append(value))
    watch = metrics.EngineWatch()
    for num_preemptions in (0, 3, 3, 5):
        watch(EngineStats(1, 0, 10, 5, 5, num_preemptions))
    assert counted == [0, 3, 0, 2]
