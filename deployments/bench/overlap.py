"""How well the stages overlap on one GPU, at a shape with random weights: the served chain beside its stages alone.

    python -m deployments.bench.overlap --out overlap.json                 # the 9B's shape: a GPU of 80 GB
    python -m deployments.bench.overlap --out overlap.json --part stages   # one part; others in the file stay
    python -m deployments.bench.overlap --out overlap.json --tiny          # does the measurement itself work?

Four parts, each in processes of its own: the stages alone (drawing, encoding and prefilling one long document, one
after another in one process); the endpoint: the time to the same document's first token, and 16 documents one after
another and at once; the endpoint again under NVIDIA's MPS, where it is there, which lets the kernels of the two GPU
stages run side by side instead of in turns; and the endpoint with FP8 weights, its two processes held to 24 GiB of the
card together, asked twice about the long document. A part that fails says why, keeps what it had, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deployments.bench.apart import Json, Show, run_apart
from deployments.bench.overlap_plan import TINY, OverlapPlan
from deployments.bench.overlap_served import served, served_capped, served_with_mps
from deployments.bench.random_checkpoint import write_random_checkpoint
from deployments.endpoint import stop_signals_interrupt
from glyph_core.errors import GlyphError

PARTS = ("stages", "served", "served_mps", "served_capped")

Keep = Callable[[Json], None]


def overlap_report(plan: OverlapPlan, wanted: Sequence[str], report: Json, show: Show, keep: Keep) -> None:
    """Adds the ``wanted`` parts to ``report``; ``keep`` is handed what there is after each of them."""
    report |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "plan": asdict(plan)}
    with tempfile.TemporaryDirectory() as folder:
        model = str(write_random_checkpoint(Path(folder) / plan.shape, plan.shape))
        settings = {"plan": asdict(plan), "model": model}
        parts: dict[str, Callable[[Json], Iterator[str]]] = {
            "stages": lambda part: _stages(settings, part, show),
            "served": lambda part: served(plan, model, part, show),
            "served_mps": lambda part: served_with_mps(plan, model, part, show),
            "served_capped": lambda part: served_capped(plan, model, part, show),
        }
        for name in wanted:
            started_at = time.perf_counter()
            part = report[name] = {}
            try:
                for step in parts[name](part):
                    part["step"], part["part_s"] = step, round(time.perf_counter() - started_at, 1)
                    _compare(report)
                    keep(report)
                    show(f"{name}: {step}")
            except (GlyphError, httpx.HTTPError, OSError, subprocess.SubprocessError) as error:
                part["error"] = f"{type(error).__name__}: {error}"
                show(f"{name}: {part['error']}")
            part["part_s"] = round(time.perf_counter() - started_at, 1)
            _compare(report)
            keep(report)


def _compare(report: Json) -> None:
    """First token of the served chain over what encoder and decoder take alone, one after the other."""
    alone_s = report.get("stages", {}).get("long", {}).get("gpu_stages_s")
    for part in (report.get("served"), report.get("served_mps")):  # the capped one has other weights
        if alone_s and part and part.get("first_token_s"):
            part["first_token_of_gpu_stages"] = round(min(part["first_token_s"]) / alone_s, 3)


def _stages(settings: Json, part: Json, show: Show) -> Iterator[str]:
    part |= run_apart("deployments.bench.overlap_stages", settings, show)
    yield "done"


def main() -> None:
    parser = argparse.ArgumentParser(prog="overlap", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure this alone; may be given several times")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape on the CPU")
    given = parser.parse_args()

    def show(phase: str) -> None:
        sys.stderr.write(f"[{time.perf_counter() - started_at:6.1f} s] {phase}\n")
        sys.stderr.flush()

    started_at = time.perf_counter()
    before = json.loads(given.out.read_text()) if given.part and given.out.exists() else {}
    plan = TINY if given.tiny else OverlapPlan()
    with stop_signals_interrupt():
        overlap_report(plan, given.part or PARTS, before, show, lambda report: _write(given.out, report))


def _write(path: Path, report: Json) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
