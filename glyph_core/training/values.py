"""What stands behind a key: values in many formats, some of them held out from training.

With few formats a small model learns the formats and invents what fits them; with many it has to read, and a good
share of what it trains on has no format at all. A format belongs to one split by the table it stands in, and a value
of the training side that looks like one of the other's is drawn again, so held-out pages hold shapes that were never
trained on.
"""

from __future__ import annotations

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material
from glyph_core.training.random_values import is_clear, mutated, random_value
from glyph_core.training.shapes import is_reserved
from glyph_core.training.text_sources import Split
from glyph_core.training.trained_formats import TRAINED
from glyph_core.training.value_makers import (
    CODE,
    MAX_VALUE_CHARS,
    STREETS,
    UNITS,
    Format,
    date,
    money,
    patterns,
    quote,
)  # fmt: skip

RANDOM = "random"  # the kind without a format; on training pages alone
MUTATED_SHARE, SURPRISING_SHARE = 0.08, 0.08  # of values of a kind: nearly in a format, and in none

HELD_OUT: dict[str, tuple[Format, ...]] = {
    "number": (
        lambda m: m.digits(3, 7),
        lambda m: f"No. {m.digits(2, 5)}",
        lambda m: f"{m.digits(1, 2)},{m.digits(2)}",
    ),
    "code": (patterns("@#@-##@", "##/@@/####", "@@@.###", "$$##$$", "#####-@"), lambda m: m.draw(CODE, 5, 8)),
    "identifier": (
        patterns(
            "~~~~~~~~-~~~~-~~~~-~~~~-~~~~~~~~~~~~",
            "@@## **** **** **** ****",
            "***** ***** ***** *****",
            "@@@-########-####-@@@",
            "~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
        ),
        lambda m: m.draw(UPPER + DIGITS, 17, 24),
        lambda m: "/".join(m.digits(4) for _ in range(m.number(4, 6))),
    ),
    "date": (
        date("{d} {short} {y}"),
        date("{mm}/{dd}/{yy}"),
        date("{y}/{mm}/{dd}"),
        date("{weekday} {d} {name}"),
        date("the {d}th of {name} {y}"),
        date("{short} {y}"),
    ),
    "time": (
        lambda m: f"{m.number(1, 12)}.{m.number(0, 59):02d} {m.pick(('a.m.', 'p.m.'))}",
        lambda m: f"{m.number(0, 23):02d}h{m.number(0, 59):02d}",
    ),
    "money": (
        money("CHF {a}"),
        money("USD {n}.{cents}"),
        money("{p} EUR"),
        money("${c} per year"),
        money("£{c}.{cents}"),
    ),
    "person": (
        lambda m: f"{m.name()}, {m.name()}",
        lambda m: f"{m.name()} {m.name()}",
        lambda m: f"{m.name()} {m.name()}-{m.name()}",
    ),
    "organisation": (lambda m: f"{m.name()} & {m.name()}", lambda m: f"{m.word().capitalize()} {m.name()} Co."),
    "place": (lambda m: f"{m.name()} ({m.name()})", lambda m: f"{m.name()} {m.pick(('Bay', 'Hill', 'Falls'))}"),
    "jurisdiction": (lambda m: f"Republic of {m.name()}", lambda m: f"Province of {m.name()}"),
    "address": (lambda m: f"{m.name()} {m.pick(STREETS)} {m.number(1, 200)}, {m.name()}",),
    "phone": (patterns("###.###.####", "+# ### ### ####", "## ## ## ## ##"),),
    "email": (lambda m: f"{m.name().lower()}{m.digits(1)}@{m.word()}-{m.word()}.info",),
    "percent": (lambda m: f"{m.number(1, 60)} percent", lambda m: f"{m.number(0, 9)}.{m.digits(3)}%"),
    "duration": (
        lambda m: f"{m.number(2, 60)} calendar days",
        lambda m: f"{m.number(2, 11)} years and {m.number(2, 11)} months",
    ),
    "quantity": (
        lambda m: f"approx. {m.number(2, 999)} {m.pick(UNITS)}",
        lambda m: f"{m.number(1000, 9999)} {m.pick(UNITS)}",
    ),
    "word": (lambda m: m.word().capitalize(), Material.word),
    "words": (
        lambda m: f"{m.word()} and {m.word()}",
        lambda m: f"{m.word().capitalize()} {m.word()} {m.word()}",
        quote,
    ),
    "mixed": (
        lambda m: f"{m.word()} #{m.digits(1, 3)} ({m.name()})",
        lambda m: f"{m.name()}: {m.digits(2)}+{m.word()}",
        lambda m: f"{m.word()}_{m.word()}.{m.draw(LOWER, 3)}",
    ),
    "long": (lambda m: f"{m.name()} {m.words(5, 7)} {m.digits(2, 4)} {m.words(1, 2)}"[:MAX_VALUE_CHARS].strip(),),
}

_WEIGHTS = {
    "number": 8, "code": 10, "identifier": 9, "date": 7, "time": 2, "money": 8, "person": 7, "organisation": 4,
    "place": 5, "address": 3, "phone": 3, "email": 2, "percent": 2, "duration": 3, "quantity": 4, "word": 6,
    "words": 10, "mixed": 10, "long": 4,
}  # fmt: skip
_COMMON = tuple(kind for kind, weight in _WEIGHTS.items() for _ in range(weight))
_COMMON_OF = {Split.TRAIN: (*_COMMON, *(RANDOM,) * 45), Split.HELD_OUT: _COMMON}


def common_kind(material: Material) -> str:
    """A kind of value for a key that says nothing of its value, as often as each should come."""
    return material.pick(_COMMON_OF[material.split])


def make_value(material: Material, kind: str, *, in_sentence: bool = False) -> str:
    """A value of ``kind`` in a format of the material's split, or at times in none; ``in_sentence``: its end is clear
    also where a full stop follows."""
    if material.split is Split.HELD_OUT:
        return material.pick(HELD_OUT["mixed" if kind == RANDOM else kind])(material)
    while True:
        value = _trained_value(material, kind, in_sentence)
        if not is_reserved(value):
            return value


def _trained_value(material: Material, kind: str, in_sentence: bool) -> str:
    way = material.random.random()
    if kind == RANDOM or way < SURPRISING_SHARE:
        return random_value(material, in_sentence=in_sentence)
    value = material.pick(TRAINED[kind])(material)
    if way < SURPRISING_SHARE + MUTATED_SHARE:
        other = mutated(material, value)
        return other if is_clear(other, in_sentence=in_sentence) else value
    return value
