"""What ``glyph bench serve`` asks, and when: documents, questions and moments, all decided by one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployments.client import file_json
from deployments.openai_answers import Json
from glyph_core.errors import InvalidRequestError
from glyph_core.types import DocumentSource

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTIONS = (
    "What is the Notice Period?",
    "What is the Release Date?",
    "Who is the Project Manager?",
    "Who is the Station Manager?",
    "What is the Governing Law?",
    "What is the Gate Code?",
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to come."""

    number: int
    at_s: float  # after the beginning; in a closed loop 0: as soon as a client is free
    document: DocumentSource
    question: str


@dataclass(frozen=True, slots=True)
class Workload:
    documents: tuple[DocumentSource, ...]
    questions: tuple[str, ...]
    max_tokens: int
    is_fresh: bool  # every text document gets a first line of its own, so that no cache knows it
    seed: int

    def poisson(self, rate_per_s: float, duration_s: float) -> Iterator[Ask]:
        """An open loop: whoever comes does not care how the others fare."""
        rng = random.Random(f"{self.seed} {rate_per_s}")
        at_s, number = rng.expovariate(rate_per_s), 0
        while at_s < duration_s:
            yield self._ask(rng, number, at_s)
            at_s, number = at_s + rng.expovariate(rate_per_s), number + 1

    def endless(self) -> Iterator[Ask]:
        """A closed loop: whoever got an answer asks again."""
        rng, number = random.Random(self.seed), 0
        while True:
            yield self._ask(rng, number, 0.0)
            number += 1

    def body(self, ask: Ask, model: str) -> Json:
        content = ask.document.content
        if self.is_fresh and _is_text(content):
            content = f"Copy {self.seed}-{ask.number}-{ask.at_s:.6f}\n".encode() + content
        file = file_json(ask.document.name, content)
        parts = [{"type": "file", "file": file}, {"type": "text", "text": ask.question}]
        return {
            "model": model,
            "messages": [{"role": "user", "content": parts}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _ask(self, rng: random.Random, number: int, at_s: float) -> Ask:
        return Ask(number, at_s, rng.choice(self.documents), rng.choice(self.questions))


def documents_in(paths: Sequence[Path]) -> tuple[DocumentSource, ...]:
    """Files as they are, and of folders all files below; the repository's examples where nothing is given.

    Raises InvalidRequestError where there is nothing to read.
    """
    documents: list[DocumentSource] = []
    for path in paths or [EXAMPLES]:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            try:
                documents.append(DocumentSource(file.name, file.read_bytes()))
            except OSError as error:
                raise InvalidRequestError(f"{file} cannot be read: {error.strerror}") from error
    if not documents:
        raise InvalidRequestError(f"no file in {', '.join(map(str, paths or [EXAMPLES]))}: name documents to ask about")
    return tuple(documents)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
