"""Words, names and prose to train on, from what a Debian machine has: its word list and its packages' documents.

Nothing of this is shipped: ``scripts/collect_text.py`` builds one compressed file from the Debian package
``wamerican`` and the documents of the installed packages. Training and held-out material are kept apart by a hash of
the word, name or paragraph itself, so that no two builds of the file can disagree on which side something is.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from glyph_core.errors import ConfigError
from glyph_core.training.charset import cleaned

HELD_OUT_SHARE = 8  # one word in so many is never trained on
PARAGRAPH_CHARS = (80, 1200)
MAX_SOURCE_BYTES = 3_000_000


class Split(StrEnum):
    TRAIN = "train"
    HELD_OUT = "held_out"


def split_of(text: str) -> Split:
    """The side that ``text`` is on: a hash of the lower-case text decides, nothing else."""
    first = blake2b(text.lower().encode(), digest_size=2).digest()[0]
    return Split.HELD_OUT if first % HELD_OUT_SHARE == 0 else Split.TRAIN


@dataclass(frozen=True)
class TextSources:
    """Material of one side."""

    words: tuple[str, ...]
    names: tuple[str, ...]
    paragraphs: tuple[str, ...]

    def side(self, split: Split) -> TextSources:
        """Those of one side only."""
        words, names, paragraphs = (
            tuple(text for text in texts if split_of(text) is split)
            for texts in (self.words, self.names, self.paragraphs)
        )
        return TextSources(words, names, paragraphs)


def read_words(dictionary: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Common words and names (capitalised entries) of a word list with one word a line."""
    try:
        entries = dictionary.read_text(encoding="utf-8").split()
    except OSError as error:
        raise ConfigError(
            f"cannot read the word list {dictionary} ({error}); install the Debian package wamerican or name another"
        ) from error
    entries = [entry for entry in entries if entry.isalpha() and cleaned(entry) == entry]
    words = tuple(entry for entry in entries if entry.islower() and 2 <= len(entry) <= 12)
    names = tuple(entry for entry in entries if entry[0].isupper() and entry[1:].islower() and 3 <= len(entry) <= 11)
    return words, names


def read_paragraphs(roots: Sequence[Path], max_chars: int) -> tuple[str, ...]:
    """Prose under ``roots`` up to ``max_chars`` characters, spread evenly over its files, no paragraph twice."""
    paragraphs: dict[str, None] = {}
    total = 0
    files = sorted(path for root in roots for path in root.rglob("*") if _reader(path) and path.is_file())
    files.sort(key=lambda path: blake2b(path.name.encode(), digest_size=8).digest())
    for path in files:
        for paragraph in islice_chars(_prose(path), 12_000):
            if paragraph not in paragraphs:
                paragraphs[paragraph] = None
                total += len(paragraph)
        if total >= max_chars:
            break
    return tuple(paragraphs)


def islice_chars(texts: Iterable[str], max_chars: int) -> Iterator[str]:
    """``texts`` until they make ``max_chars`` characters together."""
    for text in texts:
        yield text
        max_chars -= len(text)
        if max_chars <= 0:
            return


def _prose(path: Path) -> Iterator[str]:
    split = _reader(path)
    raw = path.read_bytes()[:MAX_SOURCE_BYTES]
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(path.read_bytes())[:MAX_SOURCE_BYTES]
        except (OSError, EOFError):  # a damaged archive among a system's documents is no reason to stop
            return
    for paragraph in split(raw.decode("utf-8", errors="ignore")) if split else ():
        text = cleaned(paragraph)
        if PARAGRAPH_CHARS[0] <= len(text) <= PARAGRAPH_CHARS[1] and _is_prose(text):
            yield text


def _is_prose(text: str) -> bool:
    return sum(char.isalpha() or char == " " for char in text) > 0.9 * len(text) and ". " in text + " "


def _reader(path: Path):  # type: ignore[no-untyped-def]
    """How paragraphs are cut from a file of this name; None for a file without prose."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".py"):
        return _docstrings
    if name.endswith((".html", ".htm")):
        return _html_paragraphs
    if re.search(r"\.[1-8]$", name):
        return _manual_paragraphs
    if name.endswith((".txt", ".pod", ".md", ".rst")) or name in {
        "copyright",
        "README",
        "NEWS.Debian",
        "README.Debian",
    }:
        return _blank_line_paragraphs
    return None


def _blank_line_paragraphs(text: str) -> Iterable[str]:
    return re.split(r"\n\s*(?:\.\s*)?\n", text)


def _docstrings(text: str) -> Iterable[str]:
    return chain.from_iterable(map(_blank_line_paragraphs, re.findall(r'"""(.*?)"""', text, flags=re.DOTALL)))


def _html_paragraphs(text: str) -> Iterable[str]:
    return (html.unescape(re.sub(r"<[^>]+>", "", body)) for body in re.findall(r"<p>(.*?)</p>", text, flags=re.DOTALL))


def _manual_paragraphs(text: str) -> Iterable[str]:
    text = re.sub(r"\\f[A-Z]|\\f\(..|\\&|\\s[-+]?\d", "", text).replace("\\-", "-").replace("\\(aq", "'")
    return (re.sub(r"\\\S*", "", block) for block in re.split(r"\n(?:[.'].*\n)+", text))


def save(sources: TextSources, path: Path) -> None:
    """Writes both sides into one compressed file."""
    payload = {"words": sources.words, "names": sources.names, "paragraphs": sources.paragraphs}
    path.write_bytes(gzip.compress(json.dumps(payload).encode(), mtime=0))


def load(path: Path, split: Split) -> TextSources:
    """One side of the file that :func:`save` wrote."""
    try:
        payload = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"cannot read {path} ({error}); build it with scripts/collect_text.py") from error
    sources = TextSources(tuple(payload["words"]), tuple(payload["names"]), tuple(payload["paragraphs"]))
    return sources.side(split)
