"""What is rendered in the benchmark: 1.1 M characters of English and 350 k of Chinese."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glyph_core.config import LimitConfig
from glyph_core.documents.parse import parse
from glyph_core.documents.source import read_source
from glyph_core.errors import EmptyDocumentError
from glyph_core.model.token_counter import CJK_RANGES

NUM_CHARS = {"english": 1_100_000, "chinese": 350_000}
BOOKS = Path(__file__).parents[3] / "shared" / "data" / "long_text"  # beside the repository, where it is there
BOOKS_OF = {
    "english": ("1946-Truman.txt", "972.txt", "english-kjv.txt"),
    "chinese": ("三国演义.txt", "合同编.md"),
}
_SEED = 20_26
_MEAN_SENTENCE, _SENTENCES_OF_A_PARAGRAPH = 14, 6


@dataclass(frozen=True, slots=True)
class BenchText:
    """A text of :data:`NUM_CHARS` characters, and where it comes from."""

    language: str
    text: str = field(repr=False)
    origin: str


def bench_texts(files: Sequence[Path]) -> dict[str, BenchText]:
    """A text in each language: of ``files``, else of real books where they are on this machine, else made up.

    The language of a file is told by its content; several files in one language are joined. A text that is too short
    is repeated, one that is too long is cut. Raises InvalidRequestError and EmptyDocumentError for what cannot be read.
    """
    texts: dict[str, list[Path]] = {}
    for file in files:
        texts.setdefault(_language(_read(file)), []).append(file)
    return {language: _bench_text(language, texts.get(language, [])) for language in NUM_CHARS}


def _bench_text(language: str, files: Sequence[Path]) -> BenchText:
    num_chars = NUM_CHARS[language]
    if not files and BOOKS.is_dir():
        files = [BOOKS / name for name in BOOKS_OF[language]]
    if not files:
        return BenchText(language, made_up(language, num_chars), "made up")
    joined = "\n".join(map(_read, files))
    times = -(-num_chars // len(joined))
    repeated = f", {times} times" if times > 1 else ""
    return BenchText(language, (joined * times)[:num_chars], ", ".join(file.name for file in files) + repeated)


def _read(file: Path) -> str:
    text = "\n".join(parse(read_source(file), LimitConfig()).text.splitlines())  # Pillow fails on a carriage return
    if not text:
        raise EmptyDocumentError(f"{file} holds no text to render")
    return text


def _language(text: str) -> str:
    is_cjk = [any(first <= ord(char) <= last for first, last in CJK_RANGES) for char in text[:10_000]]
    return "chinese" if sum(is_cjk) > len(is_cjk) / 3 else "english"


def made_up(language: str, num_chars: int, seed: int = _SEED) -> str:
    """Words of the language's usual lengths and frequencies (Zipf's law), in paragraphs; the same for the same seed."""
    chooser = random.Random(seed)
    if language == "english":
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        by_frequency = [2.0**-rank for rank in (i / 4 for i in range(len(letters)))]
        words = [
            "".join(chooser.choices(letters, by_frequency, k=chooser.choice((2, 3, 4, 5, 6, 8)))) for _ in range(8000)
        ]
        joint, stop, space = " ", ".", " "
    else:
        words = [chr(0x4E00 + chooser.randrange(0x4000)) for _ in range(3500)]
        joint, stop, space = "", "。", ""
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    parts: list[str] = []
    length = 0
    while length < num_chars:
        count = _SENTENCES_OF_A_PARAGRAPH * chooser.randint(_MEAN_SENTENCE // 2, 2 * _MEAN_SENTENCE)
        drawn = chooser.choices(words, weights, k=count)
        sentences = [drawn[i : i + _MEAN_SENTENCE] for i in range(0, count, _MEAN_SENTENCE)]
        parts.append(space.join(joint.join(sentence) + stop for sentence in sentences) + "\n")
        length += len(parts[-1])
    return "".join(parts)[:num_chars]
