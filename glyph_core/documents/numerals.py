"""Numbers as lists write them."""

from __future__ import annotations

_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_CHINESE = "〇一二三四五六七八九"
_MOST = 10**9
_MANY_DIGITS = 20  # more than those of the largest number; Python refuses to read some thousands of them


def whole_number(written: str, largest: int = _MOST) -> int | None:
    """What a page's attribute says, ``largest`` at most; None where it is not made of digits."""
    if not (written.isascii() and written.isdigit()):
        return None
    return min(int(written.lstrip("0")[:_MANY_DIGITS] or "0"), largest)


def letters(number: int) -> str:
    """a, b … z, aa, bb …, as Word and browsers count past z."""
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1) if 0 < number <= 26 * 20 else str(number)


def roman(number: int) -> str:
    """i, ii, iii …; digits where there are no Roman ones."""
    if not 0 < number < 4000:
        return str(number)
    written = ""
    for value, sign in _ROMAN:
        written, number = written + sign * (number // value), number % value
    return written


def chinese(number: int) -> str:
    """一, 二 … 十, 十一 … 九十九; digits beyond."""
    if not 0 < number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    return (_CHINESE[tens] if tens > 1 else "") + ("十" if tens else "") + (_CHINESE[ones] if ones else "")


def circled(number: int) -> str:
    """①, ② … ⑳; digits beyond."""
    return chr(ord("①") + number - 1) if 0 < number <= 20 else str(number)
