"""A run's curves as a picture beside its log: losses and shares of training, and rows of the evaluation."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

from glyph_core.training.facts import KINDS

CURVES_FILE = "curves.png"
_log = logging.getLogger(__name__)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines that a run wrote; none where it wrote none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def draw_curves(folder: Path) -> Path | None:
    """Writes ``folder``/curves.png from log.jsonl and evaluations.jsonl; None, and a line in the log, where matplotlib
    is not installed (``pip install glyph-serve[train]``) or nothing was logged."""
    logged, evaluated = read_log(folder / "log.jsonl"), read_log(folder / "evaluations.jsonl")
    if not logged or importlib.util.find_spec("matplotlib") is None:
        _log.info("no curves are drawn: %s", "matplotlib is not installed" if logged else "nothing was logged")
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5), layout="constrained")
    losses, kinds, rows = figure.subplots(1, 3)
    for name in ("loss", "glyph_loss"):
        losses.plot(*_series(logged, name), label=name)
    losses.set(title="training loss", yscale="log")
    for kind in KINDS:
        times, wrong = _series(logged, kind.value)
        kinds.plot(times, [max(1e-3, 1 - share) for share in wrong], label=kind.value)
    kinds.set(title="wrong answers in training", yscale="log")
    for name in [key for key in (evaluated[-1] if evaluated else {}) if key not in ("step", "elapsed_s")]:
        rows.plot(*_series(evaluated, name), marker="o", markersize=3, label=name)
    rows.set(title="right answers on held-out pages", ylim=(0, 1))
    for axes in (losses, kinds, rows):
        axes.set_xlabel("training seconds")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=6)
    figure.savefig(folder / CURVES_FILE, dpi=110)
    return folder / CURVES_FILE


def _series(lines: list[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    found = [(line["elapsed_s"], line[name]) for line in lines if name in line]
    return [time for time, _ in found], [value for _, value in found]
