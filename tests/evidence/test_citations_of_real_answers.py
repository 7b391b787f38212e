"""Answers that people marked in real texts: the cited boxes hold them."""

from __future__ import annotations

import ast
import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from glyph_core.config import EvidenceConfig, preset
from glyph_core.documents.source import read_source
from glyph_core.evidence.finder import CitedPassage, EvidenceFinder, EvidenceQuery
from glyph_core.evidence.folding import loosely
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource


class Desk:
    """A renderer, and evidence from it."""

    def __init__(self) -> None:
        self.renderer = PageRenderer(preset("mini"), max_cached_layouts=60)
        self.finder = EvidenceFinder(self.renderer, max_documents=60)

    def passages(self, source: DocumentSource, answer: str, question: str) -> tuple[CitedPassage, ...]:
        return self.finder.find(source, EvidenceQuery(answer, question, None, EvidenceConfig())).passages

    def read_boxes(self, source: DocumentSource, passage: CitedPassage) -> str:
        """What stands in the cited boxes, read back from the glyphs that were placed there."""
        text = []
        for region in passage.regions:
            placed = self.renderer.placed_glyphs(source, region.page_index)
            left, top, right, bottom = region.box
            boxes = placed.boxes
            is_in = (boxes[:, 0] >= left) & (boxes[:, 1] >= top) & (boxes[:, 2] <= right) & (boxes[:, 3] <= bottom)
            text.append("".join(map(chr, placed.codepoints[is_in])))
        return letters("".join(text))


def letters(text: str) -> str:
    return "".join(character for character in loosely(text) if character.isalnum())


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_of_xquad(shared_data: Path, desk: Desk, language: str) -> None:
    counts: Counter[str] = Counter()
    for article in json.loads((shared_data / "qa" / f"xquad.{language}.dev.json").read_bytes())["data"]:
        contexts = [paragraph["context"] for paragraph in article["paragraphs"]]
        source = DocumentSource("article.txt", "\n\n".join(contexts).encode())
        start = 0
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"][::2]:
                answer = question["answers"][0]
                passages = desk.passages(source, answer["text"], question["question"])
                counts["asked"] += 1
                counts["held"] += any(letters(answer["text"]) in desk.read_boxes(source, p) for p in passages)
                if passages and passages[0].num_occurrences == 1:
                    counts["unique"] += 1
                    gold = start + answer["answer_start"]
                    counts["gold"] += passages[0].offset <= gold < passages[0].offset + passages[0].length
            start += len(paragraph["context"]) + 2
    assert counts["asked"] > 300
    assert counts["held"] >= 0.99 * counts["asked"]
    assert counts["unique"] > 200
    assert counts["gold"] >= 0.98 * counts["unique"]


@pytest.mark.parametrize("suffix", [".txt", ".pdf"])
def test_clauses_of_cuad(shared_data: Path, desk: Desk, suffix: str) -> None:
    """The labels were made on the text files; the PDF's boxes must hold the same words."""
    counts: Counter[str] = Counter()
    folder = shared_data / "contracts"
    with (folder / "cuad_answers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        source = read_source(folder / (row["local_name"] + suffix))
        text = letters(desk.renderer.text(source))
        for clause, labels in row.items():
            if clause.endswith("Answer") or not labels.startswith("["):
                continue
            parts = [part.strip() for label in ast.literal_eval(labels) for part in label.split("<omitted>")]
            for part in parts:
                if not letters(part) or letters(part) not in text:
                    continue
                passages = desk.passages(source, part, clause)
                counts["asked"] += 1
                counts["held"] += bool(passages) and all(
                    letters(part[p.answer_start : p.answer_stop]) in desk.read_boxes(source, p) for p in passages
                )
    assert counts["asked"] > 250
    assert counts["held"] >= 0.99 * counts["asked"]
