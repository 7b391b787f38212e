"""What can be asked of a document, and in which words.

A :class:`Fact` knows its answer and phrases a question for it anew each time. The wordings are split like everything
else: a way of asking that :func:`~glyph_core.training.text_sources.split_of` puts on the held-out side is never
trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from glyph_core.training.material import Material
from glyph_core.training.text_sources import Split, split_of

ABSENT_ANSWER = "not stated"
FIELDS_FILE = Path(__file__).with_name("fields.yaml")
DOCUMENT_NOUNS = ("agreement", "contract", "document", "report", "project", "order")


class QuestionKind(StrEnum):
    """Rows of the evaluation, and what each question of a batch counts for."""

    TRANSCRIBE = "transcribe"
    CONTINUE = "continue"
    KEY_VALUE = "key_value"
    NEEDLE = "needle"
    PEOPLE = "people"
    NEAR_DUPLICATE = "near_duplicate"
    IDENTIFIER = "identifier"
    TABLE = "table"
    LIST = "list"
    SEVERAL = "several"
    ABSENT = "absent"


KINDS = tuple(QuestionKind)


@dataclass(frozen=True, slots=True)
class Question:
    kind: QuestionKind
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the document says; ``ask`` phrases a question that only the page can answer."""

    kind: QuestionKind
    ask: Callable[[Material], str]
    answer: str

    def question(self, material: Material) -> Question:
        return Question(self.kind, self.ask(material), self.answer)


@dataclass(frozen=True, slots=True)
class FieldOfInterest:
    """Something that people ask for: see fields.yaml."""

    name: str
    value: str  # kind of value
    group: str
    labels: tuple[str, ...]
    says: tuple[str, ...]
    asks: tuple[str, ...]


# Fields that a careful reader could mistake for one another: where one is on the page, the absence of another is not
# asked for in people's words, because some readers would accept the one that is there.
_RELATED = (
    {"rent", "fee", "total", "price", "deposit", "premium", "loan", "budget", "deductible", "liability", "salary",
     "subtotal", "tax_amount", "shipping_cost", "refund", "hourly_rate", "coverage", "bonus", "fare", "revenue"},
    {"start", "signed", "end", "due", "deadline", "delivery", "departure", "arrival", "meeting_time", "birthday",
     "renewal", "last_updated", "invoice_date", "order_date", "incident_date", "admission", "discharge",
     "next_appointment", "resolved", "founded", "opening", "closing", "check_in", "check_out"},
    {"client", "tenant", "borrower", "patient", "plaintiff", "defendant", "employer", "landlord", "applicant",
     "passenger", "beneficiary", "guarantor"},
    {"provider", "insurer", "bank", "lender", "sponsor", "carrier", "publisher", "school", "hotel", "employer",
     "subcontractor", "manufacturer", "hospital"},
    {"project_manager", "supervisor", "contact", "account_manager", "chair", "author", "reviewer", "approver", "signer",
     "teacher", "doctor", "judge", "lawyer", "witness", "winner", "arbitrator", "assignee", "reporter", "ceo",
     "speaker"},
    {"spouse", "contact", "beneficiary", "guarantor"},
    {"term", "notice", "warranty", "payment_terms", "vacation", "end", "confidentiality", "return_period", "probation",
     "response_time", "battery", "service_interval", "weekly_hours"},
    {"address", "delivery_address", "city", "country", "court", "destination", "birthplace", "gate", "room", "hotel",
     "school", "headquarters", "incident_place", "platform", "hospital"},
    {"contract_number", "order_number", "invoice_number", "policy", "case", "employee_id", "account", "serial",
     "tracking", "commit", "model", "version", "password", "flight", "seat", "plate", "server", "grade", "tax_id",
     "customer_number", "reference", "claim_number", "booking", "passport", "ticket_number", "error_code", "username",
     "platform"},
    {"phone", "emergency", "contact", "email", "website"},
    {"remark", "description", "instructions", "reason", "topic", "title", "diagnosis", "product", "workaround",
     "conclusion", "decision", "error_message"},
    {"diagnosis", "symptoms", "treatment", "medication", "allergy"},
    {"journal", "publisher", "title"},
    {"method", "dataset", "topic"},
    {"payment_method", "currency", "instructions"},
    {"operating_system", "version", "server", "model"},
    {"manufacturer", "model", "product", "vehicle"},
    {"quantity", "weight", "height", "capacity", "power", "temperature", "dosage", "mileage", "width", "baggage",
     "sample_size", "headcount", "age", "weekly_hours"},
    {"tax", "interest", "discount", "late_fee", "accuracy", "growth", "progress"},
    {"status", "priority", "colour", "occupation", "nationality", "allergy", "medication", "severity", "progress",
     "material"},
    {"resolved", "status", "deadline"},
)  # fmt: skip


def related_to(name: str) -> frozenset[str]:
    """Names of the fields that may be mistaken for ``name``, itself among them."""
    return frozenset({name}.union(*(group for group in _RELATED if name in group)))


@cache
def fields_of(split: Split) -> tuple[FieldOfInterest, ...]:
    """All fields, with the ways of asking of one split; on the held-out side, those that have one."""
    content = yaml.safe_load(FIELDS_FILE.read_text(encoding="utf-8"))
    fields = []
    for name, entry in content.items():
        asks = tuple(ask for ask in entry["asks"] if split_of(ask) is split)
        if asks:
            fields.append(
                FieldOfInterest(name, entry["value"], entry.get("group", name), tuple(entry["labels"]),
                                tuple(entry["says"]), asks)
            )  # fmt: skip
    return tuple(fields)


# Frames around a question in people's words; "{q}" is the question, "{l}" the same with a small first letter.
_POLITE = {
    Split.TRAIN: ("{q}",) * 12
    + (
        "{l}",
        "Please tell me: {q}",
        "Can you tell me {l}",
        "I would like to know {l}",
        "{q} Please be exact.",
        "Hello, {l}",
        "According to the document, {l}",
        "Look it up: {q}",
        "Do you know {l}",
        "Tell me, {l}",
        "Question: {q}",
        "Q: {q}",
        "I wonder {l}",
        "{q} Thanks!",
        "Excuse me, {l}",
        "From the page: {q}",
        "Please answer briefly: {q}",
        "{l} please",
        "And {l}",
        "As stated here, {l}",
    ),
    Split.HELD_OUT: ("{q}", "{q}", "{q}", "{l}", "Could you check {l}", "Quick question: {l}", "In this document, {l}"),
}
_KEY_FRAMES = {
    Split.TRAIN: ("What is the {k}?",) * 5
    + (
        "What is {k}?",
        "{k}?",
        "{k}",
        "Find the {k}.",
        "What is the value of {k}?",
        "What does it say for {k}?",
        "{k}:",
        "What's the {k}?",
        "Tell me the {k}.",
        "What is the {k} in this document?",
        "Which {k} is given?",
        "What is written next to {k}?",
        "Give the {k}.",
        "{k} please",
        "what is the {k}",
        "And the {k}?",
        "The {k}?",
        "The {k}, please.",
        "What was the {k}?",
        "What is the exact {k}?",
        "What is the {k} here?",
        "What is the {k} of this document?",
        "What do you find under {k}?",
        "What comes after {k}?",
        "What has been entered for {k}?",
        "What is entered under {k}?",
        "What is noted for {k}?",
        "What is the entry for {k}?",
        "What is the field {k}?",
        "What does {k} say?",
        "What does it say next to {k}?",
        "What is listed under {k}?",
        "How does {k} read?",
        "Quote the {k}.",
        "Copy the {k}.",
        "Read out the {k}.",
        "Read the {k}.",
        "Name the {k}.",
        "Return the {k}.",
        "Extract the {k}.",
        "Extract: {k}",
        "Get {k}",
        "Show me the {k}.",
        "I need the {k}.",
        "I am looking for the {k}.",
        "Can you find the {k}?",
        "Could you give me the {k}?",
        "Do you see the {k}?",
        "Is there a {k}?",
        "{k}",
        "{k} = ?",
        "{k}: ?",
        "value of {k}",
        "Which value stands at {k}?",
        "Which value has {k}?",
        "What value is given for {k}?",
        "According to the page, what is the {k}?",
        "On this page, what is the {k}?",
        "What's given as the {k}?",
        "What {k} is shown?",
    ),
    Split.HELD_OUT: (
        "What is the {k}?",
        "What is the {k}?",
        "{k}?",
        "Please find the {k}.",
        "What {k} is stated?",
        "Look up the {k}.",
        "What does the page give as {k}?",
    ),
}
_ALL_FRAMES = {
    Split.TRAIN: (
        "What is the {k}?",
        "{k}?",
        "List every {k}.",
        "Give all values of {k}.",
        "What are the values of {k}?",
        "Which {k} are given?",
        "What is given for {k}?",
        "What are all the {k}?",
        "What is every {k}?",
        "{k}: all of them",
        "List all values for {k}.",
        "How many {k} are there, and which?",
        "Every {k}, please.",
    ),
    Split.HELD_OUT: ("What is the {k}?", "Name every {k}.", "What does it list for {k}?"),
}


def in_people_words(field: FieldOfInterest, noun: str) -> Callable[[Material], str]:
    """Asks for ``field`` of a document that is called ``noun``."""

    def ask(material: Material) -> str:
        question = material.pick(field.asks).format(doc=noun)
        frame = material.pick(_POLITE[material.wording])
        return frame.format(q=question, l=question[0].lower() + question[1:])

    return ask


def by_key(key: str) -> Callable[[Material], str]:
    """Asks for the value of ``key``, at times in small letters."""

    def ask(material: Material) -> str:
        spelt = key.lower() if material.chance(0.25) else key
        return material.pick(_KEY_FRAMES[material.wording]).format(k=spelt)

    return ask


def by_key_of_several(key: str) -> Callable[[Material], str]:
    """Asks for all values of ``key``."""
    return lambda material: material.pick(_ALL_FRAMES[material.wording]).format(k=key)


def one_of(frames: Sequence[str], **parts: str) -> Callable[[Material], str]:
    """Asks with one of ``frames``, filled with ``parts``."""
    return lambda material: material.pick(frames).format(**parts)
