#!/usr/bin/env python3
"""Prints what a checkpoint reads of fresh held-out pages: the table of the README.

    scripts/eval_reading.py --text build/text_sources.json.gz --real ../shared/data --json build/table.json
    scripts/eval_reading.py --text build/text_sources.json.gz --fast --model build/run/export   # by teacher forcing
    scripts/eval_reading.py --show build/table_*.json                                           # several runs as one

Without ``--fast`` every question goes through the public pipeline, as a user's would. Each row is printed as soon as
it is done and kept in ``--json``; run again with the same file, only the missing rows are asked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.config import EngineConfig, ModelConfig, PipelineConfig
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.loading import pick_device
from glyph_core.pipeline import Pipeline
from glyph_core.training.composer import Composer
from glyph_core.training.evaluate import measure, row_batches
from glyph_core.training.looks import Typesetter
from glyph_core.training.model import PackedReader
from glyph_core.training.reading import RowMaker, RowResult, ask
from glyph_core.training.rows import PIPELINE_ROWS, ROWS, Row
from glyph_core.training.table import Table, header, table_line
from glyph_core.training.text_sources import Split, load


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="what scripts/collect_text.py wrote")
    parser.add_argument("--real", type=Path, help="folder of real documents: its long_text and contracts are filler")
    parser.add_argument("--model", default="glyph-mini")
    parser.add_argument("--questions", type=int, default=500, help="at least so many a row")
    parser.add_argument("--rows", nargs="*", help="names of rows, or their beginnings; all unless given")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="another seed, other pages")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--weights", default="auto", help="fp8: vision tower and language model in 8 bits")
    parser.add_argument("--threads", type=int, default=1, help="of tensor work on the CPU")
    parser.add_argument("--at-once", type=int, help="questions that are asked together; 512 on a GPU, else 64")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the rows, and the GPUs")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="begin no row after so many seconds")
    parser.add_argument("--fast", action="store_true", help="teacher forcing in large batches: the same answers count")
    parser.add_argument("--json", type=Path, help="keep figures and every answer here, and go on from it")
    parser.add_argument("--no-header", action="store_true", help="print no heading above the rows")
    parser.add_argument("--show", type=Path, nargs="+", help="print the rows of these files as one table, ask nothing")
    args = parser.parse_args()
    if not args.show and not args.text:
        parser.error("--text is needed, or --show")
    if args.workers > 1 and not args.json:
        parser.error("--workers needs --json: that is where they put their rows together")
    return args


def measure_fast(args: argparse.Namespace, rows: Sequence[Row], device: torch.device) -> None:
    typesetter = Typesetter()
    composer = Composer(typesetter.ink_table(), device)
    forced = [row for row in rows if row in ROWS]
    sets = row_batches(forced, load(args.text, Split.HELD_OUT), typesetter, args.questions, args.seed)
    model = Glm4vForConditionalGeneration.from_pretrained(resolve_checkpoint(args.model).path, dtype=torch.float32)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    reader = PackedReader(model, 1, dtype=dtype, compiled=False).to(device)
    shares = measure(sets, reader, composer, device)
    for row in forced:
        count = sum(batch.num_questions for batch in sets[row.name])
        say(table_line(row, round(shares[row.name] * count), count))


def make_pipeline(args: argparse.Namespace, device: torch.device, at_once: int) -> Pipeline:
    engine = (
        EngineConfig(kv_memory_gb=16, max_num_seqs=at_once, max_num_batched_tokens=32_768)
        if device.type == "cuda"
        else EngineConfig(kv_memory_gb=2, max_num_seqs=32, max_num_batched_tokens=4096)
    )
    threads = args.threads if device.type == "cpu" else None
    model = ModelConfig(device=args.device, dtype=args.dtype, weights=args.weights, num_threads=threads)
    config = PipelineConfig(model=model, engine=engine, feature_cache_gb=1)
    if device.type == "cuda":
        config = config.model_copy(update={"credits": config.credits.model_copy(update={"max_encode_batch": 64})})
    return Pipeline.from_pretrained(args.model, config)


def measure_pipeline(args: argparse.Namespace, rows: Sequence[Row], device: torch.device) -> None:
    started_at = time.perf_counter()
    at_once = args.at_once or (512 if device.type == "cuda" else 64)
    table = Table.open(args.json, args.model, args.seed)
    maker = RowMaker(load(args.text, Split.HELD_OUT), Typesetter(), args.real, table.seed)
    pipeline = make_pipeline(args, device, at_once)
    for row in rows:
        if table.has(row.name, args.questions):
            say(table.line(row))
        elif time.perf_counter() - started_at < args.limit_s and not (row.filler and args.real is None):
            table.add(measure_row(pipeline, maker, row, args.questions, at_once))
            say(table.line(row))


def measure_in_processes(args: argparse.Namespace, rows: Sequence[Row]) -> int:
    """The rows dealt to ``--workers`` processes, each on one of the GPUs; returns how many of them failed."""
    hands: list[list[Row]] = [[] for _ in range(min(args.workers, len(rows)))]
    for row in sorted(rows, key=cost, reverse=True):
        min(hands, key=lambda hand: sum(map(cost, hand))).append(row)
    gpus = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    gpus = gpus or [str(index) for index in range(torch.cuda.device_count())]
    parts = [args.json.with_suffix(f".{number}.json") for number in range(len(hands))]
    names = ("text", "real", "model", "questions", "seed", "device", "dtype", "weights", "threads", "at_once")
    values = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    given = [argument for name, value in values.items() for argument in (f"--{name.replace('_', '-')}", str(value))]
    workers = []
    for number, (hand, part) in enumerate(zip(hands, parts, strict=True)):
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})
        command = [sys.executable, __file__, *given, "--limit-s", str(args.limit_s), "--json", str(part), "--no-header"]
        workers.append(subprocess.Popen([*command, "--rows", *(row.name for row in hand)], env=environment))
    failed = sum(worker.wait() != 0 for worker in workers)
    table = Table.merged([part for part in parts if part.exists()])
    table.path = args.json
    for result in list(table.results.values()):
        table.add(result)
    return failed


def cost(row: Row) -> float:
    """Roughly, what a row takes beside others."""
    return 2 + row.spec.pages[1] * (1.5 if row.filler else 1) + (2 if row.min_answer_chars > 1 else 0)


def measure_row(pipeline: Pipeline, maker: RowMaker, row: Row, num_questions: int, at_once: int) -> RowResult:
    result = RowResult(row.name)
    documents = maker.documents(row, num_questions)
    started_at = time.perf_counter()
    for asked in ask(pipeline, documents, at_once):
        result.asked += asked
    result.seconds = time.perf_counter() - started_at
    return result


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # the next may be minutes away
    sys.stdout.flush()


def chosen(rows: Sequence[Row], names: Sequence[str] | None) -> list[Row]:
    """Those of a name that is given, or that begins with one that is no row's whole name."""
    if not names:
        return list(rows)
    whole = {row.name for row in rows}
    beginnings = tuple(name for name in names if name not in whole)
    return [row for row in rows if row.name in names or (beginnings and row.name.startswith(beginnings))]


def main() -> int:
    args = parse_arguments()
    rows = chosen((*ROWS, *PIPELINE_ROWS), args.rows)
    if not args.no_header:
        say(header())
    if args.show:
        table = Table.merged(args.show)
        for row in rows:
            if table.has(row.name, 1):
                say(table.line(row))
        return 0
    if args.workers > 1:
        return measure_in_processes(args, rows)
    device = pick_device(args.device)
    (measure_fast if args.fast else measure_pipeline)(args, rows, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
