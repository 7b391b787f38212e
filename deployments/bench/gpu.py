"""The whole measurement on one device: ``scripts/bench_gpu``.

The engine first, then, in a process of its own that keeps to a budget of memory, the seed article's table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.bench.bench_plan import bench_plan
from deployments.bench.engine import engine_report
from deployments.bench.engine_table import as_markdown
from glyph_core.model.loading import pick_device

TABLE = ("--max-num-batched-tokens", "8192", "--raw-lengths", "32768,131071", "--other-presets", "compact,readable")
TINY_TABLE = ("--shape", "glyph_tiny", "--gpu-memory-gb", "2.0", "--lengths", "300", "--num-answer-tokens", "4")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench_gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder for the .json and .md files")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape: does the measurement itself work?")
    parser.add_argument("--no-seed-table", action="store_true", help="the engine alone")
    given = parser.parse_args(arguments)
    plan = bench_plan(pick_device(given.device), is_tiny=given.tiny)
    given.out.mkdir(parents=True, exist_ok=True)

    def keep(report: dict[str, object]) -> None:
        (given.out / "engine.json").write_text(json.dumps(report, indent=1) + "\n")

    report = engine_report(plan, _show, keep)
    keep(report)
    (given.out / "engine.md").write_text(as_markdown(report))
    if not given.no_seed_table:
        _show("the seed article's table")
        options = TINY_TABLE if given.tiny else TABLE
        table = [sys.executable, "-m", "deployments.bench.seed_table", "--out", str(given.out / "seed_table.json")]
        subprocess.run([*table, "--device", given.device, *options], check=True)


def _show(phase: str) -> None:
    sys.stderr.write(f"{phase}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
