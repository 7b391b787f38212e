"""What can be asked of a document, and in which words.

A :class:`Fact` knows its answer and phrases a question for it anew each time. The wordings are split like everything
else: a way of asking that :func:`~glyph_core.training.text_sources.split_of` puts on the held-out side is never
trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from glyph_core.training.material import Material
from glyph_core.training.text_sources import Split, split_of
from glyph_core.training.wordings import ALL_FRAMES, KEY_FRAMES, POLITE

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


def in_people_words(field: FieldOfInterest, noun: str) -> Callable[[Material], str]:
    """Asks for ``field`` of a document that is called ``noun``."""

    def ask(material: Material) -> str:
        question = material.pick(field.asks).format(doc=noun)
        frame = material.pick(POLITE[material.wording])
        return frame.format(q=question, l=question[0].lower() + question[1:])

    return ask


def by_key(key: str) -> Callable[[Material], str]:
    """Asks for the value of ``key``, at times in small letters."""

    def ask(material: Material) -> str:
        spelt = key.lower() if material.chance(0.25) else key
        return material.pick(KEY_FRAMES[material.wording]).format(k=spelt)

    return ask


def by_key_of_several(key: str) -> Callable[[Material], str]:
    """Asks for all values of ``key``."""
    return lambda material: material.pick(ALL_FRAMES[material.wording]).format(k=key)
