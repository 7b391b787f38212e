"""The whole measurement of the engine on one device: ``scripts/bench_gpu``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.bench.bench_plan import bench_plan
from deployments.bench.engine import engine_report
from deployments.bench.engine_table import as_markdown
from glyph_core.model.loading import pick_device


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench_gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder for engine.json and engine.md")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape: does the measurement itself work?")
    given = parser.parse_args(arguments)
    plan = bench_plan(pick_device(given.device), is_tiny=given.tiny)
    given.out.mkdir(parents=True, exist_ok=True)

    def keep(report: dict[str, object]) -> None:
        (given.out / "engine.json").write_text(json.dumps(report, indent=1) + "\n")

    report = engine_report(plan, _show, keep)
    keep(report)
    (given.out / "engine.md").write_text(as_markdown(report))


def _show(phase: str) -> None:
    sys.stderr.write(f"{phase}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
