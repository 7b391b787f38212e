"""What stands behind a key: values in many formats, some of them held out from training.

With few formats a small model learns the formats and invents what fits them; with many it has to read. A format
belongs to one split by the table it stands in, so held-out pages hold shapes that were never trained on.
"""

from __future__ import annotations

import uuid

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material
from glyph_core.training.text_sources import Split
from glyph_core.training.value_makers import (
    CODE,
    MAX_VALUE_CHARS,
    STREETS,
    UNITS,
    Format,
    address,
    amount,
    company,
    date,
    email,
    grouped,
    long_text,
    mixed,
    money,
    patterns,
    quote,
    words,
)  # fmt: skip

TRAINED: dict[str, tuple[Format, ...]] = {
    "number": (
        lambda m: m.digits(2, 8),
        lambda m: m.digits(2, 6),
        lambda m: f"{amount(m):,}",
        lambda m: f"{m.digits(1, 3)}.{m.digits(1, 3)}",
    ),
    "code": (
        patterns("@@-###", "@@-#####", "###-@@-##", "@####", "#@#@#"),
        lambda m: m.draw(CODE + DIGITS, 4, 9),
        lambda m: m.draw(LOWER + DIGITS, 4, 8),
        grouped,
        lambda m: m.draw(LOWER, 3, 8),
    ),
    "identifier": (
        lambda m: str(uuid.UUID(int=m.random.getrandbits(128))),
        lambda m: m.draw("0123456789abcdef", 16, 32),
        lambda m: m.digits(16, 22),
        lambda m: m.draw(CODE + DIGITS, 16, 26),
        patterns(
            "@@## #### #### #### #### ##", "@@## @@@@ #### #### ##", "####-####-####-####", "@@@@-#####-@@##-#####"
        ),
        lambda m: "-".join(m.draw(CODE + DIGITS, 4) for _ in range(m.number(4, 6))),
        lambda m: m.draw(LOWER + UPPER + DIGITS, 16, 30),
        lambda m: ":".join(m.draw("0123456789ABCDEF", 2) for _ in range(m.number(6, 10))),
    ),
    "date": (
        date("{name} {d}, {y}"),
        date("{y}-{mm}-{dd}"),
        date("{d} {name} {y}"),
        date("{dd}/{mm}/{y}"),
        date("{dd}.{mm}.{y}"),
        date("{short} {d}, {y}"),
        date("{weekday}, {d} {name} {y}"),
        date("{name} {y}"),
        date("{y}"),
    ),
    "time": (
        lambda m: f"{m.number(1, 12)}:{m.number(0, 59):02d} {m.pick(('am', 'pm'))}",
        lambda m: f"{m.number(0, 23):02d}:{m.number(0, 59):02d}",
        lambda m: f"{m.number(1, 12)} {m.pick(('AM', 'PM'))}",
    ),
    "money": (
        money("${c}"),
        money("${c}.{cents}"),
        money("EUR {c}"),
        money("{c} USD"),
        money("€{p},{cents}"),
        money("£{c}"),
        money("${c} per month"),
        money("GBP {c}.{cents}"),
        lambda m: f"${m.number(1, 99)}.{m.digits(1)} million",
    ),
    "person": (Material.person,),
    "organisation": (company,),
    "place": (
        Material.name,
        lambda m: f"{m.name()}, {m.name()}",
        lambda m: f"{m.pick(('North', 'New', 'Port', 'East', 'Saint'))} {m.name()}",
    ),
    "jurisdiction": (
        lambda m: f"State of {m.name()}",
        Material.name,
        lambda m: f"the laws of {m.name()}",
        lambda m: f"{m.name()} law",
    ),
    "address": (address,),
    "phone": (patterns("###-####", "(###) ###-####", "+## ### ######", "###-###-####"),),
    "email": (email,),
    "percent": (
        lambda m: f"{m.number(0, 40)}%",
        lambda m: f"{m.number(0, 40)}.{m.digits(1, 2)}%",
        lambda m: f"{m.number(0, 30)}.{m.digits(1)}% {m.pick(('per month', 'per annum', 'APR', 'of total'))}",
    ),
    "duration": (
        lambda m: f"{m.number(1, 120)} {m.pick(('days', 'months', 'years', 'weeks', 'business days', 'hours'))}",
        lambda m: f"Net {m.number(5, 120)} days",
        lambda m: f"within {m.number(2, 90)} days",
    ),
    "quantity": (
        lambda m: f"{m.number(1, 999)} {m.pick(UNITS)}",
        lambda m: f"{m.number(0, 99)}.{m.digits(1)} {m.pick(UNITS)}",
        lambda m: str(m.number(2, 999)),
    ),
    "word": (Material.word, lambda m: m.word().capitalize(), lambda m: m.word().upper()),
    "words": (words, words, quote),
    "mixed": (mixed,),
    "long": (long_text,),
}

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

COMMON = tuple(
    kind
    for kind, weight in {
        "number": 8, "code": 10, "identifier": 9, "date": 7, "time": 2, "money": 8, "person": 7, "organisation": 4,
        "place": 5, "address": 3, "phone": 3, "email": 2, "percent": 2, "duration": 3, "quantity": 4, "word": 6,
        "words": 10, "mixed": 10, "long": 4,
    }.items()
    for _ in range(weight)
)  # fmt: skip
"""Kinds of value for a key that says nothing of its value, as often as each should come."""


def formats_of(kind: str, split: Split) -> tuple[Format, ...]:
    return (TRAINED if split is Split.TRAIN else HELD_OUT)[kind]


def make_value(material: Material, kind: str) -> str:
    """A value of ``kind`` in a format of the material's split."""
    return material.pick(formats_of(kind, material.split))(material)
