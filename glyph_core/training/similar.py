"""Keys and names that differ from another by little: what a reader must not mix up."""

from __future__ import annotations

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material

_QUALIFIERS = ("Old", "New", "First", "Second", "Main", "Other", "Previous", "Next", "Home", "Office", "Net", "Gross")
_TAILS = ("Number", "Date", "Name", "Code", "Amount", "ID", "Type", "Office", "Rate", "Total", "Limit")


def similar_key(material: Material, key: str) -> str:
    """A key that shares words or letters with ``key``."""
    way = material.number(0, 5)
    words = key.split(" ")
    if way == 0:
        return f"{material.pick(_QUALIFIERS)} {key}"
    if way == 1:
        return f"{key} {material.pick((str(material.number(1, 9)), material.pick(UPPER[:6]), 'II'))}"
    if way == 2:
        return " ".join([*words[:-1], material.pick(_TAILS)]) if len(words) > 1 else f"{key} {material.pick(_TAILS)}"
    if way == 3:
        return (
            " ".join([material.word().capitalize(), *words[1:]])
            if len(words) > 1
            else f"{material.word().capitalize()} {key}"
        )
    if way == 4:
        return f"{key} ({material.word()})"
    return " ".join([*words[:-1], one_letter_off(material, words[-1])])


def one_letter_off(material: Material, text: str) -> str:
    """``text`` with one letter or digit changed, added, dropped or swapped with the next."""
    place = material.number(min(1, len(text) - 1), len(text) - 1)
    char = text[place]
    other = material.pick(DIGITS if char.isdigit() else UPPER if char.isupper() else LOWER)
    way = material.number(0, 3)
    if way == 0 or len(text) < 3:
        return text[:place] + other + text[place + 1 :]
    if way == 1:
        return text[:place] + other + text[place:]
    if way == 2:
        return text[:place] + text[place + 1 :]
    return text[: place - 1] + text[place] + text[place - 1] + text[place + 1 :]


def similar_name(material: Material, name: str) -> str:
    """A person's name that shares a part with ``name`` or is one letter off."""
    words = name.split(" ")
    way = material.number(0, 3)
    if way == 0:
        return " ".join([words[0], *words[1:-1], material.name()]) if len(words) > 1 else f"{name} {material.name()}"
    if way == 1:
        return " ".join([material.name(), *words[1:]]) if len(words) > 1 else f"{material.name()} {name}"
    if way == 2:
        return " ".join([*words[:-1], one_letter_off(material, words[-1])])
    return " ".join([one_letter_off(material, words[0]), *words[1:]])
