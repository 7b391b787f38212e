"""Values that no format describes: words, names, numbers, letters and signs in any order, with any punctuation.

A model that has seen enough of them can't expect a value's next character: it has to read it. Values keep to what a
careful reader could tell the limits of; inside a sentence (``in_sentence``) also those must be clear.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material, listed
from glyph_core.training.text_sources import Split, split_of
from glyph_core.training.value_makers import MAX_VALUE_CHARS, UNITS

Atom = Callable[[Material], str]

_SIGNS = "#&+/*_@%=~^:.,-'!?$<>"
_BEFORE = listed(
    "approx. No. Nr. ca. est. max. min. ref. Fig. Vol. Art. Sec. St. Dr. Mr. Mrs. Prof. Jr. Ext. Tel. Apt. c/o"
)
_AFTER = listed(
    "Co. Inc. Ltd. Corp. Bros. Jr. Sr. a.m. p.m. etc. incl. excl. p.a. pp. ff. in. ft. lb. oz. hrs. sq. dept. B.C. "
    "U.S. Ph.D."
)
_ROMAN = listed("I II III IV V VI VII VIII IX X XI XII XIV XIX XXI XL")
_CURRENCIES = ("$", "€", "£", "¥", "USD ", "EUR ", "Fr. ", "Rs. ")
_BRACKETS = (("(", ")"), ("[", "]"), ('"', '"'), ("'", "'"), ("“", "”"), ("<", ">"), ("{", "}"), ("«", "»"))
_UNCLEAR_END = (",", ";", ":", "|", "-", "–")
_UNCLEAR_START = (".", ",", ";", ":", "|", "=", ")", "!", "?", "…")
_SENTENCE_END = re.compile(r"[.!?:…;][\"'”»)\]}>]* +[\"'“«(\[{<]*[^\W\d_a-zß-ÿ]|[!?…:]$|\.\.")


def altered(m: Material) -> str:
    """A word with a letter or two changed: what a reader who guesses would put right."""
    text = m.word()
    for _ in range(m.pick((1, 1, 2))):
        place = m.number(0, len(text) - 1)
        way, letter = m.number(0, 3), m.pick(LOWER)
        text = text[:place] + ("" if way == 0 and len(text) > 2 else letter) + text[place + (way != 1) :]
    return text if text and split_of(text) is Split.TRAIN else m.word()


def initials(m: Material) -> str:
    return "".join(f"{m.pick(UPPER)}." for _ in range(m.number(1, 3))) + m.pick(("", "", f" {m.name()}"))


def numeral(m: Material) -> str:
    """A number in one of many spellings."""
    way = m.number(0, 15)
    if way < 4:
        return m.digits(1, 6)
    if way < 6:
        return m.digits(1, 4) + m.pick(".,") + m.digits(1, 4)
    if way == 6:
        joint = m.pick((",", ".", "'", " "))
        return m.digits(1, 3) + "".join(joint + m.digits(3) for _ in range(m.number(1, 3)))
    if way == 7:
        return f"{m.digits(1, 2)}{m.pick(('st', 'nd', 'rd', 'th'))}"
    if way == 8:
        return f"{m.digits(1, 3)}{m.pick(('/', '-', '–', ':', 'x', '×', ' x ', ' to ', '..', ' / '))}{m.digits(1, 3)}"
    if way == 9:
        return m.pick("+-±~<>−") + m.digits(1, 4)
    if way == 10:
        return m.digits(1, 4) + m.pick(("%", " %", "+", "°", "°C", "k", "M", "*", "'", '"', "½", ".-", ".00", ",-"))
    if way == 11:
        return m.digits(1, 4) + m.pick(("", " ")) + m.pick(UNITS)
    if way == 12:
        return m.pick(_CURRENCIES) + m.digits(1, 4) + m.pick(("", "", ".00", f".{m.digits(2)}", ",-", "k", " m"))
    if way == 13:
        return m.digits(1, 4) + m.pick(("€", " €", "$", " £", " EUR", " USD", " p.a."))
    if way == 14:
        return m.pick(("#", "§ ", "§", "n°", "nr ", "Q", "v", "V", "p.", "L-")) + m.digits(1, 5)
    return f"{m.number(0, 23)}{m.pick('.:')}{m.number(0, 59):02d}{m.pick(('', '', ' h', ' Uhr', 'am', ' PM', ' CET'))}"


def string(m: Material) -> str:
    """Characters in no order, without a space."""
    alphabet = m.pick(
        (LOWER, UPPER, LOWER + DIGITS, UPPER + DIGITS, LOWER + UPPER, LOWER + UPPER + DIGITS + _SIGNS, DIGITS + ".-/")
    )
    return m.draw(alphabet, 1, m.pick((3, 6, 9, 14)))


def enclosed(m: Material) -> str:
    left, right = m.pick(_BRACKETS)
    return left + m.pick(_ATOMS[:-1])(m) + right


_ATOMS: tuple[Atom, ...] = (
    Material.word, Material.word, Material.word, Material.name, Material.name, altered, altered, altered,
    lambda m: altered(m).capitalize(), lambda m: m.word().capitalize(), lambda m: m.word().upper(),
    numeral, numeral, numeral, numeral, string, string, string, initials,
    lambda m: m.pick(_BEFORE), lambda m: m.pick(_AFTER), lambda m: m.pick(_ROMAN), lambda m: m.pick(UPPER),
    lambda m: m.pick(LOWER),
    lambda m: m.pick(("of", "and", "the", "for", "in", "or", "de", "van", "à", "per", "no", "not")),
    lambda m: m.pick(("&", "+", "-", "–", "/", "@", "*", "->", "=", "<", ">", "#")),
    enclosed,
)  # fmt: skip
_JOINTS = (" ",) * 22 + (
    ", ",
    ", ",
    "-",
    "-",
    "/",
    " / ",
    " & ",
    " - ",
    " – ",
    ".",
    ". ",
    ": ",
    "_",
    "'",
    "+",
    " + ",
    "",
    ":",
)
_COUNTS = (1,) * 5 + (2,) * 6 + (3,) * 5 + (4, 4, 4, 5, 5, 6, 7, 9, 12, 16)
_ENDS = ("",) * 24 + (".", ".", ".", "!", "?", "%", "+", "*", " +", "...", "°", "'", "™", "®", "/", "=")


def random_value(m: Material, *, in_sentence: bool = False) -> str:
    """1 to 80 characters; at most a few draws are unclear and drawn again."""
    for _ in range(12):
        text = _composed(m)
        if is_clear(text, in_sentence=in_sentence):
            return text
    return m.words(1, 3)


def is_clear(text: str, *, in_sentence: bool) -> bool:
    """Whether a careful reader of ``key: value``, or of a sentence that ends with the value, can tell its limits."""
    if not text or text.startswith(_UNCLEAR_START) or text.endswith(_UNCLEAR_END) or "; " in text or " | " in text:
        return False
    return not (in_sentence and _SENTENCE_END.search(text))


def _composed(m: Material) -> str:
    if m.chance(0.05):
        return m.pick(LOWER + UPPER + DIGITS + "+*#?")
    count = m.pick(_COUNTS)
    same = m.pick(_JOINTS) if m.chance(0.3) else None
    atoms = _ATOMS if m.chance(0.7) else tuple(m.pick(_ATOMS) for _ in range(3))
    text = m.pick(atoms)(m)
    for _ in range(count - 1):
        longer = text + (same or m.pick(_JOINTS)) + m.pick(atoms)(m)
        if len(longer) > MAX_VALUE_CHARS - 2:
            break
        text = longer
    if m.chance(0.1):
        text = f"{m.pick(_BEFORE)} {text}"
    if m.chance(0.12):
        text = f"{text} {m.pick(_AFTER)}"
    text += m.pick(_ENDS)
    if m.chance(0.04):
        left, right = m.pick(_BRACKETS)
        text = left + text + right
    text = " ".join(text.split())
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS].rsplit(" ", 1)[0]


def mutated(m: Material, text: str) -> str:
    """``text`` with a character or two changed, doubled, dropped, added or swapped: nearly in its format."""
    for _ in range(m.pick((1, 1, 2, 3))):
        place = m.number(0, len(text) - 1)
        way = m.number(0, 6)
        char = m.pick(DIGITS if text[place].isdigit() else UPPER if text[place].isupper() else LOWER)
        if way == 0:
            text = text[:place] + char + text[place + 1 :]
        elif way == 1:
            text = text[:place] + text[place] + text[place:]
        elif way == 2 and len(text) > 2:
            text = text[:place] + text[place + 1 :]
        elif way == 3:
            text = text[:place] + m.pick(_SIGNS) + text[place:]
        elif way == 4:
            text = text[:place] + m.pick(DIGITS + LOWER + UPPER) + text[place:]
        elif way == 5:
            text = text[:place] + text[place].swapcase() + text[place + 1 :]
        else:
            text = m.pick(
                (f"{m.pick(_BEFORE)} {text}", f"{text} {m.pick(_AFTER)}", f"{text}.", f"{text} {m.word()}", f"({text})")
            )
    return " ".join(text.split())[:MAX_VALUE_CHARS].strip()
