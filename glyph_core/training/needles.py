"""Facts planted at chosen depths of whole books, and facts that are asked about and stand nowhere.

The facts are the generator's own, of held-out words and names; a book was never seen in training. Nothing is asked that
the book itself might answer: an entity that it names is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glyph_core.training.documents import MAX_ANSWER_BYTES, MAX_QUESTION_BYTES, Draft
from glyph_core.training.material import Material
from glyph_core.training.planted import SENTENCE_END

COLUMNS = 64


@dataclass(frozen=True, slots=True)
class Needle:
    sentence: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Haystack:
    """A book with ``needles`` at ``depths`` (0: its beginning, 1: its end)."""

    text: str
    needles: tuple[Needle, ...]
    depths: tuple[float, ...]


def needles(material: Material, book: str) -> Iterator[Needle]:
    """Facts about what ``book`` does not name, without end."""
    draft, known = Draft(material, COLUMNS, max_lines=10**9), book.lower()
    while True:
        relation, attribute = draft.narrator.relation(), draft.narrator.attribute()
        entity = draft.narrator.entity(relation.about)
        if entity.lower() in known or not draft.new_entity(entity):
            continue
        statement = draft.narrator.state(relation, attribute, entity)
        question = material.pick(statement.asks)
        is_short = len(statement.value.encode()) <= MAX_ANSWER_BYTES and len(question.encode()) <= MAX_QUESTION_BYTES
        if is_short and statement.value.lower() not in question.lower():
            yield Needle(statement.sentence, question, statement.value)


def plant_needles(book: str, chosen: Sequence[Needle], depths: Sequence[float]) -> Haystack:
    """Each needle between two sentences of the paragraph at its depth, or between two lines where it has but one."""
    text = book
    for needle, depth in sorted(zip(chosen, depths, strict=True), key=lambda pair: -pair[1]):
        at = _place(text, round(depth * len(book)))
        text = f"{text[:at]}{needle.sentence}{text[at - 1] if at else chr(10)}{text[at:]}"
    return Haystack(text, tuple(chosen), tuple(depths))


def _place(text: str, wanted: int) -> int:
    """A beginning of a sentence or a line near ``wanted``."""
    line = text.rfind("\n", 0, wanted) + 1
    end = text.find("\n", wanted)
    inside = [line + found.end() for found in SENTENCE_END.finditer(text[line : len(text) if end < 0 else end])]
    return min([line, *inside], key=lambda place: abs(place - wanted))


def take_book(texts: Sequence[str], num_chars: int) -> str:
    """The first ``num_chars`` of ``texts``, one after another, cut at a line's end; again from the first where they are
    too short."""
    whole = "\n".join(texts)
    while len(whole) < num_chars:
        whole += "\n" + whole
    return whole[: whole.rfind("\n", 0, num_chars) + 1 or num_chars]
