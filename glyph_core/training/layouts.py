"""How a key and its value stand on a page: ``Key: value`` in most forms, and all else that people write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glyph_core.training.material import Material

SEPARATORS = (": ",) * 14 + (
    " = ", " = ", " - ", " – ", ":  ", " | ", "\t", ":\t", ":", " : ", "=", ":   ", " -- ", " -> ", " := ", "  ",
    " ... ",
)  # fmt: skip
_BULLETS = ("",) * 18 + ("- ", "* ", "• ")
_ENCLOSED = (
    "[{k}] {v}", "<{k}> {v}", "({k}) {v}", "*{k}:* {v}", "**{k}:** {v}", "{{{k}}} {v}", "| {k} | {v} |", "#{k}: {v}",
    "_{k}_: {v}", "{k} [{v}]", "@{k} {v}", "» {k}: {v}", "{k} >> {v}", "{k}: [{v}]",
)  # fmt: skip

Writer = Callable[[str, str], list[str]]


def laid_out(material: Material, key: str, value: str, columns: int) -> list[str]:
    """Lines that give ``key`` its ``value``; ``columns``: characters that fit a line."""
    way = material.random.random()
    if way < 0.82:
        shown = key.upper() if way < 0.04 else key
        number = f"{material.number(1, 40)}{material.pick(('. ', ') ', ' '))}" if 0.04 <= way < 0.07 else ""
        return [f"{number or material.pick(_BULLETS)}{shown}{material.pick(SEPARATORS)}{value}"]
    if way < 0.88:
        return [_with_leaders(material, key, value, columns)]
    if way < 0.94:
        return _on_next_line(material, key, value)
    enclosed = material.pick(_ENCLOSED)
    is_open = not any(mark in key + value for mark in "[]()<>{}|*_")
    return [enclosed.format(k=key, v=value) if is_open else f"{key}: {value}"]


def one_way(material: Material, keys: Sequence[str], columns: int) -> Writer:
    """A layout to keep for all of ``keys``."""
    way = material.random.random()
    if way < 0.5:
        separator = material.pick(SEPARATORS)
        return lambda key, value: [f"{key}{separator}{value}"]
    width = max(map(len, keys))
    if way < 0.6:
        return lambda key, value: [f"{key}:".ljust(width + 2) + value]
    if way < 0.68:
        gap = material.pick(("  ", " : ", " | ", "   ", " = ", "\t"))
        return lambda key, value: [key.ljust(width) + gap + value]
    if way < 0.74:
        return lambda key, value: [f"{key.rjust(width)}: {value}"]
    if way < 0.88:
        return lambda key, value: [_with_leaders(material, key, value, columns)]
    return lambda key, value: _on_next_line(material, key, value)


def _with_leaders(material: Material, key: str, value: str, columns: int) -> str:
    """``Key ........ value``"""
    room = columns - len(key) - len(value) - 2
    count = room if room >= 3 and material.chance(0.5) else material.number(3, max(3, min(room, 12)))
    mark = material.pick((".", ".", ".", "_", "-", " .", "·"))
    return f"{key} {(mark * count)[:count]} {value}"


def _on_next_line(material: Material, key: str, value: str) -> list[str]:
    """The key over its value, set off so that no value is taken for the next key."""
    if material.chance(0.5):
        return [f"{key}:", material.pick(("  ", "    ", "\t")) + value]
    return [f"{key.upper() if material.chance(0.3) else key}{material.pick(('', ':'))}", value, ""]
