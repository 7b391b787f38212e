"""Text and questions as the full-text index takes them.

SQLite's tokenizer cuts words at spaces and punctuation, which Chinese, Japanese, Korean and Thai don't put between
words. Their characters are set apart here, each a word of its own; a question's are looked for in pairs that stand
side by side, as most of their words have two characters. Everything else is a word as it stands, stemmed as English.
"""

from __future__ import annotations

import re
import unicodedata

MAX_TERMS = 64  # of a question: whoever sends a page as a question gets its beginning looked up
_UNSPACED = (
    "\u0e00-\u0e7f"  # Thai
    "\u3040-\u30ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fbff"  # Han
    "\uac00-\ud7af"  # Hangul
)
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_TERM = re.compile(f"[{_UNSPACED}]+|[^\\W{_UNSPACED}]+(?:[-_./:@'][^\\W{_UNSPACED}]+)*")
_PART = re.compile(r"[^\W_]+")
# What questions are made of and answers are not; a rare one of these would outweigh what is asked for.
_ASKING = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be been by can could did do does each find for from give had has have how i if in "
        "into is it its list me of on or please say shall should show so tell than that the their them there these "
        "they this those to was we were what when where which who whom whose why with would you your",
    )
)
_ASKING_CHINESE = re.compile("什么|甚么|多少|哪些|哪个|哪里|哪儿|怎么|怎样|如何|为何|是否|请问|谁|吗|呢|是|的|了")


def index_words(text: str) -> str:
    """``text`` with its unspaced characters set apart."""
    return _CHARACTER.sub(r" \g<0> ", unicodedata.normalize("NFKC", text))


def terms_of(question: str) -> list[str]:
    """What pages are to hold, the more of it the better, as FTS5 phrases; none where there is nothing to find."""
    terms: dict[str, None] = {}
    for term in _TERM.findall(unicodedata.normalize("NFKC", question)):
        if _CHARACTER.match(term):
            for run in _ASKING_CHINESE.sub(" ", term).split():
                pairs = (run[i : i + 2] for i in range(max(1, len(run) - 1)))
                terms |= dict.fromkeys(" ".join(pair) for pair in pairs)
        elif term.lower() not in _ASKING:
            parts = _PART.findall(term)
            terms |= dict.fromkeys([" ".join(parts), *parts])  # an identifier as a whole weighs most
    terms.pop("", None)
    return [f'"{term}"' for term in list(terms)[:MAX_TERMS]]
