#!/usr/bin/env python3
"""Prints what a checkpoint reads of fresh held-out pages: the table of the README.

    scripts/eval_reading.py --text build/text_sources.json.gz --model glyph-mini --questions 500
    scripts/eval_reading.py --text build/text_sources.json.gz --model build/run/export --fast   # by teacher forcing

Without ``--fast`` every question goes through the public pipeline, as a user's would.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.training.composer import Composer
from glyph_core.training.evaluate import measure, row_batches
from glyph_core.training.looks import Typesetter
from glyph_core.training.model import PackedReader
from glyph_core.training.rows import ROWS, Row
from glyph_core.training.text_sources import Split, load


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="what scripts/collect_text.py wrote")
    parser.add_argument("--model", nargs="+", default=["glyph-mini"])
    parser.add_argument("--questions", type=int, default=500, help="at least so many a row")
    parser.add_argument("--rows", nargs="*", help="names of rows, or their beginnings; all unless given")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="another seed, other pages")
    parser.add_argument("--fast", action="store_true", help="teacher forcing in large batches: the same answers count")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def measure_fast(args: argparse.Namespace, rows: tuple[Row, ...]) -> dict[str, dict[str, float]]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    typesetter = Typesetter()
    composer = Composer(typesetter.ink_table(), device)
    sets = row_batches(rows, load(args.text, Split.HELD_OUT), typesetter, args.questions, args.seed)
    figures = {}
    for name in args.model:
        model = Glm4vForConditionalGeneration.from_pretrained(resolve_checkpoint(name).path, dtype=torch.float32)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        reader = PackedReader(model, 1, dtype=dtype, compiled=False).to(device)
        figures[name] = measure(sets, reader, composer, device)
    return figures


def main() -> None:
    args = parse_arguments()
    rows = tuple(row for row in ROWS if not args.rows or any(row.name.startswith(name) for name in args.rows))
    figures = measure_fast(args, rows)
    out = sys.stdout
    out.write(f"| row | {' | '.join(args.model)} | goal |\n|---|{'---|' * len(args.model)}---|\n")
    for row in rows:
        shares = " | ".join(f"{figures[name][row.name]:.3f}" for name in args.model)
        goal = "report" if row.goal is None else f"{'≤' if row.is_control else '≥'} {row.goal}"
        out.write(f"| {row.name} | {shares} | {goal} |\n")
    if args.json:
        args.json.write_text(json.dumps({"seed": args.seed, "questions": args.questions, **figures}, indent=1))


if __name__ == "__main__":
    main()
