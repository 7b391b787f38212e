"""How much of held-out pages a model reads, batch by batch on the trainer's own device.

An answer counts as right if every byte of it, and its end, is the most likely one after the right bytes before it:
that is exactly when greedy decoding gives it. ``scripts/eval_reading.py`` measures the same rows through the product's
pipeline instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from glyph_core.training.batch import Batch, PackedDocument, pack
from glyph_core.training.composer import Composer
from glyph_core.training.curriculum import make_document
from glyph_core.training.loader import units_of
from glyph_core.training.looks import Typesetter
from glyph_core.training.material import Material
from glyph_core.training.model import PackedReader
from glyph_core.training.rows import Row
from glyph_core.training.step import DeviceBatch, run_step
from glyph_core.training.text_sources import TextSources

JPEG_QUALITY = 60.0
UNITS_PER_BATCH = 40_000


def row_documents(
    row: Row, sources: TextSources, typesetter: Typesetter, num_questions: int, seed: int
) -> list[PackedDocument]:
    """Documents with at least ``num_questions`` questions that the row counts, and no others; ``sources`` are the
    held-out ones."""
    material = Material(sources, row.formats, seed, row.wording)
    documents: list[PackedDocument] = []
    count = 0
    while count < num_questions:
        document = make_document(material, typesetter, row.spec)
        questions = tuple(question for question in document.questions if row.counts(question)) if document else ()
        if document and questions:
            documents.append(_treated(replace(document, questions=questions), row))
            count += len(questions)
    return _swapped(documents) if row.is_control and not row.blank else documents


def _treated(document: PackedDocument, row: Row) -> PackedDocument:
    pages = document.pages
    if row.inverted:
        pages = tuple(replace(page, photometry=(1.0, 0.0, 0.0)) for page in pages)
    if row.jpeg:
        pages = tuple(
            replace(
                page, canvas=(page.laid_out.width_px, page.laid_out.height_px, *page.final_size, 0, 0, 0, JPEG_QUALITY)
            )
            for page in pages
        )
    return replace(document, pages=pages)


def _swapped(documents: Sequence[PackedDocument]) -> list[PackedDocument]:
    """Each document's questions with the next one's pages, less those that its pages answer by chance alike."""
    swapped = []
    for document, other in zip(documents, [*documents[1:], documents[0]], strict=True):
        answers = {question.answer for question in other.questions}
        kept = tuple(question for question in document.questions if question.answer not in answers)
        if kept:
            swapped.append(replace(other, questions=kept))
    return swapped


def _batches(documents: Sequence[PackedDocument]) -> Iterator[list[PackedDocument]]:
    group: list[PackedDocument] = []
    filled = 0.0
    for document in documents:
        group.append(document)
        filled += units_of(document)
        if filled > UNITS_PER_BATCH:
            yield group
            group, filled = [], 0.0
    if group:
        yield group


def row_batches(
    rows: Sequence[Row], sources: TextSources, typesetter: Typesetter, num_questions: int, seed: int
) -> dict[str, list[Batch]]:
    """Packed batches of each row's documents, by the row's name."""
    ink_starts = typesetter.ink_table().starts
    return {
        row.name: [
            pack(group, ink_starts) for group in _batches(row_documents(row, sources, typesetter, num_questions, seed))
        ]
        for row in rows
    }


@torch.no_grad()
def measure(
    batches_of: Mapping[str, Sequence[Batch]], reader: PackedReader, composer: Composer, device: torch.device
) -> dict[str, float]:
    """Share of right answers by row."""
    reader.compile_pieces(False)
    shares = {}
    for name, batches in batches_of.items():
        right = 0
        for batch in batches:
            result = run_step(reader, composer, DeviceBatch(batch, device).move(), augmented=False, glyph_weight=0.0)
            right += int(result.is_right.sum())
        shares[name] = right / max(1, sum(batch.num_questions for batch in batches))
    reader.compile_pieces(True)
    return shares
