"""The formats that values of each kind take in training; those of held-out pages are in values.py.

A drawn value that looks like one of a held-out format is drawn again (see :mod:`~glyph_core.training.shapes`).
"""

from __future__ import annotations

import uuid

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material, listed
from glyph_core.training.value_makers import (
    CODE,
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

HEX = "0123456789ABCDEF"
_CODES = patterns(
    "@@-###", "@@-#####", "###-@@-##", "@####", "#@#@#", "@@@-#", "@-##", "@@/####", "@/##-#", "##@###", "@@ ### @", "#-###-#####-#",
    "@@@@-##", "@.##.@", "@#-@#", "@@##/##@", "##_@@_##", "@@ ####", "### @@@", "@@@ ## ##", "@-@-###", "#.#.#", "#.##.#-@$#", "v#.#.##",
    "$$-###", "$$_####", "$-##-$", "##$##", "$#$#$#", "@@@#@@@", "@$$$-##", "@$-####", "###@", "####@@", "@##.#", "(@@) ###", "#/@##",
    "@@*###", "@+####", "#:##:@", "@@·###", "[@##]", "@@#-#@@-##@", "@@@@##", "@##-###-@", "##.@@.####", "@@:####", "$$$/@##", "@@-##.#",
)  # fmt: skip
_DATES = tuple(map(date, (
    "{name} {d}, {y}", "{y}-{mm}-{dd}", "{d} {name} {y}", "{dd}/{mm}/{y}", "{dd}.{mm}.{y}", "{short} {d}, {y}",
    "{weekday}, {d} {name} {y}", "{name} {y}", "{y}", "{d}. {name} {y}", "{d}.{m}.{yy}", "{m}/{d}/{y}", "{d}-{short}-{y}",
    "{dd}-{mm}-{y}", "{y}.{mm}.{dd}", "{weekday}, {name} {d}", "{d} {name}", "{name} {d}", "{name} {d}th, {y}", "{short}. {d}, {y}",
    "{d}. {short}. {y}", "{y} {name} {d}", "{short} {d} '{yy}", "{d}/{m}", "{dd}.{mm}.", "{weekday}, {dd}.{mm}.{y}", "Q{m} {y}",
    "early {name} {y}", "end of {name} {y}", "mid-{y}", "{mm}/{y}", "{y}/{yy}", "{weekday} {d}/{m}/{yy}", "on or before {name} {d}, {y}",
    "{dd} {name}, {y}", "week {m} of {y}", "{y}-{mm}", "{name}, {y}", "{d} {name} {y} ({weekday})", "{y}{mm}{dd}",
)))  # fmt: skip
_MONEY = tuple(map(money, (
    "${c}", "${c}.{cents}", "EUR {c}", "{c} USD", "€{p},{cents}", "£{c}", "${c} per month", "GBP {c}.{cents}", "€ {p}", "{p},{cents} €",
    "{c} euros", "US${c}", "${c}.-", "{a} Fr.", "{c} dollars", "{n} kr", "¥{c}", "{n},- EUR", "${c} + VAT", "{c}.{cents} GBP", "A${n}",
    "£{n}.{cents}/hour", "${n} a day", "EUR {n},-", "{c} (net)", "USD {c}", "approx. ${c}", "max. {c} EUR", "${c} each", "€{n}/m²",
    "{n}.{cents}", "{n} {cents}/100", "${c} (incl. tax)", "€{c}.{cents} net", "{c} pounds", "-${c}.{cents}", "$ {c}.{cents}",
)))  # fmt: skip
_DURATION_UNITS = ("days", "months", "years", "weeks", "business days", "hours", "minutes", "working days", "quarters")
_TITLES = listed("Director President Captain Judge Sir Lady Col. Rev. Hon. Mrs. Prof.Dr. Dipl.-Ing. Sgt.")
_COMPANY_FORMS = (
    "AG",
    "S.A.",
    "plc",
    "KG",
    "B.V.",
    "Corp.",
    "Bros.",
    "Pty Ltd",
    "e.V.",
    "LLP",
    "N.V.",
    "SE",
    "Oy",
    "S.p.A.",
    "Inc",
)
_COMPANY_TAILS = (
    "Bank",
    "Media",
    "Foods",
    "Institute",
    "University",
    "Foundation",
    "Trust",
    "Clinic",
    "School",
    "Studio",
    "Airlines",
)
_PLACE_HEADS = ("North", "New", "Port", "East", "Saint", "Upper", "Lower", "Old", "Fort", "Mount", "Lake", "San", "Bad")
_FRACTIONS = ("1/2", "1/4", "3/4", "2/3", "½", "¼")


def _unit(m: Material) -> str:
    return m.pick(UNITS)


TRAINED: dict[str, tuple[Format, ...]] = {
    "number": (
        lambda m: m.digits(2, 8), lambda m: m.digits(2, 6), lambda m: f"{amount(m):,}",
        lambda m: f"{m.digits(1, 3)}.{m.digits(1, 3)}", lambda m: f"{amount(m):,}".replace(",", "."),
        lambda m: f"{m.digits(1, 4)},{m.digits(1)}", lambda m: f"-{m.digits(1, 4)}", lambda m: f"#{m.digits(1, 5)}",
        lambda m: f"{m.digits(1, 3)}/{m.digits(1, 4)}", lambda m: f"{m.digits(1, 3)} of {m.digits(2, 3)}",
        lambda m: f"{m.digits(1, 3)} {m.digits(3)}", lambda m: f"{m.digits(1, 2)}.{m.digits(4, 6)}", lambda m: f"Nr {m.digits(1, 5)}",
        lambda m: f"{m.digits(1, 4)}.", lambda m: f"0{m.digits(3, 6)}", lambda m: f"{m.number(1, 99)}-{m.number(1, 999)}",
        lambda m: f"no. {m.digits(1, 4)}", lambda m: f"±{m.digits(1, 2)}.{m.digits(1)}", lambda m: f"{m.digits(1)}.{m.digits(1, 2)}e{m.digits(1)}",
    ),
    "code": (
        _CODES, _CODES, lambda m: m.draw(CODE + DIGITS, 4, 9), lambda m: m.draw(LOWER + DIGITS, 4, 8), grouped, grouped,
        lambda m: m.draw(LOWER, 3, 8), lambda m: m.draw(LOWER + UPPER, 4, 9), lambda m: m.draw(LOWER + UPPER + DIGITS + "!#$%&*+-=?@_", 6, 14),
        lambda m: f"{m.word()}-{m.digits(1, 3)}", lambda m: f"{m.word().upper()}{m.digits(2, 4)}", lambda m: f"{m.word()}/{m.word()}",
    ),
    "identifier": (
        lambda m: str(uuid.UUID(int=m.random.getrandbits(128))), lambda m: m.draw(HEX.lower(), 16, 32), lambda m: m.digits(16, 22),
        lambda m: m.draw(CODE + DIGITS, 16, 26),
        patterns("@@## #### #### #### #### ##", "@@## @@@@ #### #### ##", "####-####-####-####", "@@@@-#####-@@##-#####",
                 "####.####.####.####", "@@##-####-####-####-####", "########-@@-########", "@@@ ### ### ### ### @", "##.###.###/####-##",
                 "@#@#-@#@#-@#@#-@#@#", "@@######################", "$$$$-####-$$$$-####", "@@_########_@@##_##", "(##)###########(##)######"),
        lambda m: "-".join(m.draw(CODE + DIGITS, 4) for _ in range(m.number(4, 6))),
        lambda m: m.draw(LOWER + UPPER + DIGITS, 16, 30),
        lambda m: ":".join(m.draw(HEX, 2) for _ in range(m.number(6, 10))),
        lambda m: str(uuid.UUID(int=m.random.getrandbits(128))).upper(),
        lambda m: "-".join(m.draw(CODE + DIGITS, 5) for _ in range(m.number(3, 5))),
        lambda m: f"{m.word()}-{m.draw(HEX.lower(), 12, 24)}", lambda m: f"0x{m.draw(HEX.lower(), 14, 32)}",
        lambda m: f"{m.draw(UPPER, 2, 4)}-{m.draw(DIGITS, 12, 20)}", lambda m: m.draw(LOWER, 16, 26),
        lambda m: m.draw(LOWER + UPPER + DIGITS + "-_", 18, 34), lambda m: ".".join(m.draw(LOWER + DIGITS, 4, 8) for _ in range(4)),
        lambda m: " ".join(m.digits(4) for _ in range(m.number(4, 6))), lambda m: f"{m.word()}_{m.word()}_{m.draw(LOWER + DIGITS, 8, 16)}",
        lambda m: f"sha1:{m.draw(HEX.lower(), 16, 30)}", lambda m: f"{m.draw(LOWER + UPPER + DIGITS, 18, 30)}==",
    ),
    "date": _DATES,
    "time": (
        lambda m: f"{m.number(1, 12)}:{m.number(0, 59):02d} {m.pick(('am', 'pm', 'AM', 'p.m.', 'a.m.'))}",
        lambda m: f"{m.number(0, 23):02d}:{m.number(0, 59):02d}", lambda m: f"{m.number(1, 12)} {m.pick(('AM', 'PM', 'a.m.', 'p.m.'))}",
        lambda m: f"{m.number(0, 23)}.{m.number(0, 59):02d}", lambda m: f"{m.number(1, 12)}{m.pick(('am', 'pm'))}",
        lambda m: f"{m.number(0, 23):02d}:{m.number(0, 59):02d}:{m.number(0, 59):02d}", lambda m: f"{m.number(1, 12)} o'clock",
        lambda m: f"{m.number(0, 23)}:{m.number(0, 59):02d} {m.pick(('CET', 'UTC', 'EST', 'h', 'hrs', 'GMT+1'))}",
        lambda m: f"{m.number(8, 12)}-{m.number(13, 20)} h", lambda m: f"half past {m.number(1, 12)}",
        lambda m: f"{m.number(6, 11)}:{m.number(0, 59):02d}-{m.number(12, 18)}:{m.number(0, 59):02d}",
    ),
    "money": (*_MONEY, lambda m: f"${m.number(1, 99)}.{m.digits(1)} million", lambda m: f"{m.number(1, 99)},{m.digits(1)} Mio. EUR",
              lambda m: f"${m.number(1, 99)}k", lambda m: f"€{m.number(1, 9)}.{m.digits(2)}bn"),
    "person": (
        Material.person, Material.person, Material.person, Material.person, lambda m: f"{m.name()} {m.pick(UPPER)}.",
        lambda m: f"{m.pick(UPPER)}. {m.name()}", lambda m: f"{m.pick(UPPER)}.{m.pick(UPPER)}. {m.name()}", lambda m: f"{m.name()} {m.name()} {m.name()}",
        lambda m: f"{m.pick(_TITLES)} {m.name()} {m.name()}", lambda m: f"{m.name()} {m.pick(('van', 'de', 'von', 'al', 'di', 'la', 'bin'))} {m.name()}",
        lambda m: f"{m.name()} {m.name()} {m.pick(('Jr.', 'Sr.', 'III', 'PhD', 'MD', 'Esq.'))}", lambda m: f"{m.name()}-{m.name()} {m.name()}",
        lambda m: f"{m.name().upper()}, {m.name()}", lambda m: f"{m.name()} {m.pick(('O', 'D'))}'{m.name()}", lambda m: f"Ms {m.name()}",
        lambda m: f"{m.name()} {m.name()} ({m.word()})", lambda m: f"{m.name()} and {m.name()} {m.name()}",
    ),
    "organisation": (
        company, company, company, lambda m: f"{m.name()} {m.pick(_COMPANY_FORMS)}", lambda m: f"{m.word().capitalize()} {m.pick(_COMPANY_FORMS)}",
        lambda m: f"{m.name()} {m.word().capitalize()} {m.pick(_COMPANY_FORMS)}", lambda m: f"{m.pick(_COMPANY_TAILS)} of {m.name()}",
        lambda m: f"{m.name()} {m.pick(_COMPANY_TAILS)}", lambda m: f"{m.name()}, {m.name()} & Partners", lambda m: f"{m.draw(UPPER, 2, 4)} {m.pick(_COMPANY_FORMS)}",
        lambda m: f"The {m.word().capitalize()} {m.pick(('Company', 'Group', 'Agency', 'Factory'))}", lambda m: f"{m.name()} Bros. {m.word().capitalize()}",
        lambda m: f"{m.word().capitalize()}-{m.name()} {m.pick(('AG', 'Ltd.', 'Inc.'))}", lambda m: f"{m.name()}+{m.name()}",
    ),
    "place": (
        Material.name, lambda m: f"{m.name()}, {m.name()}", lambda m: f"{m.pick(_PLACE_HEADS)} {m.name()}", lambda m: f"St. {m.name()}",
        lambda m: f"{m.name()}, {m.draw(UPPER, 2)}", lambda m: f"{m.name()}-on-{m.name()}", lambda m: f"{m.digits(4, 5)} {m.name()}", lambda m: f"{m.name()} {m.number(1, 22)}",
        lambda m: f"{m.name()}/{m.name()}", lambda m: f"{m.pick(('Room', 'Hall', 'Gate', 'Floor', 'Building'))} {m.digits(1, 3)}", lambda m: f"{m.name()} am {m.name()}",
        lambda m: f"near {m.name()}", lambda m: f"{m.name()} {m.pick(('City', 'Island', 'Valley', 'Beach', 'Airport', 'Station'))}",
    ),
    "jurisdiction": (
        lambda m: f"State of {m.name()}", Material.name, lambda m: f"the laws of {m.name()}", lambda m: f"{m.name()} law",
        lambda m: f"the State of {m.name()}, {m.name()}", lambda m: f"the courts of {m.name()}", lambda m: f"Kingdom of {m.name()}",
        lambda m: f"the law of {m.name()} and {m.name()}", lambda m: f"Canton of {m.name()}", lambda m: f"the Civil Code of {m.name()}",
        lambda m: f"{m.name()} ({m.pick(('federal', 'state', 'civil'))} law)", lambda m: f"Law No. {m.digits(1, 4)} of {m.name()}",
    ),
    "address": (
        address, address, lambda m: f"{m.name()}str. {m.number(1, 200)}, {m.digits(5)} {m.name()}", lambda m: f"P.O. Box {m.digits(2, 5)}, {m.name()}",
        lambda m: f"{m.number(1, 99)}{m.pick('abcd')} {m.name()} {m.pick(STREETS)}", lambda m: f"{m.number(1, 999)} {m.name()} St., Apt. {m.number(1, 99)}",
        lambda m: f"{m.number(1, 999)} {m.pick('NSEW')}. {m.name()} Ave., {m.name()}, {m.draw(UPPER, 2)} {m.digits(5)}",
        lambda m: f"{m.name()}weg {m.number(1, 99)}-{m.number(100, 120)}, {m.name()}", lambda m: f"Unit {m.digits(1, 2)}, {m.number(1, 99)} {m.name()} {m.pick(STREETS)}",
        lambda m: f"{m.name()} House, {m.number(1, 50)} {m.word().capitalize()} {m.pick(STREETS)}, {m.name()}", lambda m: f"{m.number(1, 99)}, rue {m.name()}, {m.digits(5)} {m.name()}",
    ),
    "phone": (
        patterns("###-####", "(###) ###-####", "+## ### ######", "###-###-####", "0## ### ## ##", "+##-##-#######", "0#### / ######", "## ## ## ##",
                 "(0##) ########", "+## (0)## ### ####", "###/#######", "1-###-###-####", "#### ######", "+###########", "## ### ###", "####-###-###",
                 "### ### ### ext. ##", "+##.##.######", "0800 ######", "###.####"),
    ),
    "email": (
        email, email, lambda m: f"{m.word()}@{m.word()}.{m.word()}.org", lambda m: f"{m.pick(LOWER)}.{m.word()}@{m.word()}.{m.pick(('de', 'fr', 'io', 'co.uk', 'edu'))}",
        lambda m: f"{m.word()}+{m.word()}@{m.word()}.com", lambda m: f"{m.word()}_{m.digits(1, 4)}@{m.draw(LOWER + DIGITS, 4, 9)}.net",
        lambda m: f"www.{m.word()}-{m.word()}.com", lambda m: f"https://{m.word()}.{m.pick(('com', 'org', 'io'))}/{m.word()}", lambda m: f"{m.word()}.{m.word()}.dev/{m.draw(LOWER + DIGITS, 3, 6)}",
    ),
    "percent": (
        lambda m: f"{m.number(0, 40)}%", lambda m: f"{m.number(0, 40)}.{m.digits(1, 2)}%",
        lambda m: f"{m.number(0, 30)}.{m.digits(1)}% {m.pick(('per month', 'per annum', 'APR', 'of total', 'p.a.', 'a year'))}",
        lambda m: f"{m.number(0, 99)} %", lambda m: f"{m.number(0, 30)},{m.digits(1, 2)} %", lambda m: f"{m.number(1, 30)} per cent", lambda m: f"+{m.number(1, 99)}%",
        lambda m: f"-{m.number(0, 9)}.{m.digits(1)}%", lambda m: f"{m.number(1, 9)}-{m.number(10, 30)}%", lambda m: f"{m.pick(_FRACTIONS)}%", lambda m: f"{m.number(1, 20)}% p.a.",
        lambda m: f"max. {m.number(1, 90)}%", lambda m: f"{m.number(1, 99)} pct.", lambda m: f"{m.number(1, 60)}% of the {m.word()}",
    ),
    "duration": (
        lambda m: f"{m.number(1, 120)} {m.pick(_DURATION_UNITS)}", lambda m: f"Net {m.number(5, 120)} days", lambda m: f"within {m.number(2, 90)} days",
        lambda m: f"{m.number(1, 12)}-{m.number(13, 30)} {m.pick(_DURATION_UNITS)}", lambda m: f"{m.number(1, 20)} yrs.", lambda m: f"{m.number(1, 50)} hrs {m.number(1, 59)} min",
        lambda m: f"at least {m.number(2, 30)} {m.pick(_DURATION_UNITS)}", lambda m: f"{m.number(1, 90)} days after {m.word()}", lambda m: f"{m.number(1, 9)} and a half {m.pick(('years', 'months'))}",
        lambda m: f"{m.number(1, 9)}h {m.number(1, 59)}m", lambda m: f"{m.number(1, 24)} months, renewable", lambda m: f"max. {m.number(1, 24)} mos.",
        lambda m: f"up to {m.number(2, 30)} {m.pick(_DURATION_UNITS)}", lambda m: f"{m.number(1, 9)}.{m.digits(1)} {m.pick(_DURATION_UNITS)}", lambda m: f"{m.number(2, 90)} d",
        lambda m: f"{m.number(2, 90)} days net", lambda m: f"{m.pick(('two', 'three', 'four', 'five', 'six', 'ten', 'twelve', 'thirty'))} ({m.number(2, 30)}) {m.pick(_DURATION_UNITS)}",
    ),
    "quantity": (
        lambda m: f"{m.number(1, 999)} {_unit(m)}", lambda m: f"{m.number(0, 99)}.{m.digits(1)} {_unit(m)}", lambda m: str(m.number(2, 999)),
        lambda m: f"{m.number(1, 999)}{m.pick(('kg', 'g', 'km', 'cm', 'V', 'W', 'MB', 'x', 'pcs'))}", lambda m: f"{m.number(1, 99)} x {m.number(1, 99)} {m.pick(('cm', 'mm', 'm', 'px'))}",
        lambda m: f"about {m.number(2, 999)} {_unit(m)}", lambda m: f"{m.number(1, 99)} {m.pick(('pcs.', 'ft.', 'lbs.', 'in.', 'oz.', 'doz.', 'sq. ft.', 'sq. m'))}", lambda m: f"{m.number(1, 9)}-{m.number(10, 99)} {_unit(m)}",
        lambda m: f"max. {m.number(2, 999)}", lambda m: f"min. {m.number(1, 99)}.{m.digits(1)} {_unit(m)}", lambda m: f"< {m.number(2, 99)} {_unit(m)}", lambda m: f"{m.number(1, 99)} {m.pick(_FRACTIONS)} {_unit(m)}",
        lambda m: f"{m.number(1, 99)}°{m.pick('CF')}", lambda m: f"{m.number(1, 99)},{m.digits(1)} {_unit(m)}", lambda m: f"{m.number(1, 99)} {_unit(m)} ({m.number(1, 99)} {_unit(m)})",
        lambda m: f"{m.number(2, 40)} {_unit(m)} per {m.word()}", lambda m: f"{m.number(1, 99)} / {m.number(1, 99)} {_unit(m)}", lambda m: f"{amount(m):,} {_unit(m)}",
    ),
    "word": (Material.word, lambda m: m.word().capitalize(), lambda m: m.word().upper(), lambda m: f"{m.word()}-{m.word()}", lambda m: f"{m.word().capitalize()}."),
    "words": (
        words, words, quote, quote, lambda m: f"{m.word().capitalize()}, {m.word()}", lambda m: f"{m.word()}/{m.word()}", lambda m: f"{m.words(1, 3)} ({m.words(1, 2)})",
        lambda m: f"{m.word().capitalize()} or {m.word()}", lambda m: f"no {m.word()}", lambda m: f'"{m.words(1, 3)}"', lambda m: f"{m.word().capitalize()} & {m.word()}", lambda m: f"{m.words(2, 4)}.",
        lambda m: f"{m.word()}, {m.word()} and {m.word()}", lambda m: f"{m.word().upper()} {m.word().upper()}",
    ),
    "mixed": (mixed, mixed, mixed, lambda m: f"{m.name()}/{m.digits(2, 3)} {m.word()}", lambda m: f"{m.word()} ({m.digits(1, 3)})", lambda m: f"[{m.word()}] {m.name()}", lambda m: f"{m.word()}={m.digits(1, 4)}",
              lambda m: f"{m.draw(UPPER, 2, 4)}: {m.word()}", lambda m: f"{m.digits(1, 2)}) {m.words(1, 3)}", lambda m: f"§ {m.digits(1, 3)} {m.draw(UPPER, 2, 4)}"),
    "long": (long_text, long_text, lambda m: f"{m.words(6, 9)[:78].rsplit(' ', 1)[0]}.", lambda m: ", ".join(m.words(1, 2) for _ in range(m.number(3, 5)))),
}  # fmt: skip
