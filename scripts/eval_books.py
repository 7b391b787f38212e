#!/usr/bin/env python3
"""Prints whether a checkpoint finds single facts in whole books: by the book's length and the fact's depth.

    scripts/eval_books.py --text build/text_sources.json.gz --books ../shared/data/long_text --json build/books.json
    scripts/eval_books.py … --lengths 50000 200000 --depths 5 --url http://127.0.0.1:7860     # a served one
    scripts/eval_books.py --show build/books.json

A book of each length holds all of its facts at once; every one is asked by itself, and the whole book is read for it.
As many questions again as a depth has are about facts that stand nowhere. Each length is kept in ``--json`` when it is
done; run again with the same file, only the missing ones are asked.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from glyph_core.training.material import Material
from glyph_core.training.needles import needles, plant_needles, take_book
from glyph_core.training.reading import NO_EVIDENCE, SAMPLING, wilson_interval
from glyph_core.training.text_sources import Split, load

BOOKS = ("1946-Truman.txt", "english-kjv.txt", "972.txt")  # 761,000 characters together
LENGTHS = (10_000, 50_000, 200_000, 500_000, 1_000_000)
TIMEOUT_S = 3000.0


class Expected(NamedTuple):
    depth: float | None  # of the fact; None: it stands nowhere
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one question."""

    depth: float | None  # of the fact; None: it stands nowhere
    question: str
    expected: str
    answer: str
    confidence: float
    num_pages: int
    num_windows: int
    num_candidates: int
    was_combined: bool
    num_cached_tokens: int
    num_prompt_tokens: int
    candidate: str | None = None  # the likeliest finding of a window, whether or not it is the answer

    @property
    def is_right(self) -> bool:
        return self.answer == self.expected


Ask = Callable[[str, Sequence[str]], list[dict[str, Any]]]  # a book and questions → of each what Told wants


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="what scripts/collect_text.py wrote")
    parser.add_argument("--books", type=Path, help=f"folder that holds {', '.join(BOOKS)}")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="characters")
    parser.add_argument("--depths", type=int, default=11, help="from the beginning to the end")
    parser.add_argument("--facts", type=int, default=5, help="at each depth")
    parser.add_argument("--model", default="glyph-mini")
    parser.add_argument("--absent-answer", default="not stated", help="the model's words for what stands nowhere")
    parser.add_argument("--url", help="ask the endpoint there, by the id of an uploaded file")
    parser.add_argument("--concurrency", type=int, default=2, help="with --url: questions that are open at once")
    parser.add_argument("--overlap-pages", type=int, default=1)
    parser.add_argument("--no-combine", action="store_true", help="without the reading of the best findings' pages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="begin no length after so many seconds")
    parser.add_argument("--json", type=Path, help="keep every answer here, and go on from it")
    parser.add_argument("--show", type=Path, help="print this file's table, ask nothing")
    args = parser.parse_args()
    if not args.show and not (args.text and args.books):
        parser.error("--text and --books are needed, or --show")
    return args


def haystack(args: argparse.Namespace, length: int) -> tuple[str, list[Expected]]:
    """The book with its facts, and what is asked of it: facts that it holds, and others that stand nowhere."""
    book = take_book([(args.books / name).read_text(encoding="utf-8") for name in BOOKS], length)
    material = Material(load(args.text, Split.HELD_OUT), Split.HELD_OUT, args.seed * 1_000_003 + length)
    made = needles(material, book)
    steps = max(1, args.depths - 1)
    depths = [step / steps for step in range(args.depths) for _ in range(args.facts)]
    # Not all at one place: a depth's facts are spread over half of the way to the next depth.
    places = [min(1.0, depth + index % args.facts / args.facts / steps / 2) for index, depth in enumerate(depths)]
    planted = plant_needles(book, [next(made) for _ in places], places)
    expected = [Expected(d, needle.question, needle.answer) for d, needle in zip(depths, planted.needles, strict=True)]
    nowhere = [next(made) for _ in range(args.facts)]
    return planted.text, [*expected, *(Expected(None, needle.question, args.absent_answer) for needle in nowhere)]


def in_process(args: argparse.Namespace) -> Ask:
    from glyph_core.answering.request import AnswerRequest
    from glyph_core.config import EngineConfig, ModelConfig, PipelineConfig, ReadingConfig, WindowConfig
    from glyph_core.model.loading import pick_device
    from glyph_core.pipeline import Pipeline
    from glyph_core.types import DocumentSource

    is_gpu = pick_device(args.device).type == "cuda"
    engine = (
        EngineConfig(kv_memory_gb=16, max_num_seqs=128, max_num_batched_tokens=32_768)
        if is_gpu
        else EngineConfig(kv_memory_gb=2, max_num_seqs=32, max_num_batched_tokens=4096)
    )
    windows = WindowConfig(overlap_pages=args.overlap_pages, combine=not args.no_combine)
    model, reading = ModelConfig(device=args.device, dtype=args.dtype), ReadingConfig(windows=windows)
    config = PipelineConfig(model=model, engine=engine, feature_cache_gb=2, reading=reading)
    if is_gpu:
        config = config.model_copy(update={"credits": config.credits.model_copy(update={"max_encode_batch": 64})})
    pipeline = Pipeline.from_pretrained(args.model, config)

    def ask(book: str, questions: Sequence[str]) -> list[dict[str, Any]]:
        document = DocumentSource("book.txt", book.encode())
        requests = [
            AnswerRequest.about([document], question, sampling=SAMPLING, evidence=NO_EVIDENCE) for question in questions
        ]
        return [
            {
                "answer": answer.text,
                "confidence": answer.confidence,
                "num_pages": answer.num_pages,
                "num_windows": answer.windows.num_windows if answer.windows else 1,
                "num_candidates": len(answer.windows.candidates) if answer.windows else 0,
                "candidate": answer.windows.candidates[0].text
                if answer.windows and answer.windows.candidates
                else None,
                "was_combined": answer.windows is not None and answer.windows.combined is not None,
                "num_cached_tokens": answer.usage.num_cached_tokens,
                "num_prompt_tokens": answer.usage.num_prompt_tokens,
            }
            for answer in pipeline.run(requests)
        ]

    return ask


def at_endpoint(args: argparse.Namespace) -> Ask:
    from deployments.client import endpoint_client, raise_for_error

    client = endpoint_client(args.url)

    def ask(book: str, questions: Sequence[str]) -> list[dict[str, Any]]:
        sent = client.post("/v1/files", files={"file": ("book.txt", book.encode())}, data={"purpose": "user_data"})
        raise_for_error(sent)
        document = {"type": "file", "file": {"file_id": sent.json()["id"]}}

        def ask_one(question: str) -> dict[str, Any]:
            body = {
                "model": args.model,
                "max_tokens": SAMPLING.max_tokens,
                "messages": [{"role": "user", "content": [document, {"type": "text", "text": question}]}],
                "glyph": {
                    "citations": False,
                    "grounding": "off",
                    "timeout_s": TIMEOUT_S,
                    "windows": {"overlap_pages": args.overlap_pages, "combine": not args.no_combine},
                },
            }
            response = client.post("/v1/chat/completions", json=body)
            raise_for_error(response)
            answer = response.json()
            glyph, windows = answer["glyph"], answer["glyph"].get("windows")
            return {
                "answer": answer["choices"][0]["message"]["content"],
                "confidence": glyph["confidence"],
                "num_pages": glyph["pages"],
                "num_windows": windows["read"] if windows else 1,
                "num_candidates": len(windows["candidates"]) if windows else 0,
                "candidate": windows["candidates"][0]["text"] if windows and windows["candidates"] else None,
                "was_combined": bool(windows and windows["combined_pages"]),
                "num_cached_tokens": answer["usage"]["prompt_tokens_details"]["cached_tokens"],
                "num_prompt_tokens": answer["usage"]["prompt_tokens"],
            }

        with ThreadPoolExecutor(args.concurrency) as pool:
            return list(pool.map(ask_one, questions))

    return ask


def table(rows: Sequence[dict[str, Any]]) -> str:
    """By length and depth, right answers of those asked."""
    told = {row["length"]: [Told(**asked) for asked in row["asked"]] for row in rows}
    depths = sorted({one.depth for asked in told.values() for one in asked if one.depth is not None})
    head = ["characters", "pages", "windows", *(f"{100 * depth:.0f} %" for depth in depths), "all", "95 %", "nowhere"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for length, asked in told.items():
        found = [one for one in asked if one.depth is not None]
        low, high = wilson_interval(sum(one.is_right for one in found), len(found))
        shown = [f"{length:,}", str(asked[0].num_pages), str(asked[0].num_windows)]
        shown += [_share([one for one in found if one.depth == depth]) for depth in depths]
        nowhere = [one for one in asked if one.depth is None]
        lines.append("| " + " | ".join([*shown, _share(found), f"{low:.2f}–{high:.2f}", _share(nowhere)]) + " |")
    return "\n".join(lines)


def _share(asked: Sequence[Told]) -> str:
    return f"{sum(one.is_right for one in asked)}/{len(asked)}" if asked else "–"


def main() -> None:
    args = parse_arguments()
    kept = args.show or args.json
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept and kept.exists() else []
    began_at = time.perf_counter()
    if not args.show:
        ask = at_endpoint(args) if args.url else in_process(args)
        for length in args.lengths:
            if any(row["length"] == length for row in rows) or time.perf_counter() - began_at > args.limit_s:
                continue
            book, expected = haystack(args, length)
            started_at = time.perf_counter()
            outcomes = ask(book, [one.question for one in expected])
            seconds = time.perf_counter() - started_at
            asked = [
                asdict(Told(one.depth, one.question, one.answer, **outcome))
                for one, outcome in zip(expected, outcomes, strict=True)
            ]
            rows.append({"length": length, "seconds": round(seconds, 1), "asked": asked})
            if args.json:
                args.json.parent.mkdir(parents=True, exist_ok=True)
                content = {"model": args.model, "seed": args.seed, "served": bool(args.url), "rows": rows}
                args.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            sys.stderr.write(f"{length} characters: {seconds:.1f} s\n")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
