#!/usr/bin/env python3
"""Prints what a checkpoint reads of fresh held-out pages: the table of the README.

    scripts/eval_reading.py --text build/text_sources.json.gz --model glyph-mini --questions 500
    scripts/eval_reading.py --text build/text_sources.json.gz --model build/run/export --fast   # by teacher forcing

Without ``--fast`` every question goes through the public pipeline, as a user's would.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Glm4vForConditionalGeneration

from glyph_core.answering.request import AnswerRequest
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.training.batch import PackedDocument
from glyph_core.training.composer import Composer
from glyph_core.training.evaluate import JPEG_QUALITY, measure, row_batches, row_documents
from glyph_core.training.looks import Typesetter
from glyph_core.training.model import PackedReader
from glyph_core.training.rows import ROWS, Row
from glyph_core.training.text_sources import Split, load
from glyph_core.types import DocumentSource


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


def measure_pipeline(args: argparse.Namespace, rows: tuple[Row, ...]) -> dict[str, dict[str, float]]:
    typesetter, sources = Typesetter(), load(args.text, Split.HELD_OUT)
    figures: dict[str, dict[str, float]] = {name: {} for name in args.model}
    pipelines = {name: Pipeline.from_pretrained(name) for name in args.model}
    for row in rows:
        documents = row_documents(row, sources, typesetter, args.questions, args.seed)
        for name, pipeline in pipelines.items():
            right = sum(num_right(pipeline, row, document) for document in documents)
            figures[name][row.name] = right / max(1, sum(len(document.questions) for document in documents))
    return figures


def num_right(pipeline: Pipeline, row: Row, document: PackedDocument) -> int:
    """How many of the document's questions the pipeline answers to the last character."""
    config = document.config.model_copy(update={"inverted": row.inverted})
    sources = [DocumentSource("document.txt", document.text.encode())]
    if row.jpeg:
        renderer = PageRenderer(config)
        pages = renderer.render(sources[0], 0, renderer.plan(sources[0]).num_pages)
        sources = [DocumentSource(f"page_{page.plan.page_index}.jpg", as_jpeg(page.pixels)) for page in pages]
    requests = [AnswerRequest.about(sources, question.text, render=config) for question in document.questions]
    answers = pipeline.run(requests)
    return sum(answer.text == question.answer for answer, question in zip(answers, document.questions, strict=True))


def as_jpeg(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=int(JPEG_QUALITY))
    return encoded.getvalue()


def main() -> None:
    args = parse_arguments()
    rows = tuple(row for row in ROWS if not args.rows or any(row.name.startswith(name) for name in args.rows))
    figures = (measure_fast if args.fast else measure_pipeline)(args, rows)
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
