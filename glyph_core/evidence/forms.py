"""Other ways of writing a number or a date: 1,000 and 1000, 4 January 2019 and 2019-01-04."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glyph_core.evidence.values import MONTHS, Value, digits_of

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ONES = _NUMBERS.split()
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"(?P<whole>\d{1,40})(?P<rest>\.\d+)?")  # a model that repeats itself writes thousands
_WORDED_DATE = (
    re.compile(r"(?P<month>[A-Za-z]+)\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s*(?P<year>\d{4})"),
    re.compile(r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+(?:day\s+)?(?:of\s+)?(?P<month>[A-Za-z]+)\.?,?\s*(?P<year>\d{4})"),
)
_ISO_DATE = re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})")


def forms_of(value: Value) -> list[str]:
    """As it is written, then otherwise; each once."""
    forms = [value.text]
    if value.kind == "number":
        forms += _number_forms(value.text)
    elif value.kind == "date":
        forms += _date_forms(value.text)
    return list(dict.fromkeys(forms))


def _number_forms(text: str) -> Iterator[str]:
    digits = digits_of(text)
    if digits is None:
        return
    yield digits
    bare = digits.replace(",", "") if _GROUPED.fullmatch(digits) else digits
    match = _PLAIN.fullmatch(bare)
    if match is None:
        return
    whole, rest = match["whole"], match["rest"] or ""
    endings = (rest, "", ".0", ".00") if not rest.strip(".0") else (rest, rest.rstrip("0"))
    if not whole.startswith("0"):
        for written in (whole, f"{int(whole):,}", f"{int(whole):,}".replace(",", " ")):
            yield from (written + ending for ending in endings)
        if not rest.strip(".0") and int(whole) < 100:
            yield _in_words(int(whole))


def _in_words(number: int) -> str:
    if number < len(_ONES):
        return _ONES[number]
    tens = _TENS[number // 10 - 2]
    return f"{tens}-{_ONES[number % 10]}" if number % 10 else tens


def _date_forms(text: str) -> Iterator[str]:
    match = next((m for pattern in (*_WORDED_DATE, _ISO_DATE) if (m := pattern.fullmatch(text))), None)
    if match is None:
        return
    month = _month_number(match["month"])
    year, day = int(match["year"]), int(match["day"])
    if not month or not 1 <= day <= 31:
        return
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    names = (MONTHS[month - 1].capitalize(), MONTHS[month - 1][:3].capitalize())
    for name in names:
        for written in (f"{day}", f"{day:02}", f"{day}{suffix}"):
            yield from (f"{name} {written}, {year}", f"{name} {written} {year}", f"{written} {name} {year}")
            yield from (
                f"{written} day of {name}, {year}",
                f"{written} day of {name} {year}",
                f"{written} {name}, {year}",
            )
    yield from (f"{year}-{month:02}-{day:02}", f"{year}/{month:02}/{day:02}", f"{year}年{month}月{day}日")
    yield from (f"{month}/{day}/{year}", f"{month:02}/{day:02}/{year}")
    if 1950 <= year < 2050:
        yield f"{month}/{day}/{year % 100:02}"
    yield from (
        f"{day}/{month}/{year}",
        f"{day:02}/{month:02}/{year}",
        f"{day:02}.{month:02}.{year}",
        f"{day}.{month}.{year}",
    )


def _month_number(text: str) -> int | None:
    if text.isdecimal():
        return int(text) if 1 <= int(text) <= 12 else None
    name = text.casefold()
    if name in MONTHS:
        return MONTHS.index(name) + 1
    return next((number for number, month in enumerate(MONTHS, 1) if name in (month[:3], month[:4])), None)
