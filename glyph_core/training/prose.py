"""Paragraphs: prose, real or nonsense, with statements among its sentences."""

from __future__ import annotations

from collections.abc import Callable

from glyph_core.training.documents import Draft
from glyph_core.training.facts import Fact, QuestionKind, in_people_words
from glyph_core.training.material import Material
from glyph_core.training.relations import Relation
from glyph_core.training.similar import similar_name
from glyph_core.training.values import make_value


def paragraph(draft: Draft) -> None:
    """Prose, real or nonsense, with statements among its sentences."""
    material = draft.material
    lines = min(draft.room, material.number(1, 9))
    budget = int(lines * draft.columns * 0.9) - 4
    density = material.pick((0.1, 0.2, 0.4, 0.7))
    filler = _filler(material)
    planned = _planned_statements(draft)
    sentences: list[str] = []
    facts: list[Fact] = []
    length = 0
    while True:
        sentence, fact = (planned(draft) if material.chance(density) else None) or (filler(), None)
        if length + len(sentence) > budget:
            break
        sentences.append(sentence)
        length += len(sentence) + 1
        if fact:
            facts.append(fact)
    text = " ".join(sentences) if sentences else filler()[: max(8, budget)].rsplit(" ", 1)[0]
    if draft.write(text):
        draft.paragraphs.append(text)
        draft.facts += facts


def _filler(material: Material) -> Callable[[], str]:
    if material.chance(0.4):
        return material.nonsense
    pending: list[str] = []

    def next_sentence() -> str:
        if not pending:
            pending.extend(reversed(material.paragraph().replace(". ", ".\n").split("\n")))
        return pending.pop()

    return next_sentence


Planned = Callable[[Draft], tuple[str, Fact] | None]


def _planned_statements(draft: Draft) -> Planned:
    """Statements of all sorts, or at times of one sort, about names that look alike."""
    material, narrator = draft.material, draft.narrator
    if material.chance(0.3):
        relation, attribute = narrator.relation(), narrator.attribute()
        base = narrator.entity(relation.about)
        alike = relation.about == "person" and material.chance(0.7)

        def same_sort(draft: Draft) -> tuple[str, Fact] | None:
            if alike and base.lower() in draft.entities:
                return _state(draft, relation, attribute, similar_name(material, base))
            return _state(draft, relation, attribute, base if alike else narrator.entity(relation.about))

        return same_sort

    def any_sort(draft: Draft) -> tuple[str, Fact] | None:
        if material.chance(0.3):
            return _field_statement(draft)
        relation = narrator.relation()
        return _state(draft, relation, narrator.attribute(), narrator.entity(relation.about))

    return any_sort


def _state(draft: Draft, relation: Relation, attribute: str, entity: str) -> tuple[str, Fact] | None:
    words = entity.lower().split(" ")
    near = any(word in other.split(" ") for other in draft.entities for word in words if len(word) > 3)
    if not draft.new_entity(entity):
        return None
    draft.relations.append((relation, attribute, entity))
    statement = draft.narrator.state(relation, attribute, entity)
    kind = QuestionKind.NEAR_DUPLICATE if near else QuestionKind.NEEDLE
    return statement.sentence, Fact(kind, lambda material: material.pick(statement.asks), statement.value)


def _field_statement(draft: Draft) -> tuple[str, Fact] | None:
    chosen = draft.new_field()
    if chosen is None:
        return None
    says = draft.material.pick(chosen.says)
    value = make_value(draft.material, chosen.value, in_sentence=True)
    sentence = says.format(v=value, doc=draft.noun)
    return sentence, Fact(QuestionKind.PEOPLE, in_people_words(chosen, draft.noun), value)
