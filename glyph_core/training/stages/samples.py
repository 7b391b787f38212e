"""Documents with a question and its answer, drawn by number: the same number is the same sample in every run, on every
rank, and after a resume."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from glyph_core.documents.source import read_source
from glyph_core.errors import ConfigError
from glyph_core.training.generator import DocumentSpec, generate
from glyph_core.training.material import Material
from glyph_core.training.stages.config import StageConfig
from glyph_core.training.text_sources import Split, TextSources, load
from glyph_core.types import DocumentSource

GENERATED = DocumentSpec(columns=64, max_lines=60, num_questions=8)


@dataclass(frozen=True, slots=True)
class Sample:
    source: DocumentSource
    question: str
    answer: str


class Samples(Protocol):
    def draw(self, number: int) -> Sample: ...


class JsonlSamples:
    """A JSON object a line: ``text``, or ``file`` (beside the JSONL, or absolute), and ``question`` and ``answer``.

    Every line comes once in an epoch, in an order of the epoch's own.
    """

    def __init__(self, path: Path, seed: int) -> None:
        """Raises ConfigError for a file that cannot be read, naming the line."""
        self._folder, self._seed = path.parent, seed
        try:
            lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at what JSON leaves in strings
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        self._lines = [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
        if not self._lines:
            raise ConfigError(f"{path} has no lines")
        self._order: tuple[int, list[int]] = (-1, [])  # epoch and the order of its lines

    def draw(self, number: int) -> Sample:
        epoch, place = divmod(number, len(self._lines))
        if self._order[0] != epoch:
            order = list(range(len(self._lines)))
            random.Random(f"{self._seed} {epoch}").shuffle(order)
            self._order = epoch, order
        line = self._lines[self._order[1][place]]
        if "text" in line:
            return Sample(DocumentSource("page.txt", line["text"].encode()), line["question"], line["answer"])
        return Sample(read_source(self._folder / line["file"]), line["question"], line["answer"])


class GeneratedSamples:
    """Documents of the synthetic generator, glyph-mini's."""

    def __init__(self, sources: TextSources, seed: int) -> None:
        self._sources, self._seed = sources, seed

    def draw(self, number: int) -> Sample:
        for attempt in range(100):  # the smallest documents have no question
            material = Material(self._sources, Split.TRAIN, hash((self._seed, number, attempt)))
            document = generate(material, GENERATED)
            if document.questions:
                question = document.questions[number % len(document.questions)]
                return Sample(DocumentSource("page.txt", document.text.encode()), question.text, question.answer)
        raise ConfigError("the generator made a hundred documents without a question; give it more text")


def make_samples(config: StageConfig) -> Samples:
    """Raises ConfigError unless there is one source of documents."""
    if (config.data is None) == (config.text is None):
        raise ConfigError("a stage needs documents: data (JSONL) or text (of scripts/collect_text.py), one of them")
    if config.data is not None:
        return JsonlSamples(config.data, config.seed)
    assert config.text is not None
    return GeneratedSamples(load(config.text, Split.TRAIN), config.seed)


def _parsed(path: Path, number: int, line: str) -> dict[str, str]:
    try:
        sample = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: no JSON: {error}") from error
    told = {key for key, value in sample.items() if value is not None} if isinstance(sample, dict) else set()
    if not {"question", "answer"} <= told or not {"text", "file"} & told:
        raise ConfigError(f"{path}, line {number}: it needs question, answer, and text or file")
    return {key: str(sample[key]) for key in told}
