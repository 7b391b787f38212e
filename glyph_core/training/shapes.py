"""Which values look like those of a held-out format: training draws another one in their place.

A value's shape keeps its punctuation and says of each run of letters and digits only what it is made of: ``9`` digits,
``a`` small letters, ``A`` capital letters, ``Aa`` a capitalised word, ``x`` any mixture. ``12 Mar 2031`` is ``9 Aa 9``.
Where formats of both sides share a shape, the text itself decides.
"""

from __future__ import annotations

import re

_RUN = re.compile(r"[^\W_]+")

_SHAPES = (
    r"Aa\. 9",  # No. 417
    r"9/A/9", r"A\.9", r"9-A",
    r"A-9-9-A", r"9(/9){3,}",
    r"Aa 9 Aa", r"a x a Aa 9",  # Monday 5 May; the 5th of May 2031
    r"9\.9 a\.a\.",
    r"A 9('9)+",  # CHF 1'500
    r"Aa Aa-Aa",
    r"(Aa|A) (Aa|A) Co\.",
    r"Aa \(Aa\)",
    r"Aa Aa 9, Aa",
    r"\+9 9 9 9", r"9 9 9 9 9",
    r"\w+@a-a\.a",
    r"9 a a 9 a",
    r"a\. 9 \w+",  # approx. 566 pages
    r"(a|x) #9 \((Aa|x)\)", r"(Aa|x): 9\+a", r"a_a\.a",
    r"Aa( a){5,7} 9( a){1,2}",
)  # fmt: skip
_TEXTS = (
    r"\d{1,2},\d\d",
    r"[A-Z]\d[A-Z]-\d\d[A-Z]", r"[a-z]{2}\d\d[a-z]{2}",
    r"[A-Z]{2}\d\d( [A-Z\d]{4}){4}", r"[A-Z\d]{5}( [A-Z\d]{5}){3}",
    r"\d{1,2} [A-Z][a-z]{2} \d{4}", r"[A-Z][a-z]{2} \d{4}", r"\d\d/\d\d/\d\d", r"\d{4}/\d\d/\d\d",
    r"\d\dh\d\d",
    r"CHF .*", r"USD \d+\.\d\d", r"[\d.]+ EUR", r"\$[\d,]+ per year", r"£[\d,]+\.\d\d",
    r"\w+ & (?!Sons$)[A-Z]\w+", r".* Co\.",
    r"Republic of .*", r"Province of .*", r"[A-Z]\w+ (Bay|Hill|Falls)",
    r"\d{3}\.\d{3}\.\d{4}", r".*@.*\.info",
    r"\d+ percent", r"\d\.\d{3}%",
    r"\d+ calendar days", r"\d{4} [A-Za-z]+",
)  # fmt: skip
_RESERVED_SHAPE = re.compile("|".join(_SHAPES))
_RESERVED_TEXT = re.compile("|".join(_TEXTS))


def shape(text: str) -> str:
    """``Acme Co.`` → ``Aa Aa.``"""
    return _RUN.sub(_class_of, text)


def is_reserved(text: str) -> bool:
    """Whether ``text`` looks like a value of a held-out format, and may not be trained on."""
    return bool(_RESERVED_SHAPE.fullmatch(shape(text)) or _RESERVED_TEXT.fullmatch(text))


def _class_of(run: re.Match[str]) -> str:
    text = run.group()
    if text.isdigit():
        return "9"
    if text.islower() and text.isalpha():
        return "a"
    if text.isupper() and text.isalpha():
        return "A"
    if text[0].isupper() and text[1:].islower() and text.isalpha():
        return "Aa"
    return "x"
