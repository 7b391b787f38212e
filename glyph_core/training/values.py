"""What stands behind a key: values in many formats, some of them held out from training.

With few formats a small model learns the formats and invents what fits them; with many it has to read. A format
belongs to one split by the table it stands in, so held-out pages hold shapes that were never trained on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material
from glyph_core.training.text_sources import Split

Format = Callable[[Material], str]

MAX_VALUE_CHARS = 80
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_CODE = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_STREETS = "Road Street Avenue Lane Drive Square Court Way Terrace Close".split()
_COMPANY = ("Ltd", "Inc.", "GmbH", "LLC", "Group", "Partners", "& Sons", "Holdings", "Industries", "Consulting", "Systems")
_UNITS = "kg km m mm GB MB hours days weeks months years units pages liters tons kW mg ml people boxes".split()


def _date(form: str) -> Format:
    def make(m: Material) -> str:
        day, month, year = m.number(1, 28), m.number(1, 12), m.number(1930, 2079)
        name = MONTHS[month - 1]
        return form.format(d=day, dd=f"{day:02d}", m=month, mm=f"{month:02d}", y=year, yy=f"{year % 100:02d}",
                           name=name, short=name[:3], weekday=m.pick(WEEKDAYS))  # fmt: skip

    return make


def _amount(m: Material) -> int:
    return m.number(1, 999) * 10 ** m.number(0, 5)


def _money(form: str) -> Format:
    def make(m: Material) -> str:
        whole, cents = _amount(m), m.pick(("00", "50", m.digits(2), m.digits(2)))
        return form.format(n=whole, c=f"{whole:,}", p=f"{whole:,}".replace(",", "."), a=f"{whole:,}".replace(",", "'"),
                           cents=cents)  # fmt: skip

    return make


def _pattern(form: str) -> Format:
    """``#`` a digit, ``@`` a capital letter, ``$`` a small letter, ``*`` a capital letter or a digit, ``~`` hex."""
    sets = {"#": DIGITS, "@": _CODE, "$": LOWER, "*": _CODE + DIGITS, "~": "0123456789abcdef"}
    return lambda m: "".join(m.pick(sets[char]) if char in sets else char for char in form)


def _patterns(*forms: str) -> Format:
    makers = [_pattern(form) for form in forms]
    return lambda m: m.pick(makers)(m)


def _grouped(m: Material) -> str:
    """A code of groups: ``7KX-0413/ab``."""
    sets = (DIGITS, _CODE, DIGITS, _CODE + DIGITS, LOWER)
    joint = m.pick("---/._ ")
    return joint.join(m.draw(m.pick(sets), 1, 5) for _ in range(m.number(2, 4)))


def _mixed(m: Material) -> str:
    """Anything beside anything: no format to guess from."""
    atoms: tuple[Format, ...] = (
        Material.word, Material.word, lambda m: m.word().capitalize(), Material.name, lambda m: m.digits(1, 4),
        lambda m: f"{m.number(0, 999)}.{m.digits(1, 2)}", lambda m: f"{m.number(1, 100)}%",
        lambda m: m.draw(UPPER, 1, 4), lambda m: m.draw(LOWER + UPPER + DIGITS + "#&+*/_@", 2, 8),
        lambda m: f"({m.word()})",
    )  # fmt: skip
    text = m.pick(atoms)(m)
    for _ in range(m.number(1, 5)):
        longer = text + m.pick((" ", " ", " ", ", ", "-", "/", " & ")) + m.pick(atoms)(m)
        if len(longer) > 40:
            break
        text = longer
    return text


def _quote(m: Material) -> str:
    """Some words of real prose."""
    words = m.paragraph().split(" ")
    start = m.number(0, max(0, len(words) - 8))
    text = " ".join(words[start : start + m.number(1, 6)]).strip(" .,;:!?")
    return text if 2 <= len(text) <= 40 and ". " not in text else m.words(2, 3)


def _long(m: Material) -> str:
    """40 to 80 characters: words, names, numbers and punctuation."""
    text = m.pick((m.word().capitalize(), m.name()))
    target = m.number(36, 74)
    while len(text) < target:
        text += m.pick((" ", " ", " ", " ", ", ", " - ")) + m.pick((m.word(), m.word(), m.word(), m.name(), m.digits(1, 4)))
    return text[:MAX_VALUE_CHARS].rsplit(" ", 1)[0]


def _address(m: Material) -> str:
    street = f"{m.number(1, 999)} {m.pick((m.name(), m.word().capitalize()))} {m.pick(_STREETS)}"
    return street + m.pick(("", f", {m.name()}", f", {m.name()}", f", {m.name()} {m.digits(5)}"))


def _company(m: Material) -> str:
    head = m.pick((m.name(), f"{m.name()} {m.word().capitalize()}", f"{m.word().capitalize()} {m.word().capitalize()}"))
    return f"{head} {m.pick(_COMPANY)}"


def _email(m: Material) -> str:
    return f"{m.word()}{m.pick(('.', '_', ''))}{m.pick((m.word(), m.digits(2)))}@{m.word()}{m.pick(('.com', '.org', '.net', '.eu'))}"


def _words(m: Material) -> str:
    text = m.words(2, 3)
    return m.pick((text, text, text.title(), text.capitalize()))


TRAINED: dict[str, tuple[Format, ...]] = {
    "number": (lambda m: m.digits(2, 8), lambda m: m.digits(2, 6), lambda m: f"{_amount(m):,}", lambda m: f"{m.digits(1, 3)}.{m.digits(1, 3)}"),
    "code": (_patterns("@@-###", "@@-#####", "###-@@-##", "@####", "#@#@#"), lambda m: m.draw(_CODE + DIGITS, 4, 9), lambda m: m.draw(LOWER + DIGITS, 4, 8), _grouped, lambda m: m.draw(LOWER, 3, 8)),
    "identifier": (lambda m: str(uuid.UUID(int=m.random.getrandbits(128))), lambda m: m.draw("0123456789abcdef", 16, 32), lambda m: m.digits(16, 22), lambda m: m.draw(_CODE + DIGITS, 16, 26), _patterns("@@## #### #### #### #### ##", "@@## @@@@ #### #### ##", "####-####-####-####", "@@@@-#####-@@##-#####"), lambda m: "-".join(m.draw(_CODE + DIGITS, 4) for _ in range(m.number(4, 6))), lambda m: m.draw(LOWER + UPPER + DIGITS, 16, 30), lambda m: ":".join(m.draw("0123456789ABCDEF", 2) for _ in range(m.number(6, 10)))),
    "date": (_date("{name} {d}, {y}"), _date("{y}-{mm}-{dd}"), _date("{d} {name} {y}"), _date("{dd}/{mm}/{y}"), _date("{dd}.{mm}.{y}"), _date("{short} {d}, {y}"), _date("{weekday}, {d} {name} {y}"), _date("{name} {y}"), _date("{y}")),
    "time": (lambda m: f"{m.number(1, 12)}:{m.number(0, 59):02d} {m.pick(('am', 'pm'))}", lambda m: f"{m.number(0, 23):02d}:{m.number(0, 59):02d}", lambda m: f"{m.number(1, 12)} {m.pick(('AM', 'PM'))}"),
    "money": (_money("${c}"), _money("${c}.{cents}"), _money("EUR {c}"), _money("{c} USD"), _money("€{p},{cents}"), _money("£{c}"), _money("${c} per month"), _money("GBP {c}.{cents}"), lambda m: f"${m.number(1, 99)}.{m.digits(1)} million"),
    "person": (Material.person,),
    "organisation": (_company,),
    "place": (Material.name, lambda m: f"{m.name()}, {m.name()}", lambda m: f"{m.pick(('North', 'New', 'Port', 'East', 'Saint'))} {m.name()}"),
    "jurisdiction": (lambda m: f"State of {m.name()}", Material.name, lambda m: f"the laws of {m.name()}", lambda m: f"{m.name()} law"),
    "address": (_address,),
    "phone": (_patterns("###-####", "(###) ###-####", "+## ### ######", "###-###-####"),),
    "email": (_email,),
    "percent": (lambda m: f"{m.number(0, 40)}%", lambda m: f"{m.number(0, 40)}.{m.digits(1, 2)}%", lambda m: f"{m.number(0, 30)}.{m.digits(1)}% {m.pick(('per month', 'per annum', 'APR', 'of total'))}"),
    "duration": (lambda m: f"{m.number(1, 120)} {m.pick(('days', 'months', 'years', 'weeks', 'business days', 'hours'))}", lambda m: f"Net {m.number(5, 120)} days", lambda m: f"within {m.number(2, 90)} days"),
    "quantity": (lambda m: f"{m.number(1, 999)} {m.pick(_UNITS)}", lambda m: f"{m.number(0, 99)}.{m.digits(1)} {m.pick(_UNITS)}", lambda m: str(m.number(2, 999))),
    "word": (Material.word, lambda m: m.word().capitalize(), lambda m: m.word().upper()),
    "words": (_words, _words, _quote),
    "mixed": (_mixed,),
    "long": (_long,),
}  # fmt: skip

HELD_OUT: dict[str, tuple[Format, ...]] = {
    "number": (lambda m: m.digits(3, 7), lambda m: f"No. {m.digits(2, 5)}", lambda m: f"{m.digits(1, 2)},{m.digits(2)}"),
    "code": (_patterns("@#@-##@", "##/@@/####", "@@@.###", "$$##$$", "#####-@"), lambda m: m.draw(_CODE, 5, 8)),
    "identifier": (_patterns("~~~~~~~~-~~~~-~~~~-~~~~-~~~~~~~~~~~~", "@@## **** **** **** ****", "***** ***** ***** *****", "@@@-########-####-@@@", "~~~~~~~~~~~~~~~~~~~~~~~~~~~~"), lambda m: m.draw(UPPER + DIGITS, 17, 24), lambda m: "/".join(m.digits(4) for _ in range(m.number(4, 6)))),
    "date": (_date("{d} {short} {y}"), _date("{mm}/{dd}/{yy}"), _date("{y}/{mm}/{dd}"), _date("{weekday} {d} {name}"), _date("the {d}th of {name} {y}"), _date("{short} {y}")),
    "time": (lambda m: f"{m.number(1, 12)}.{m.number(0, 59):02d} {m.pick(('a.m.', 'p.m.'))}", lambda m: f"{m.number(0, 23):02d}h{m.number(0, 59):02d}"),
    "money": (_money("CHF {a}"), _money("USD {n}.{cents}"), _money("{p} EUR"), _money("${c} per year"), _money("£{c}.{cents}")),
    "person": (lambda m: f"{m.name()}, {m.name()}", lambda m: f"{m.name()} {m.name()}", lambda m: f"{m.name()} {m.name()}-{m.name()}"),
    "organisation": (lambda m: f"{m.name()} & {m.name()}", lambda m: f"{m.word().capitalize()} {m.name()} Co."),
    "place": (lambda m: f"{m.name()} ({m.name()})", lambda m: f"{m.name()} {m.pick(('Bay', 'Hill', 'Falls'))}"),
    "jurisdiction": (lambda m: f"Republic of {m.name()}", lambda m: f"Province of {m.name()}"),
    "address": (lambda m: f"{m.name()} {m.pick(_STREETS)} {m.number(1, 200)}, {m.name()}",),
    "phone": (_patterns("###.###.####", "+# ### ### ####", "## ## ## ## ##"),),
    "email": (lambda m: f"{m.name().lower()}{m.digits(1)}@{m.word()}-{m.word()}.info",),
    "percent": (lambda m: f"{m.number(1, 60)} percent", lambda m: f"{m.number(0, 9)}.{m.digits(3)}%"),
    "duration": (lambda m: f"{m.number(2, 60)} calendar days", lambda m: f"{m.number(2, 11)} years and {m.number(2, 11)} months"),
    "quantity": (lambda m: f"approx. {m.number(2, 999)} {m.pick(_UNITS)}", lambda m: f"{m.number(1000, 9999)} {m.pick(_UNITS)}"),
    "word": (lambda m: m.word().capitalize(), Material.word),
    "words": (lambda m: f"{m.word()} and {m.word()}", lambda m: f"{m.word().capitalize()} {m.word()} {m.word()}", _quote),
    "mixed": (lambda m: f"{m.word()} #{m.digits(1, 3)} ({m.name()})", lambda m: f"{m.name()}: {m.digits(2)}+{m.word()}", lambda m: f"{m.word()}_{m.word()}.{m.draw(LOWER, 3)}"),
    "long": (lambda m: f"{m.name()} {m.words(5, 7)} {m.digits(2, 4)} {m.words(1, 2)}"[:MAX_VALUE_CHARS].strip(),),
}  # fmt: skip

COMMON = tuple(
    kind
    for kind, weight in {
        "number": 8, "code": 10, "identifier": 7, "date": 7, "time": 2, "money": 8, "person": 7, "organisation": 4,
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
