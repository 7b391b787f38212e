"""Sentences that state a fact about somebody or something, and the questions that they answer.

``{E}`` is who or what the sentence is about and ``{V}`` the value. The first three are filled with an attribute
``{A}`` of an open set; the others say one thing each.
"""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.training.material import Material
from glyph_core.training.values import COMMON, make_value


@dataclass(frozen=True, slots=True)
class Relation:
    sentences: tuple[str, ...]
    asks: tuple[str, ...]
    value: str | None  # kind of value; None: anything
    about: str = "person"  # or "thing"


ATTRIBUTED = (
    Relation(
        ("The {A} for {E} is {V}.", "For {E} the {A} is {V}."),
        ("What is the {A} for {E}?", "Which {A} belongs to {E}?"),
        None,
    ),
    Relation(("The {A} of {E} is {V}.",), ("What is the {A} of {E}?", "What {A} does {E} have?"), None),
    Relation(
        ("{E}'s {A} is {V}.", "{E} has the {A} {V}."),
        ("What is {E}'s {A}?", "{E}'s {A}?", "What is the {A} of {E}?"),
        None,
    ),
)
FIXED = (
    Relation(
        ("{E} lives in {V}.", "The home of {E} is in {V}."),
        ("Where does {E} live?", "In which place does {E} live?"),
        "place",
    ),
    Relation(("{E} was born on {V}.",), ("When was {E} born?", "On what day was {E} born?"), "date"),
    Relation(("{E} was born in {V}.",), ("Where was {E} born?",), "place"),
    Relation(
        ("The {E} costs {V}.", "A {E} sells for {V}."),
        ("How much does the {E} cost?", "What is the price of the {E}?"),
        "money",
        "thing",
    ),
    Relation(("{E} paid {V}.", "{E} was charged {V}."), ("How much did {E} pay?",), "money"),
    Relation(
        ("The {E} is located in {V}.", "You find the {E} in {V}."),
        ("Where is the {E} located?", "Where is the {E}?"),
        "place",
        "thing",
    ),
    Relation(("{E} was hired by {V}.",), ("Who hired {E}?",), "person"),
    Relation(("{E} is married to {V}.",), ("Who is {E} married to?", "Who is the spouse of {E}?"), "person"),
    Relation(
        ("The meeting with {E} starts at {V}.",),
        ("When does the meeting with {E} start?", "At what time is the meeting with {E}?"),
        "time",
    ),
    Relation(("{E} arrived on {V}.",), ("When did {E} arrive?",), "date"),
    Relation(
        ("{E} works for {V}.", "{E} is employed by {V}."),
        ("Who does {E} work for?", "For whom does {E} work?", "Where does {E} work?"),
        "organisation",
    ),
    Relation(
        ("The {E} was invented by {V}.",), ("Who invented the {E}?", "By whom was the {E} invented?"), "person", "thing"
    ),
    Relation(("{E} owns a {V}.",), ("What does {E} own?",), "word"),
    Relation(("{E} is {V} years old.",), ("How old is {E}?", "What is the age of {E}?"), "quantity"),
    Relation(("The code word for {E} is {V}.",), ("What is the code word for {E}?",), "word", "thing"),
    Relation(("{E} can be reached at {V}.",), ("How can {E} be reached?", "What is the phone number of {E}?"), "phone"),
    Relation(("{E} left on {V}.",), ("When did {E} leave?",), "date"),
    Relation(("{E} was replaced by {V}.",), ("Who replaced {E}?",), "person"),
    Relation(("{E} donated {V}.",), ("How much did {E} donate?",), "money"),
    Relation(("The {E} weighs {V}.",), ("How much does the {E} weigh?", "How heavy is the {E}?"), "quantity", "thing"),
    Relation(("The {E} opens at {V}.",), ("When does the {E} open?",), "time", "thing"),
    Relation(("{E} studied {V}.",), ("What did {E} study?",), "words"),
    Relation(
        ("The parcel for {E} carries the number {V}.",), ("Which number does the parcel for {E} carry?",), "identifier"
    ),
    Relation(("{E} reports to {V}.",), ("To whom does {E} report?", "Who is the boss of {E}?"), "person"),
    Relation(("{E} noted: {V}.",), ("What did {E} note?",), "long"),
)
ATTRIBUTES = [
    "access code",
    "password",
    "phone number",
    "badge number",
    "room number",
    "favorite color",
    "locker code",
    "secret word",
    "magic number",
    "passphrase",
    "pin code",
    "order number",
    "seat number",
    "account number",
    "parking spot",
    "employee number",
    "license number",
    "flight number",
    "registration code",
    "serial number",
    "member number",
    "ticket number",
    "home town",
    "middle name",
    "salary",
    "budget",
    "invoice total",
    "deadline",
    "start date",
    "birthday",
    "email address",
    "nickname",
    "bank account",
    "tracking number",
    "address",
    "manager",
]


@dataclass(frozen=True, slots=True)
class Statement:
    sentence: str
    asks: tuple[str, ...]
    value: str


class Narrator:
    """Makes statements of a kind that stays the same or changes from one to the next."""

    def __init__(self, material: Material) -> None:
        self._material = material

    def relation(self) -> Relation:
        return self._material.pick(ATTRIBUTED if self._material.chance(0.6) else FIXED)

    def attribute(self) -> str:
        material = self._material
        if material.chance(0.6):
            return material.pick(ATTRIBUTES)
        return material.word() + (
            " " + material.pick(("code", "number", "name", "word", "date")) if material.chance(0.5) else ""
        )

    def entity(self, about: str) -> str:
        material = self._material
        if about == "thing":
            return material.word() if material.chance(0.7) else f"{material.word()} {material.word()}"
        return material.name() if material.chance(0.5) else material.person()

    def state(self, relation: Relation, attribute: str, entity: str) -> Statement:
        """A sentence about ``entity`` with a value that its questions don't give away."""
        material = self._material
        value = make_value(material, relation.value or material.pick(COMMON))
        parts = {"A": attribute, "E": entity, "V": value}
        asks = tuple(ask.format(**parts) for ask in relation.asks)
        return Statement(material.pick(relation.sentences).format(**parts), asks, value)
