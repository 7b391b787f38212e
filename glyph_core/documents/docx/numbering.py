"""The numbers that Word writes before paragraphs ("§ 3.2", "(b)"): they stand in no text, so they are counted here.

mammoth tells only ordered lists from others, and begins each at 1 that follows another paragraph. ECMA-376 part 1,
section 17.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lxml.etree import QName
from lxml.etree import _Element as Element

from glyph_core.documents import numerals

_FORMATS: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": numerals.letters,
    "upperLetter": lambda number: numerals.letters(number).upper(),
    "lowerRoman": numerals.roman,
    "upperRoman": lambda number: numerals.roman(number).upper(),
    "decimalEnclosedCircle": numerals.circled,
    "none": lambda number: "",
    **dict.fromkeys(
        ("chineseCounting", "chineseCountingThousand", "japaneseCounting", "ideographDigital", "taiwaneseCounting"),
        numerals.chinese,
    ),
}
_PLACE = re.compile(r"%([1-9])")
_MAX_BASES = 20  # styles that are based on one another: more is a circle


@dataclass(frozen=True, slots=True)
class Level:
    """How paragraphs of a level are numbered; ``text`` has %1 … %9 for the numbers of the levels down to it."""

    start: int
    number_format: str
    text: str


@dataclass
class Numbering:
    """Counts through a document: :meth:`label` once for each paragraph, in order."""

    levels: dict[str, dict[int, Level]]  # of each abstract numbering
    abstracts: dict[str, str]  # of each numbering
    restarts: dict[str, dict[int, int]]  # of each numbering: level → number to begin with
    styles: dict[str, tuple[str | None, int | None, str | None]]  # numbering, level, base
    _counters: dict[str, dict[int, int]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def label(self, paragraph: Element) -> tuple[str, int] | None:
        """The number that stands before ``paragraph``, and its level; None where there is none, or a bullet."""
        numbering, level = self._of(paragraph)
        abstract = self.abstracts.get(numbering or "")
        if abstract is None or numbering is None or level not in self.levels[abstract]:
            return None
        counters = self._counters.setdefault(abstract, {})
        if numbering not in self._seen:
            self._seen.add(numbering)
            for restarted, start in self.restarts.get(numbering, {}).items():
                counters[restarted] = start - 1
        levels = self.levels[abstract]
        counters[level] = counters.get(level, levels[level].start - 1) + 1
        for deeper in [other for other in counters if other > level]:
            del counters[deeper]
        if levels[level].number_format == "bullet":
            return None
        text = _PLACE.sub(lambda match: self._written(levels, counters, int(match[1]) - 1), levels[level].text)
        return (text.strip(), level) if text.strip() else None

    def _written(self, levels: dict[int, Level], counters: dict[int, int], level: int) -> str:
        if level not in levels:
            return ""
        return _FORMATS.get(levels[level].number_format, str)(counters.get(level, levels[level].start))

    def _of(self, paragraph: Element) -> tuple[str | None, int]:
        """The numbering and level that the paragraph names, or its style."""
        numbering, level, style = _named(paragraph.find("{*}pPr"))
        for _ in range(_MAX_BASES):
            if style is None or style not in self.styles:
                break
            of_style, level_of_style, base = self.styles[style]
            numbering = of_style if numbering is None else numbering
            level = level_of_style if level is None else level
            style = base
        return numbering, level or 0


def read_numbering(numbering: Element, styles: Element | None) -> Numbering:
    """What the parts numbering.xml and styles.xml say."""
    levels = {
        _value(abstract, "abstractNumId"): {
            int(_value(level, "ilvl") or 0): Level(
                int(_child(level, "start") or 1), _child(level, "numFmt") or "decimal", _child(level, "lvlText") or ""
            )
            for level in abstract.iterfind("{*}lvl")
        }
        for abstract in numbering.iterfind("{*}abstractNum")
    }
    found = Numbering(levels, {}, {}, {})
    for one in numbering.iterfind("{*}num"):
        name, abstract_name = _value(one, "numId"), _child(one, "abstractNumId") or ""
        if abstract_name in levels:
            found.abstracts[name] = abstract_name
        found.restarts[name] = {
            int(_value(override, "ilvl") or 0): int(start)
            for override in one.iterfind("{*}lvlOverride")
            if (start := _child(override, "startOverride")) is not None
        }
    for style in styles.iterfind("{*}style") if styles is not None else ():
        of_style, level, _ = _named(style.find("{*}pPr"))
        found.styles[_value(style, "styleId")] = of_style, level, _child(style, "basedOn")
    return found


def _named(properties: Element | None) -> tuple[str | None, int | None, str | None]:
    """The numbering, level and style that a paragraph's or a style's properties name."""
    if properties is None:
        return None, None, None
    of = properties.find("{*}numPr")
    level = None if of is None else _child(of, "ilvl")
    return None if of is None else _child(of, "numId"), int(level) if level else None, _child(properties, "pStyle")


def _child(element: Element, name: str) -> str | None:
    """The value of the child ``name``."""
    child = element.find(f"{{*}}{name}")
    return None if child is None else _value(child, "val")


def _value(element: Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if QName(key).localname == name), "")
