"""The values of an answer that a reader would check: numbers, dates, names and identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import Levenshtein

from glyph_core.citations import ValueKind
from glyph_core.evidence.folding import EAST_ASIAN

MIN_REPAIRED_CHARS = 6  # of a value: in a shorter one, one character of difference says too little

_MONTH_NAMES = "january february march april may june july august september october november december"
MONTHS = tuple(_MONTH_NAMES.split())
_SHORT_MONTHS = {month[:3] for month in MONTHS} | {"sept"}
_WORD = re.compile(rf"[^\s{EAST_ASIAN}\u3000-\u303f\uff00-\uff20]+")
_PART = re.compile(r"(?:[^\"“”«»—–…|,;]|[,;](?=\d))+")
_EDGES = ".,;:!?()[]{}<>\"'“”‘’«»*_`|~…=&"
_NUMBER = re.compile(r"[-+]?[$€£¥]?\d+(?:[.,'’\u00a0]\d+)*%?")
_MEASURE = re.compile(r"(?P<core>[-+]?[$€£¥]?\d+(?:[.,]\d+)*)(?:st|nd|rd|th|[A-Za-z]{1,3}|[°%]\w?)")
_DAY = re.compile(r"\w{0,2}\d\w{0,3}")
_BETWEEN = re.compile(r"[\s,.]*(?:(?:day )?of )?[\s,.]*")  # the parts of a date
_EAST_ASIAN_DATE = re.compile(r"\d{2,4}\s*年(?:\s*\d{1,2}\s*月(?:\s*\d{1,2}\s*日)?)?|\d{1,2}\s*月\s*\d{1,2}\s*日")
_DIGITAL_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}")
_GROUP = re.compile(r"\+?\(?[A-Z0-9]{2,}\)?")  # of a number that is written in groups: an IBAN, a telephone number
_NAME = re.compile(
    r"\b[A-ZÀ-ÖØ-Þ][\w'’&.-]*\w(?:[ \t]+(?:(?:of|and|the|de|la|van|von|der|du|&)[ \t]+)?[A-ZÀ-ÖØ-Þ][\w'’&.-]*\w)*"
)
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"\s*:')
_LIST_MARK = re.compile(r"^[ \t]*(?:\(?\d{1,3}[.)]|\[\d+\])(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Value:
    """Characters ``[start, stop)`` of an answer."""

    kind: ValueKind
    text: str
    start: int
    stop: int


def values_of(answer: str) -> list[Value]:
    """In the order of the answer; none overlaps another. Keys of a JSON answer and the marks of lists are none."""
    text = _blank(_LIST_MARK, answer)
    if answer.lstrip()[:1] in ("{", "["):
        text = _blank(_KEY, text)
    dates = [Value("date", m[0], *m.span()) for m in _EAST_ASIAN_DATE.finditer(text)]
    words = [word for word in _words(text) if not _overlaps(word, dates)]
    dates += _dates(words, text)
    words = [word for word in words if not _overlaps(word, dates)]
    groups = _groups(words, text)
    singles = [_of_word(word) for word in words if not _overlaps(word, groups) and _is_checked(word.text)]
    found = [*dates, *groups, *singles]
    names = [name for name in _names(text) if not _overlaps(name, found)]
    return sorted([*found, *names], key=lambda value: value.start)


def digits_of(text: str) -> str | None:
    """The bare number of a measure, an ordinal or an amount: 12 of "12th", 5.5 of "$5.5"; None for anything else."""
    match = _MEASURE.fullmatch(text) or _NUMBER.fullmatch(text)
    return None if match is None else (match.groupdict().get("core") or match[0]).strip("+-$€£¥%")


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: " " * len(match[0]), text)


def _words(text: str) -> Iterator[Value]:
    for match in _WORD.finditer(text):
        for start, stop in _parts(text, *match.span()):
            while start < stop and text[start] in _EDGES:
                start += 1
            while start < stop and text[stop - 1] in _EDGES:
                stop -= 1
            if start < stop:
                yield Value("identifier", text[start:stop], start, stop)


def _parts(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """A word of JSON, or two that a dash joins, are several."""
    for match in _PART.finditer(text, start, stop):
        yield match.span()


def _overlaps(value: Value, others: list[Value]) -> bool:
    return any(value.start < other.stop and other.start < value.stop for other in others)


def _is_checked(word: str) -> bool:
    if any(character.isdigit() for character in word):
        return True
    is_code = word.isupper() and "-" in word[1:-1] and len(word) >= MIN_REPAIRED_CHARS
    return is_code or "@" in word[1:-1] or "://" in word or "_" in word[1:-1]


def _of_word(word: Value) -> Value:
    if _DIGITAL_DATE.fullmatch(word.text):
        return Value("date", word.text, word.start, word.stop)
    is_number = _NUMBER.fullmatch(word.text) or _MEASURE.fullmatch(word.text)
    return Value("number", word.text, word.start, word.stop) if is_number else word


def _dates(words: list[Value], text: str) -> list[Value]:
    """ "January 4, 2019", "4 Jan. 2019", "January 2019": also with one wrong character in any of the three."""
    dates: list[Value] = []
    words = [word for word in words if word.text not in ("of", "day")]
    for at, word in enumerate(words):
        if not _is_month(word.text) or (dates and word.start < dates[-1].stop):
            continue
        after, before = words[at + 1 : at + 3], words[at - 1 : at] if at else []
        if len(after) == 2 and _is_day(after[0].text) and _is_year(after[1].text):
            members = [word, *after]
        elif before and after and _is_day(before[0].text) and _is_year(after[0].text):
            members = [*before, word, after[0]]
        elif after and (_is_year(after[0].text) or _is_day(after[0].text)):
            members = [word, after[0]]
        elif before and _is_day(before[0].text):
            members = [*before, word]
        else:
            continue
        if all(_BETWEEN.fullmatch(text, a.stop, b.start) for a, b in pairwise(members)):
            dates.append(_joined("date", members, text))
    return dates


def _is_month(word: str) -> bool:
    folded = word.casefold()
    if folded in _SHORT_MONTHS or folded in MONTHS:
        return word[:1].isupper() or (folded != "may" and folded != "march")
    return len(folded) > 3 and any(Levenshtein.distance(folded, month, score_cutoff=1) <= 1 for month in MONTHS)


def _is_day(word: str) -> bool:
    return len(word) <= 4 and _DAY.fullmatch(word) is not None


def _is_year(word: str) -> bool:
    return 3 <= len(word) <= 5 and sum(character.isdigit() for character in word) >= max(2, len(word) - 1)


def _groups(words: list[Value], text: str) -> list[Value]:
    """Runs of three or more short groups, such as an IBAN's; at least half of their characters are digits."""
    groups: list[Value] = []
    run: list[Value] = []
    for word in [*words, None]:
        if word and run and _GROUP.fullmatch(word.text) and text[run[-1].stop : word.start] in (" ", "\u00a0"):
            run.append(word)
            continue
        joined = "".join(member.text for member in run)
        if len(run) >= 3 and sum(character.isdigit() for character in joined) * 2 >= len(joined):
            groups.append(_joined("identifier", run, text))
        run = [word] if word and _GROUP.fullmatch(word.text) and _is_checked(word.text) else []
    return groups


def _joined(kind: ValueKind, members: list[Value], text: str) -> Value:
    start, stop = members[0].start, members[-1].stop
    return Value(kind, text[start:stop], start, stop)


def _names(text: str) -> Iterator[Value]:
    """Two capitalised words or more; one alone only within a sentence, where it is no mere beginning."""
    for match in _NAME.finditer(text):
        begins = text[: match.start()].rstrip(" \t")[-1:] in ("", *'.!?:\n"*')
        if " " in match[0] or not begins:
            yield Value("name", match[0], *match.span())
