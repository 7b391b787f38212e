"""How single values are made: dates, amounts, patterns of characters, names and phrases."""

from __future__ import annotations

from collections.abc import Callable

from glyph_core.training.material import DIGITS, LOWER, UPPER, Material, listed

Format = Callable[[Material], str]

MAX_VALUE_CHARS = 80
MONTHS = listed("January February March April May June July August September October November December")
WEEKDAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
CODE = "ABCDEFGHJKLMNPQRSTUVWXYZ"
STREETS = listed("Road Street Avenue Lane Drive Square Court Way Terrace Close")
_COMPANY = (
    "Ltd",
    "Inc.",
    "GmbH",
    "LLC",
    "Group",
    "Partners",
    "& Sons",
    "Holdings",
    "Industries",
    "Consulting",
    "Systems",
)
FRACTIONS = ("1/2", "1/4", "3/4", "2/3", "½", "¼")
UNITS = listed("kg km m mm GB MB hours days weeks months years units pages liters tons kW mg ml people boxes")


def date(form: str) -> Format:
    def make(m: Material) -> str:
        day, month, year = m.number(1, 28), m.number(1, 12), m.number(1930, 2079)
        name = MONTHS[month - 1]
        return form.format(d=day, dd=f"{day:02d}", m=month, mm=f"{month:02d}", y=year, yy=f"{year % 100:02d}",
                           name=name, short=name[:3], weekday=m.pick(WEEKDAYS))  # fmt: skip

    return make


def amount(m: Material) -> int:
    """With few leading digits, and zeros behind."""
    zeros: int = 10 ** m.number(0, 5)
    return m.number(1, 999) * zeros


def money(form: str) -> Format:
    def make(m: Material) -> str:
        whole, cents = amount(m), m.pick(("00", "50", m.digits(2), m.digits(2)))
        return form.format(n=whole, c=f"{whole:,}", p=f"{whole:,}".replace(",", "."), a=f"{whole:,}".replace(",", "'"),
                           cents=cents)  # fmt: skip

    return make


def pattern(form: str) -> Format:
    """``#`` a digit, ``@`` a capital letter, ``$`` a small letter, ``*`` a capital letter or a digit, ``~`` hex."""
    sets = {"#": DIGITS, "@": CODE, "$": LOWER, "*": CODE + DIGITS, "~": "0123456789abcdef"}
    return lambda m: "".join(m.pick(sets[char]) if char in sets else char for char in form)


def patterns(*forms: str) -> Format:
    makers = [pattern(form) for form in forms]
    return lambda m: m.pick(makers)(m)


def grouped(m: Material) -> str:
    """A code of groups: ``7KX-0413/ab``."""
    sets = (DIGITS, CODE, DIGITS, CODE + DIGITS, LOWER)
    joint = m.pick("---/._ ")
    return joint.join(m.draw(m.pick(sets), 1, 5) for _ in range(m.number(2, 4)))


def mixed(m: Material) -> str:
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


def quote(m: Material) -> str:
    """Some words of real prose."""
    words = m.paragraph().split(" ")
    start = m.number(0, max(0, len(words) - 8))
    text = " ".join(words[start : start + m.number(1, 6)]).strip(" .,;:!?")
    return text if 2 <= len(text) <= 40 and ". " not in text else m.words(2, 3)


def long_text(m: Material) -> str:
    """40 to 80 characters: words, names, numbers and punctuation."""
    text = m.pick((m.word().capitalize(), m.name()))
    target = m.number(36, 74)
    while len(text) < target:
        text += m.pick((" ", " ", " ", " ", ", ", " - ")) + m.pick(
            (m.word(), m.word(), m.word(), m.name(), m.digits(1, 4))
        )
    return text[:MAX_VALUE_CHARS].rsplit(" ", 1)[0]


def address(m: Material) -> str:
    street = f"{m.number(1, 999)} {m.pick((m.name(), m.word().capitalize()))} {m.pick(STREETS)}"
    return street + m.pick(("", f", {m.name()}", f", {m.name()}", f", {m.name()} {m.digits(5)}"))


def company(m: Material) -> str:
    head = m.pick((m.name(), f"{m.name()} {m.word().capitalize()}", f"{m.word().capitalize()} {m.word().capitalize()}"))
    return f"{head} {m.pick(_COMPANY)}"


def email(m: Material) -> str:
    name = m.word() + m.pick((".", "_", "")) + m.pick((m.word(), m.digits(2)))
    return f"{name}@{m.word()}{m.pick(('.com', '.org', '.net', '.eu'))}"


def words(m: Material) -> str:
    text = m.words(2, 3)
    return m.pick((text, text, text.title(), text.capitalize()))
