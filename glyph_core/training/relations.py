"""Sentences that state a fact about somebody or something, and the questions that they answer.

``{E}`` is who or what the sentence is about and ``{V}`` the value. The first three are filled with an attribute
``{A}`` of an open set; the others say one thing each.
"""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.training.material import Material
from glyph_core.training.values import common_kind, make_value


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
    Relation(
        ("{E} uses {V} as {A}.", "As {A}, {E} has {V}.", "The {A} given for {E} reads {V}."),
        ("What is the {A} of {E}?", "Which {A} does {E} use?", "What {A} is given for {E}?"),
        None,
    ),
    Relation(
        ("Please note that the {A} for {E} has been changed to {V}.", "The {A} for {E} will be {V}."),
        ("What is the {A} for {E}?", "To what was the {A} for {E} changed?"),
        None,
    ),
    Relation(
        ("According to the records, the {A} of {E} was {V}.", "For {E}, we noted the {A} as {V}."),
        ("What was the {A} of {E}?", "What is the {A} of {E}?", "What is the {A} for {E}?"),
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
    Relation(("The age of {E} is {V}.",), ("How old is {E}?", "What is the age of {E}?"), "quantity"),
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
    Relation(("{E} noted: {V}.", "{E} wrote: {V}."), ("What did {E} note?", "What did {E} write?"), "long"),
    Relation(("{E} moved to {V}.",), ("Where did {E} move?", "To which place did {E} move?"), "place"),
    Relation(("{E} bought {V}.", "{E} ordered {V}."), ("What did {E} buy?", "What did {E} get?"), "random"),
    Relation(("The {E} is made of {V}.",), ("What is the {E} made of?",), "words", "thing"),
    Relation(("The {E} was built in {V}.",), ("When was the {E} built?",), "date", "thing"),
    Relation(("The {E} belongs to {V}.",), ("Who owns the {E}?", "To whom does the {E} belong?"), "person", "thing"),
    Relation(("{E} was fined {V}.",), ("How much was {E} fined?", "What was the fine for {E}?"), "money"),
    Relation(("{E} earns {V}.",), ("How much does {E} earn?", "What does {E} earn?"), "money"),
    Relation(("{E} speaks for {V}.", "{E} represents {V}."), ("Whom does {E} represent?",), "organisation"),
    Relation(("{E} met {V}.",), ("Whom did {E} meet?", "Who met with {E}?"), "person"),
    Relation(("The {E} is marked {V}.", "On the {E} is written {V}."), ("How is the {E} marked?",), "random", "thing"),
    Relation(("The {E} will last {V}.",), ("How long will the {E} last?",), "duration", "thing"),
    Relation(("{E} stayed for {V}.",), ("How long did {E} stay?",), "duration"),
    Relation(("{E} writes from {V}.",), ("What is the email address of {E}?", "From where does {E} write?"), "email"),
    Relation(("The share of {E} is {V}.",), ("What is the share of {E}?", "How large is {E}'s share?"), "percent"),
    Relation(("{E} called it {V}.",), ("What did {E} call it?",), "words"),
    Relation(("The {E} is kept at {V}.",), ("Where is the {E} kept?",), "address", "thing"),
    Relation(("{E} receives mail at {V}.",), ("Where does {E} receive mail?",), "address"),
    Relation(("{E} is also known as {V}.",), ("What else is {E} known as?", "What is {E} also called?"), "random"),
    Relation(("{E} chose {V}.", "{E} voted for {V}."), ("What did {E} choose?",), "mixed"),
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
        value = make_value(material, relation.value or common_kind(material), in_sentence=True)
        parts = {"A": attribute, "E": entity, "V": value}
        asks = tuple(ask.format(**parts) for ask in relation.asks)
        return Statement(material.pick(relation.sentences).format(**parts), asks, value)
