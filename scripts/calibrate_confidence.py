#!/usr/bin/env python3
"""Fits a checkpoint's confidence to the answers that scripts/eval_reading.py kept, and shows how well it fits.

    scripts/calibrate_confidence.py build/table.json --write glyph_core/checkpoints/glyph_mini --plot reliability.svg

Fitted on the first half of each row, measured on the second. Controls and rows outside of what the checkpoint reads
are left out: there an answer comes with a warning instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from glyph_core.errors import ConfigError
from glyph_core.training.calibration import Reliability, fit, halves, probabilities, reliability, separation
from glyph_core.training.rows import PIPELINE_ROWS, ROWS
from glyph_core.training.table import Table

SIDE_PX, MARGIN_PX = 320, 40


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="what eval_reading.py --json wrote")
    parser.add_argument("--leave-out", nargs="*", default=[], help="more rows that are outside of the range")
    parser.add_argument("--write", type=Path, help="checkpoint folder whose glyph_config.json gets the calibration")
    parser.add_argument("--plot", type=Path, help="an SVG of both reliability curves")
    return parser.parse_args()


def plot(before: Reliability, after: Reliability) -> str:
    """Both curves over the diagonal; a point's area is its share of the answers."""

    def place(x: float, y: float) -> tuple[float, float]:
        return MARGIN_PX + x * SIDE_PX, MARGIN_PX + (1 - y) * SIDE_PX

    (left, bottom), (right, top), whole = place(0, 0), place(1, 1), SIDE_PX + 2 * MARGIN_PX
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<rect x="{left}" y="{top}" width="{SIDE_PX}" height="{SIDE_PX}" fill="none" stroke="#888"/>',
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}" stroke="#888" stroke-dasharray="4"/>',
        f'<text x="{whole / 2}" y="{whole - 10}" text-anchor="middle">confidence</text>',
        f'<text transform="translate(14 {whole / 2}) rotate(-90)" text-anchor="middle">right answers</text>',
    ]
    for mark in (0.0, 0.5, 1.0):
        (x, y), shown = place(mark, mark), f"{mark:g}"
        shapes.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{shown}</text>')
        shapes.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{shown}</text>')
    curves = (("mean token probability", "#c60", before), ("calibrated", "#06c", after))
    for number, (name, colour, curve) in enumerate(curves):
        points = [place(c, r) for c, r, w in zip(curve.confidence, curve.right, curve.weight, strict=True) if w > 0]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        shapes.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        for (x, y), weight in zip(points, curve.weight[curve.weight > 0], strict=True):
            shapes.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + 14 * weight**0.5:.1f}" fill="{colour}" opacity=".6"/>'
            )
        text = f"{name}, ECE {curve.expected_error:.3f}"
        shapes.append(f'<text x="{left + 10}" y="{top + 18 + 16 * number}" fill="{colour}">{text}</text>')
    return "\n".join([*shapes, "</svg>\n"])


def write_calibration(folder: Path, calibration: dict[str, float]) -> None:
    path = folder / "glyph_config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"calibration": calibration}, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    args = parse_arguments()
    table = Table.merged(args.tables)
    outside = {row.name for row in (*ROWS, *PIPELINE_ROWS) if row.is_control or row.filler == "chinese"}
    outside.update(args.leave_out)
    results = [result for name, result in table.results.items() if name not in outside and len(result.asked) > 1]
    if not results:
        raise ConfigError("the tables hold no row within the range; run scripts/eval_reading.py --json first")
    first, second = halves(results)
    calibration = fit(first)
    means = np.exp([a.mean_logprob for r in results for a in r.asked[len(r.asked) // 2 :]])
    before = reliability(means, second)
    calibrated = probabilities(second, calibration)
    after = reliability(calibrated, second)
    out = sys.stdout
    out.write(f"fitted on {len(first.is_right)} answers, measured on {len(second.is_right)} of {len(results)} rows\n")
    out.write(
        f"{calibration.model_dump_json()}\n\n| confidence | share of answers | mean | right |\n|---|---|---|---|\n"
    )
    for number, (weight, mean, right) in enumerate(zip(after.weight, after.confidence, after.right, strict=True)):
        if weight:
            out.write(f"| {number / 10:.1f}–{(number + 1) / 10:.1f} | {weight:.3f} | {mean:.3f} | {right:.3f} |\n")
    out.write(f"\nECE {before.expected_error:.4f} → {after.expected_error:.4f}, ")
    out.write(f"AUROC {separation(means, second):.3f} → {separation(calibrated, second):.3f}\n")
    if args.write:
        write_calibration(args.write, calibration.model_dump())
    if args.plot:
        args.plot.write_text(plot(before, after), encoding="utf-8")


if __name__ == "__main__":
    main()
