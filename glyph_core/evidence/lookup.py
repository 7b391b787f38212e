"""Whether a value of an answer stands in a document, and what stands there that is one character off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from glyph_core.evidence.folding import Folded, loosely, strictly, without_hyphenation
from glyph_core.evidence.forms import forms_of
from glyph_core.evidence.source_text import Bounds, SourceText, occurrences, stands_alone
from glyph_core.evidence.values import MIN_REPAIRED_CHARS, Value, digits_of

_JOINED_BEFORE = re.compile(r"\w(?:[-_/@.:]|[-_/@]\n)\Z")  # an identifier that goes on; no sentence that ends
_JOINED_AFTER = re.compile(r"[-_/@.:]\w")
_NUMBER_BEFORE = re.compile(r"\d[.,]\Z|[.]\Z(?<=\s[.])")
_NUMBER_AFTER = re.compile(r"[.,]\d")
_UNIT = re.compile(r"[A-Za-z]{1,3}(?![\w])")
_GAP = re.compile(r"(?<![-/_.@\s])[ \t]+(?![\s])")  # white space in the middle of a line: two words, not one
_NAME_LINKS = frozenset(["of", "and", "the", "de", "la", "van", "von", "der", "du"])


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A text of the document that is one character off a value."""

    text: str  # as it would stand in the answer
    start: int  # characters [start, stop) of the document's text
    stop: int
    is_substitution: bool  # one character is another; else one is missing or too much


@dataclass(frozen=True, slots=True)
class Found:
    """What a document says of a value."""

    offset: int | None = None  # where it stands in the document's text
    source: str = ""  # as it stands there
    near: tuple[NearMiss, ...] = ()  # each text once; only where the value does not stand there


def look_up(source: SourceText, value: Value, bounds: Bounds) -> Found:
    if value.kind == "name":
        return _look_up_name(source, value, bounds)
    forms = [strictly(form) for form in forms_of(value)]
    whole = _first(source, forms, value, bounds, is_whole=True) or _hyphenated(source, value, bounds)
    if whole:
        return whole
    near = _near_misses(source, source.strict, value, bounds)
    if near:
        return Found(near=near)
    return _first(source, forms, value, bounds, is_whole=False) or Found()


def _first(source: SourceText, forms: Sequence[str], value: Value, bounds: Bounds, *, is_whole: bool) -> Found | None:
    for form in forms:
        for start, stop in _matches(source, source.strict, form, value, bounds, is_whole=is_whole):
            return Found(start, _shown(source.text[start:stop], value.text))
    return None


def _look_up_name(source: SourceText, value: Value, bounds: Bounds) -> Found:
    for start, stop in _matches(source, source.loose, loosely(value.text), value, bounds, is_whole=True):
        return Found(start, _shown(source.text[start:stop], value.text))
    words = [word for word in re.findall(r"\w[\w'’.-]*", value.text) if word not in _NAME_LINKS]
    places = [next(_matches(source, source.loose, loosely(word), value, bounds, is_whole=True), None) for word in words]
    if all(places) and places[0] is not None:
        return Found(places[0][0], value.text)
    near = _near_misses(source, source.loose, value, bounds)
    inflected = [miss for miss in near if _is_inflected(miss.text, value.text)]
    if inflected:
        return Found(inflected[0].start, inflected[0].text)
    alike = tuple(miss for miss in near if Levenshtein.distance(miss.text, value.text, score_cutoff=1) <= 1)
    return Found(near=tuple(miss for miss in alike if miss.text[:1].isupper()))


def _is_inflected(one: str, other: str) -> bool:
    shorter, longer = sorted((one.casefold(), other.casefold()), key=len)
    return longer in (shorter + "s", shorter + "'", shorter + "’", shorter + "n", shorter + "e")


def _matches(
    source: SourceText, folded: Folded, needle: str, value: Value, bounds: Bounds, *, is_whole: bool
) -> Iterator[tuple[int, int]]:
    """Where ``needle`` stands by itself: characters ``[start, stop)`` of the text. ``is_whole`` asks that no
    identifier goes on there."""
    for at in occurrences(folded, needle, bounds):
        start, stop = folded.span(at, at + len(needle))
        if _is_value(source, start, stop, value, is_whole=is_whole):
            yield start, stop


def _is_value(source: SourceText, start: int, stop: int, value: Value, *, is_whole: bool) -> bool:
    text = source.text
    before, after = text[max(0, start - 3) : start], text[stop : stop + 4]
    is_measure = value.kind == "number" and _is_measure(text, start, stop)
    if not is_measure and not stands_alone(source, start, stop):
        return False
    if value.kind == "number" and (_NUMBER_BEFORE.search(before) or _NUMBER_AFTER.match(after)):
        return False
    if is_whole and value.kind == "identifier" and (_JOINED_BEFORE.search(before) or _JOINED_AFTER.match(after)):
        return False
    return any(character.isspace() for character in value.text) or not _GAP.search(text, start, stop)


def _is_measure(text: str, start: int, stop: int) -> bool:
    """Whether a number is followed by nothing but its unit, as in 12GB, and begins by itself."""
    begins = start == 0 or not text[start - 1].isalnum()
    return begins and _UNIT.match(text, stop) is not None


def _near_misses(source: SourceText, folded: Folded, value: Value, bounds: Bounds) -> tuple[NearMiss, ...]:
    """Of an amount its digits count: what stands around them may be written otherwise."""
    core = (digits_of(value.text) if value.kind == "number" else None) or value.text
    needle = loosely(core) if folded is source.loose else strictly(core)
    if len(needle) < MIN_REPAIRED_CHARS - 1:
        return ()
    found: dict[str, NearMiss] = {}
    for first, last in sorted(set(_one_edit_away(folded, needle, bounds))):
        start, stop = folded.span(first, last)
        if max(last - first, len(needle)) < MIN_REPAIRED_CHARS or not _has_ends_like(folded.text[first:last], needle):
            continue
        if _is_value(source, start, stop, value, is_whole=True):
            written = value.text.replace(core, _shown(source.text[start:stop], value.text))
            found.setdefault(folded.text[first:last], NearMiss(written, start, stop, last - first == len(needle)))
    return tuple(found.values())


def _has_ends_like(text: str, needle: str) -> bool:
    """Whether letters and digits stand at the ends where ``needle`` has some."""
    return text[0].isalnum() >= needle[0].isalnum() and text[-1].isalnum() >= needle[-1].isalnum()


def _one_edit_away(folded: Folded, needle: str, bounds: Bounds) -> Iterator[tuple[int, int]]:
    """Folded characters ``[first, last)``. One half of ``needle`` stands as it is in whatever is one edit away."""
    text, middle = folded.text, len(needle) // 2
    head, tail = needle[:middle], needle[middle:]
    for at in occurrences(folded, head, bounds):
        start = at + middle
        for stop in range(start + len(tail) - 1, start + len(tail) + 2):
            if Levenshtein.distance(text[start:stop], tail, score_cutoff=1) == 1:
                yield at, min(stop, len(text))
    for at in occurrences(folded, tail, bounds):
        for start in range(max(0, at - middle - 1), max(0, at - middle + 1) + 1):
            if start < at and Levenshtein.distance(text[start:at], head, score_cutoff=1) == 1:
                yield start, at + len(tail)


def _hyphenated(source: SourceText, value: Value, bounds: Bounds) -> Found | None:
    """The value where a line's end parts it with a hyphen that is not its own."""
    needle = loosely(value.text)
    for at in occurrences(source.loose, needle, bounds):
        start, stop = source.loose.span(at, at + len(needle))
        parted = source.text[start:stop]
        joined = without_hyphenation(parted)
        is_value = joined != parted and _is_value(source, start, stop, value, is_whole=True)
        if is_value and strictly(joined) == strictly(value.text):
            return Found(start, value.text)
    return None


def _shown(source: str, written: str) -> str:
    """A piece of the source as it stands in an answer: its line breaks are none there."""
    return (" " if any(character.isspace() for character in written) else "").join(source.split())
