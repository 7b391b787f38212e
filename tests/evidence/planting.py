"""Real contracts with identifiers planted into them, and answers in which one character is wrong."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID

import pymupdf

from glyph_core.documents.source import read_source
from glyph_core.evidence.source_text import SourceText
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
NUMBERS_AND_DATES = re.compile(
    rf"(?<![\w/.,$-])(?:\$?\d[\d,]{{4,}}\d(?:\.\d\d)?|(?:{MONTHS}) \d{{1,2}}, ?\d{{4}}|\d{{1,2}}/\d{{1,2}}/\d{{2,4}})"
    r"(?![\w/-]|[.,]\d)"
)
SHORT_NUMBERS = re.compile(r"(?<![\w/.,$-])\$?\d(?:[\d,]{0,3}\d)?(?![\w/%-]|[.,]\d)")
SENTENCES = ("%s", "The answer is %s.", "It is %s, as stated in the agreement.", '{"value": "%s"}', "**Reference:** %s")
PLANTED_AS = ("(ref. %s)", "No. %s", "%s,", "under %s")
NUM_PLANTED = 25  # identifiers in a contract
MIN_REPAIRED = 6  # characters of a value that may be repaired


@dataclass(frozen=True)
class Contract:
    text: SourceText
    values: tuple[tuple[str, str], ...]  # kind, value: what stands in it by itself


@dataclass(frozen=True)
class Planted:
    """An answer with an error, and what it should be."""

    contract: Contract
    kind: str
    right: str
    wrong: str

    @property
    def stands_there(self) -> bool:
        """Whether the wrong form is one that the contract holds, too, as it is or as another way of writing it."""
        found = re.search(rf"(?<![A-Za-z0-9]){re.escape(self.wrong)}(?![A-Za-z0-9])", self.contract.text.text)
        return found is not None


def contracts_of(folder: Path, suffix: str, renderer: PageRenderer, random: Random) -> list[Contract]:
    contracts = []
    for path in sorted(folder.glob(f"*{suffix}")):
        identifiers = [_identifier(random) for _ in range(NUM_PLANTED)]
        source = (_planted_into_pdf if suffix == ".pdf" else _planted_into_text)(read_source(path), identifiers, random)
        text = renderer.text(source)
        values = [(_kind_of(m[0]), m[0]) for m in NUMBERS_AND_DATES.finditer(text) if m[0] not in identifiers]
        # On a PDF's page some are printed over what stands there: nobody could read them.
        values += [("identifier", identifier) for identifier in identifiers if identifier in text]
        values += [("short", m[0]) for m in SHORT_NUMBERS.finditer(text) if 1 < len(m[0]) < MIN_REPAIRED]
        contracts.append(Contract(SourceText(text, renderer.text_ranges(source)), tuple(dict.fromkeys(values))))
    return contracts


def _planted_into_text(source: DocumentSource, identifiers: list[str], random: Random) -> DocumentSource:
    paragraphs = source.content.decode().split("\n")
    for identifier in identifiers:
        words = paragraphs[at := random.randrange(len(paragraphs))].split(" ")
        words.insert(random.randrange(len(words) + 1), random.choice(PLANTED_AS) % identifier)
        paragraphs[at] = " ".join(words)
    return DocumentSource(source.name, "\n".join(paragraphs).encode())


def _planted_into_pdf(source: DocumentSource, identifiers: list[str], random: Random) -> DocumentSource:
    """In the upper and lower margins of its pages, each on a line of its own."""
    document = pymupdf.open(stream=source.content, filetype="pdf")
    for number, identifier in enumerate(identifiers):
        page = document[number % len(document)]
        row = number // len(document)
        y = 14 + 9 * (row // 2) if row % 2 else page.rect.height - 8 - 9 * (row // 2)
        page.insert_text((random.randrange(60, 300), y), random.choice(PLANTED_AS) % identifier, fontsize=7)
    return DocumentSource(source.name, document.tobytes())


def planted_errors(
    contracts: list[Contract], random: Random, kinds: tuple[str, ...], *, short: bool = False
) -> Iterator[Planted]:
    """Without end. ``kinds`` of errors: "another", "missing", "extra" character. ``short``: in short values alone,
    else in none."""
    while True:
        contract = random.choice(contracts)
        values = [value for value in contract.values if (value[0] == "short") == short]
        if not values:
            continue
        kind, right = random.choice(values)
        error = Planted(contract, kind, right, _with_error(right, random, random.choice(kinds)))
        if not error.stands_there:
            yield error


def _kind_of(value: str) -> str:
    return "date" if re.search(r"[A-Z/]", value) else "number"


def _identifier(random: Random) -> str:
    def some(letters: str, low: int, high: int) -> str:
        return "".join(random.choice(letters) for _ in range(random.randrange(low, high + 1)))

    match random.randrange(5):
        case 0:
            return str(UUID(int=random.getrandbits(128)))
        case 1:
            return f"{some(string.ascii_uppercase, 2, 2)}-{some(string.digits, 4, 8)}"
        case 2:
            return some("0123456789abcdef", 8, 16)
        case 3:
            letters = some(string.ascii_uppercase, 5, 5)
            return f"{letters[:3]}/{some(string.digits, 4, 4)}-{letters[3:]}"
        case _:
            return some(string.digits, 6, 12)


def _with_error(value: str, random: Random, kind: str) -> str:
    at = random.choice([index for index, character in enumerate(value) if character.isalnum()])
    letters = next(s for s in (string.digits, string.ascii_lowercase, string.ascii_uppercase) if value[at] in s)
    other = random.choice(letters.replace(value[at], ""))
    return value[:at] + {"another": other, "missing": "", "extra": other + value[at]}[kind] + value[at + 1 :]
