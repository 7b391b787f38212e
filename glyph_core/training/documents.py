"""Documents with facts in them, and questions that only a reader of their pages can answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from glyph_core.training.facts import (
    ABSENT_ANSWER,
    DOCUMENT_NOUNS,
    Fact,
    FieldOfInterest,
    Question,
    QuestionKind,
    by_key,
    fields_of,
    in_people_words,
    related_to,
)
from glyph_core.training.material import Material
from glyph_core.training.relations import Narrator, Relation
from glyph_core.training.similar import similar_key, similar_name

MAX_ANSWER_BYTES = 84  # 80 characters, a few of them of two bytes
MAX_QUESTION_BYTES = 100
_LEADERS = re.compile(r"([.·_-] ?)\1{3}")  # nobody counts the dots between a key and its value


@dataclass(frozen=True)
class GeneratedDocument:
    text: str
    questions: tuple[Question, ...]


@dataclass
class Draft:
    """A document while it is written: its lines, and what has been said so that nothing is said twice."""

    material: Material
    columns: int  # characters that fit a line, about
    max_lines: int
    noun: str = "document"
    lines: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    keys: dict[str, None] = field(default_factory=dict)  # small letters, in order
    entities: dict[str, None] = field(default_factory=dict)
    fields: dict[str, FieldOfInterest] = field(default_factory=dict)
    relations: list[tuple[Relation, str, str]] = field(default_factory=list)  # with attribute and entity
    num_lines: int = 0

    def __post_init__(self) -> None:
        self.narrator = Narrator(self.material)
        self.noun = self.material.pick(DOCUMENT_NOUNS)

    @property
    def room(self) -> int:
        """Lines that are left."""
        return self.max_lines - self.num_lines

    def height(self, text: str) -> int:
        """Lines that ``text`` takes, about."""
        return max(1, -(-len(text) // max(1, self.columns - 3)) if len(text) > self.columns else 1)

    def write(self, line: str) -> bool:
        """Adds a line or paragraph if there is room for it."""
        height = self.height(line)
        if height > self.room:
            return False
        self.lines.append(line)
        self.num_lines += height
        return True

    def write_all(self, lines: Sequence[str]) -> bool:
        """Adds all of ``lines`` if there is room for them, or none."""
        if sum(map(self.height, lines)) > self.room:
            return False
        return all(self.write(line) for line in lines)

    def new_key(self, key: str) -> bool:
        """Whether ``key`` is free; it is taken then."""
        folded = key.lower()
        if folded in self.keys:
            return False
        self.keys[folded] = None
        return True

    def new_entity(self, entity: str) -> bool:
        folded = entity.lower()
        if folded in self.entities:
            return False
        self.entities[folded] = None
        return True

    def new_field(self) -> FieldOfInterest | None:
        """A field that is not in the document yet; None if a few draws find none."""
        known = fields_of(self.material.wording)
        for _ in range(4):
            candidate = self.material.pick(known)
            if all(candidate.group != other.group for other in self.fields.values()):
                self.fields[candidate.name] = candidate
                return candidate
        return None

    def add(self, kind: QuestionKind, ask: Callable[[Material], str], answer: str) -> None:
        self.facts.append(Fact(kind, ask, answer))


QuestionMix = Sequence[tuple[str, float]]  # "fact", "continue", "transcribe" or "absent", and how often


class Questioner:
    """Draws questions about a finished draft."""

    def __init__(self, draft: Draft, text: str, mix: QuestionMix, max_answer_chars: int) -> None:
        self._draft, self._material = draft, draft.material
        self._flat = " ".join(text.split())
        self._folded = self._flat.lower()
        self._mix, self._max_answer_chars = mix, max_answer_chars
        by_kind: dict[QuestionKind, list[Fact]] = {}
        for fact in draft.facts:
            by_kind.setdefault(fact.kind, []).append(fact)
        self._by_kind = list(by_kind.values())

    def draw(self, count: int) -> list[Question]:
        """``count`` questions, or fewer where the document has little to ask for."""
        names, weights = zip(*self._mix, strict=True)
        makers = {
            "fact": self._fact,
            "continue": self._continue,
            "transcribe": self._transcribe,
            "absent": self._absent,
        }
        questions: dict[str, Question] = {}
        for name in self._material.random.choices(names, weights, k=3 * count):
            question = makers[name]()
            if question and self._is_fair(question):
                questions.setdefault(question.text, question)
                if len(questions) == count:
                    break
        return list(questions.values())

    def _is_fair(self, question: Question) -> bool:
        """Short enough, and not answered by its own words."""
        answer = question.answer
        if question.kind is QuestionKind.CONTINUE and _LEADERS.search(answer):
            return False
        if not answer or len(answer.encode()) > MAX_ANSWER_BYTES or len(question.text.encode()) > MAX_QUESTION_BYTES:
            return False
        return question.kind is QuestionKind.ABSENT or answer.lower() not in question.text.lower()

    def _fact(self) -> Question | None:
        """Of any fact, or of any kind first, so that what a document is full of doesn't push out the rest."""
        if not self._by_kind:
            return None
        material = self._material
        facts = self._draft.facts if material.chance(0.5) else material.pick(self._by_kind)
        return material.pick(facts).question(material)

    def _transcribe(self) -> Question | None:
        text = self._flat
        if len(text) > self._max_answer_chars:
            text = text[: self._max_answer_chars + 1].rsplit(" ", 1)[0][: self._max_answer_chars]
        return Question(QuestionKind.TRANSCRIBE, "Read the page.", text)

    def _continue(self) -> Question | None:
        """The words after a few quoted ones."""
        material = self._material
        source = material.pick(self._draft.paragraphs) if self._draft.paragraphs else self._flat
        words = source.split(" ")
        if len(words) < 5:
            return None
        start = material.number(0, len(words) - 4)
        stop = start + 2
        while stop < len(words) - 1 and len(" ".join(words[start:stop])) < 10:
            stop += 1
        quoted = " ".join(words[start:stop])
        if len(quoted) > 36 or self._flat.count(quoted) != 1:
            return None
        answer, limit = words[stop], material.number(4, self._max_answer_chars)
        for word in words[stop + 1 :]:
            if answer[-1] in ".!?;:" or len(answer) + 1 + len(word) > limit:
                break
            answer += " " + word
        frame = material.pick(('What comes after "{}"?', "Continue: {}", 'What follows "{}"?'))
        return Question(QuestionKind.CONTINUE, frame.format(quoted), answer)

    def _absent(self) -> Question | None:
        """A question like those that have answers, for something that is not on the page."""
        way = self._material.random.random()
        ask = self._absent_field() if way < 0.35 else self._absent_relation() if way < 0.65 else self._absent_key()
        return Question(QuestionKind.ABSENT, ask(self._material), ABSENT_ANSWER) if ask else None

    def _absent_field(self) -> Callable[[Material], str] | None:
        candidate = self._material.pick(fields_of(self._material.wording))
        related = related_to(candidate.name)
        if any(name in related or present.group == candidate.group for name, present in self._draft.fields.items()):
            return None
        if any(label.lower() in self._folded for label in candidate.labels):
            return None
        return in_people_words(candidate, self._draft.noun)

    def _absent_relation(self) -> Callable[[Material], str] | None:
        if not self._draft.relations:
            return None
        relation, attribute, entity = self._material.pick(self._draft.relations)
        narrator = self._draft.narrator
        if "{A}" in relation.asks[0] and self._material.chance(0.3):
            attribute = narrator.attribute()
            if f"{attribute} " in self._folded:
                return None
        else:
            near = relation.about == "person" and self._material.chance(0.5)
            entity = similar_name(self._material, entity) if near else narrator.entity(relation.about)
            if entity.lower() in self._folded:
                return None
        asks = tuple(ask.format(A=attribute, E=entity) for ask in relation.asks)
        return lambda material: material.pick(asks)

    def _absent_key(self) -> Callable[[Material], str] | None:
        material = self._material
        if self._draft.keys and material.chance(0.5):
            key = similar_key(material, material.pick(list(self._draft.keys)).title())
        elif material.chance(0.5):
            key = material.pick(material.pick(fields_of(material.wording)).labels)
        else:
            key = f"{material.word()} {material.word()}".title()
        return None if key.lower() in self._folded else by_key(key)
