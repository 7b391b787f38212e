"""The parts of an answer that are looked for one by one: sentences, lines, the values of a JSON answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glyph_core.evidence.folding import EAST_ASIAN, loosely

MAX_SEGMENTS = 64  # of an answer that evidence is looked for
MAX_CHARS = 600  # of a segment; a longer one is cut between words
_JSON_VALUE = re.compile(r'"(?P<string>(?:[^"\\]|\\.)*)"(?!\s*:)|(?<![\w."])-?\d+(?:\.\d+)?(?![\w."])')
_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+|\s*\|\s*")
_SILENT = frozenset(("yes", "no", "true", "false", "null", "none", "n/a", "yes.", "no.", "是", "否", "是的"))
_WORD = re.compile(rf"[{EAST_ASIAN}]|[^\W_{EAST_ASIAN}]+")
_COMMON_WORDS = (
    "the and for that this with from are was were has have had not but what which who whom whose when where why how "
    "does did any all its his her their they them you your our can could about than then there these those been being "
    "into such each other will shall would should may page document according stated states"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def segments_of(answer: str) -> list[tuple[int, int]]:
    """Characters ``[start, stop)`` of the answer, ascending."""
    found = _json_values(answer) if answer.lstrip()[:1] in ("{", "[") else _sentences(answer)
    return [bounds for bounds in found if says_something(answer[slice(*bounds)])][:MAX_SEGMENTS]


def says_something(text: str) -> bool:
    """Whether ``text`` is more than a yes or a no, so that it makes sense to look for it."""
    folded = loosely(text)
    return folded not in _SILENT and any(character.isalnum() for character in folded)


def words_of(text: str) -> list[str]:
    """Words that tell what a text is about, folded loosely, each once. East Asian characters count two by two."""
    found = [match[0] for match in _WORD.finditer(text)]
    words = [folded for word in found if len(folded := loosely(word)) >= 3 and folded not in _COMMON]
    words += [folded for word in found if word.isdecimal() and len(folded := loosely(word)) < 3]
    pairs = re.findall(rf"(?=([{EAST_ASIAN}]{{2}}))", text)
    return list(dict.fromkeys(words + pairs))


def _json_values(answer: str) -> Iterator[tuple[int, int]]:
    for match in _JSON_VALUE.finditer(answer):
        yield match.span("string") if match["string"] is not None else match.span()


def _sentences(answer: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in [*_END.finditer(answer), None]:
        stop = match.start() if match else len(answer)
        yield from _cut(answer, start, stop)
        start = match.end() if match else stop


def _cut(answer: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    while stop - start > MAX_CHARS:
        blank = answer.rfind(" ", start + 1, start + MAX_CHARS)
        end = blank if blank > start else start + MAX_CHARS
        yield start, end
        start = end
    if start < stop:
        yield start, stop
