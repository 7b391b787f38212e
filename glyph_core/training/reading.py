"""Rows of the table through the public pipeline: held-out documents in, answers out, compared to the last character."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glyph_core.answering.request import AnswerRequest
from glyph_core.config import EvidenceConfig, RenderConfig, SamplingConfig
from glyph_core.errors import ConfigError
from glyph_core.pipeline import Pipeline
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.training.curriculum import PageSpec
from glyph_core.training.evaluate import JPEG_QUALITY, row_documents
from glyph_core.training.facts import Question
from glyph_core.training.looks import LOOKS, Typesetter
from glyph_core.training.material import Material
from glyph_core.training.planted import Filler, num_pages_of, plant
from glyph_core.training.rows import Row
from glyph_core.training.scans import Scanner, as_jpeg, as_png
from glyph_core.training.text_sources import TextSources
from glyph_core.types import Answer, DocumentSource

NO_EVIDENCE = EvidenceConfig(citations=False, grounding="off")  # the model is measured, not what mends its answers
SAMPLING = SamplingConfig(max_tokens=128)  # the longest answer that counts has 84 bytes
Z_95 = 1.959964


@dataclass(frozen=True)
class AskedDocument:
    """A document as a user sends it, and what is asked of it."""

    sources: tuple[DocumentSource, ...]
    config: RenderConfig
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question's outcome; the log-probabilities are of the answer's tokens."""

    question: str
    expected: str
    answer: str
    confidence: float
    mean_logprob: float
    min_logprob: float
    num_tokens: int
    num_warnings: int

    @property
    def is_right(self) -> bool:
        return self.answer == self.expected


@dataclass
class RowResult:
    """A row as far as it was asked."""

    name: str
    asked: list[Asked] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def num_right(self) -> int:
        return sum(asked.is_right for asked in self.asked)

    @property
    def share(self) -> float:
        return self.num_right / max(1, len(self.asked))

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.num_right, len(self.asked))


def wilson_interval(num_right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, z2 = num_right / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


class RowMaker:
    """Makes the documents of any row; the same seed gives the same documents."""

    def __init__(self, sources: TextSources, typesetter: Typesetter, real: Path | None, seed: int) -> None:
        """``sources`` are the held-out ones, ``real`` the folder that planted.Filler reads."""
        self._sources, self._typesetter, self._real, self._seed = sources, typesetter, real, seed

    def documents(self, row: Row, num_questions: int) -> list[AskedDocument]:
        """Documents with at least ``num_questions`` questions. Raises ConfigError for a row of real text where no
        folder was named."""
        if row.filler:
            return list(self._planted(row, num_questions))
        packed = row_documents(row, self._sources, self._typesetter, num_questions, self._seed)
        material = Material(self._sources, row.formats, self._seed)
        asked = []
        for document in packed:
            config = document.config.model_copy(update={"inverted": row.inverted})
            asked.append(AskedDocument(_sources_of(row, document.text, config, material), config, document.questions))
        return asked

    def _planted(self, row: Row, num_questions: int) -> Iterator[AskedDocument]:
        if self._real is None or row.filler is None:
            raise ConfigError(f"the row {row.name!r} needs real documents: name their folder with --real")
        filler = Filler.read(self._real, row.filler)
        material = Material(self._sources, row.formats, self._seed, row.wording)
        renderers: dict[RenderConfig, PageRenderer] = {}
        count = 0
        while count < num_questions:
            config = _config_of(row.spec, material)
            num_pages = material.number(*row.spec.pages)
            document = plant(material, filler, config, num_pages, chinese=row.filler == "chinese")
            questions = tuple(question for question in document.questions if row.counts(question))
            renderer = renderers.setdefault(config, PageRenderer(config))
            if questions and row.spec.pages[0] <= num_pages_of(document, renderer) <= row.spec.pages[1]:
                count += len(questions)
                source = DocumentSource("document.txt", document.text.encode())
                yield AskedDocument((source,), config, questions)


def ask(pipeline: Pipeline, documents: Sequence[AskedDocument], num_at_once: int) -> Iterator[list[Asked]]:
    """All questions, about ``num_at_once`` together, those about one document always together: its pages are encoded
    once for all of them."""
    group: list[tuple[AskedDocument, Question]] = []
    for index, document in enumerate(documents):
        group += [(document, question) for question in document.questions]
        if len(group) >= num_at_once or index + 1 == len(documents):
            requests = [
                AnswerRequest.about(d.sources, q.text, render=d.config, sampling=SAMPLING, evidence=NO_EVIDENCE)
                for d, q in group
            ]
            answers = pipeline.run(requests)
            yield [_outcome(question, answer) for (_, question), answer in zip(group, answers, strict=True)]
            group = []


def _outcome(question: Question, answer: Answer) -> Asked:
    logprobs = answer.token_logprobs or (0.0,)
    return Asked(
        question=question.text,
        expected=question.answer,
        answer=answer.text,
        confidence=answer.confidence,
        mean_logprob=sum(logprobs) / len(logprobs),
        min_logprob=min(logprobs),
        num_tokens=len(logprobs),
        num_warnings=len(answer.warnings),
    )


def _config_of(spec: PageSpec, material: Material) -> RenderConfig:
    return LOOKS[material.random.choices(list(spec.looks), list(spec.looks.values()))[0]]


def _sources_of(row: Row, text: str, config: RenderConfig, material: Material) -> tuple[DocumentSource, ...]:
    """The document as text, or as one picture a page where the row treats its pages."""
    source = DocumentSource("document.txt", text.encode())
    if not (row.jpeg or row.scan or row.blank):
        return (source,)
    renderer = PageRenderer(config)
    pages = [page.pixels for page in renderer.render(source, 0, renderer.plan(source).num_pages)]
    scanner = Scanner.draw(material)
    return tuple(
        DocumentSource(f"page_{number}", _picture(row, pixels, scanner, number)) for number, pixels in enumerate(pages)
    )


def _picture(row: Row, pixels: np.ndarray, scanner: Scanner, number: int) -> bytes:
    if row.blank:
        return as_png(np.full_like(pixels, 255))
    return scanner.scan(pixels, seed=number) if row.scan else as_jpeg(pixels, int(JPEG_QUALITY))
