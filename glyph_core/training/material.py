"""Random words, names, digits and prose of one split: what values and documents are made of."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import TypeVar

from glyph_core.training.text_sources import Split, TextSources

T = TypeVar("T")

UPPER, LOWER, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
_ACCENTS = {
    "a": "áàâäãåăą", "c": "çćč", "d": "ďđ", "e": "éèêëěę", "g": "ğ", "i": "íìîï", "l": "ł", "n": "ñńň", "o": "óòôöõøő",
    "r": "ř", "s": "śšş", "t": "ť", "u": "úùûüůű", "y": "ý", "z": "źżž",
}  # fmt: skip


def listed(text: str) -> tuple[str, ...]:
    """The words of ``text``."""
    return tuple(text.split())


_ONSETS = listed("b br c ch d dr f fl g gr h j k kr l m n p pr r s sh sk st t th tr v w y z")
_NUCLEI = listed("a e i o u ai ea ei ia io oa ou")
_CODAS = ("", "", "", *listed("l m n nd nt r rd rn s ss st t x ck"))
_FUNCTION_WORDS = listed(
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up into than them can "
    "its only time two may then do first any my now such like our over me even most made after also did many before"
)


class Material:
    """Draws from :class:`TextSources` with its own random generator. ``split`` decides which formats values take,
    ``wording`` how questions are put: as in training, or as never in training; the same side unless given."""

    def __init__(self, sources: TextSources, split: Split, seed: int, wording: Split | None = None) -> None:
        self.random = random.Random(seed)
        self.split = split
        self.wording = wording or split
        self._sources = sources

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.random.random() * len(options))]

    def number(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + int(self.random.random() * (high - low + 1))

    def draw(self, alphabet: str, low: int, high: int | None = None) -> str:
        """``low`` to ``high`` characters of ``alphabet``."""
        return "".join(self.random.choices(alphabet, k=low if high is None else self.number(low, high)))

    def digits(self, low: int, high: int | None = None) -> str:
        return self.draw(DIGITS, low, high)

    def word(self) -> str:
        return self.pick(self._sources.words)

    def words(self, low: int, high: int) -> str:
        return " ".join(self.word() for _ in range(self.number(low, high)))

    def name(self) -> str:
        """A capitalised name: one of the sources, or one that no list has."""
        if self.chance(0.75):
            name = self.pick(self._sources.names)
        else:
            syllables = (self.pick(_ONSETS) + self.pick(_NUCLEI) + self.pick(_CODAS) for _ in range(self.number(1, 3)))
            name = "".join(syllables).capitalize()[:11]
        return self.accented(name) if self.chance(0.04) else name

    def person(self) -> str:
        kind = self.random.random()
        if kind < 0.8:
            return f"{self.name()} {self.name()}"
        if kind < 0.9:
            return f"{self.name()} {self.pick(UPPER)}. {self.name()}"
        return f"{self.pick(('Dr.', 'Mr.', 'Ms.', 'Prof.'))} {self.name()}"

    def accented(self, text: str) -> str:
        """``text`` with one letter accented, if it has one that can be."""
        places = [i for i, char in enumerate(text) if char in _ACCENTS]
        if not places:
            return text
        place = self.pick(places)
        return text[:place] + self.pick(_ACCENTS[text[place]]) + text[place + 1 :]

    def paragraph(self) -> str:
        """Real prose."""
        return self.pick(self._sources.paragraphs)

    def nonsense(self) -> str:
        """A sentence of common words in no order: prose that nothing can guess."""
        words = [self.pick(_FUNCTION_WORDS) if self.chance(0.4) else self.word() for _ in range(self.number(4, 14))]
        if self.chance(0.2):
            words[self.number(0, len(words) - 1)] = self.pick((self.name(), self.digits(1, 4)))
        if self.chance(0.4):
            words[len(words) // 2] += ","
        text = " ".join(words)
        return text[0].upper() + text[1:] + self.pick("....?!;")
