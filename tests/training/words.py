"""Pages of one word each, to learn to read from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

WORDS = (
    "anchor", "basket", "candle", "dragon", "engine", "forest", "garden", "hammer", "island", "jacket",
    "kitten", "ladder", "mirror", "needle", "orange", "pencil", "rabbit", "saddle", "ticket", "violin",
)  # fmt: skip
QUESTION = "Which word?"


def page_text(word: str, indent: int, line: int = 0) -> str:
    """``word`` after so many lines and spaces."""
    return "\n" * line + " " * indent + word


def write_words(path: Path, pages: Sequence[tuple[str, int] | tuple[str, int, int]]) -> Path:
    """A JSONL for ``scripts/train.py --stage``, a page a line: a word and its place, as :func:`page_text` has them."""
    lines = [{"text": page_text(*page), "question": QUESTION, "answer": page[0]} for page in pages]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def losses(folder: Path) -> list[tuple[int, float]]:
    """Steps and their losses, of a run's log."""
    return [(line["step"], line["loss"]) for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines())]
