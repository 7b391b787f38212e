"""From what each document says to what the answer says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from glyph_core.citations import Citation
from glyph_core.config import EvidenceConfig
from glyph_core.evidence.finder import CitedPassage, DocumentEvidence
from glyph_core.evidence.folding import loosely
from glyph_core.evidence.grounding import Edit, apply, ground, moved
from glyph_core.evidence.values import values_of
from glyph_core.types import Answer


def conclude(
    answer: Answer, names: Sequence[str], evidence: Mapping[int, DocumentEvidence], wanted: EvidenceConfig
) -> Answer:
    """The answer with its citations and its grounding; ``names`` are all documents', and ``evidence`` is of those that
    it was read from, by their index.

    Nothing is grounded where a document has pages without text: what does not stand in the others may stand there.
    """
    edits: list[Edit] = []
    if wanted.grounding != "off" and evidence and all(one.has_text for one in evidence.values()):
        found = [one.values for one in evidence.values()]
        grounding, edits = ground(answer.text, values_of(answer.text), found, wanted.grounding)
        answer = replace(answer, grounding=grounding)
    cited = _best(answer.text, [(d, passage) for d, one in evidence.items() for passage in one.passages])
    citations = tuple(_citation(document, names[document], passage, edits) for document, passage in cited)
    if edits:
        answer = replace(answer, text=apply(answer.text, edits), written=answer.text)
    return replace(answer, citations=citations)


def _best(answer: str, passages: Sequence[tuple[int, CitedPassage]]) -> list[tuple[int, CitedPassage]]:
    """For each part of the answer the most similar passage, and among those the one nearest to what was asked. A part
    of a part goes where a passage that is cited for the whole of it holds it, too."""
    best: dict[tuple[int, int], tuple[int, CitedPassage]] = {}
    for document, passage in passages:
        part = (passage.answer_start, passage.answer_stop)
        known = best.get(part)
        if known is None or (passage.similarity, passage.context) > (known[1].similarity, known[1].context):
            best[part] = (document, passage)
    parts = sorted(best, key=lambda part: (part[0], -part[1]))
    return [best[part] for part in parts if not _is_held(answer, part, best)]


def _is_held(answer: str, part: tuple[int, int], best: Mapping[tuple[int, int], tuple[int, CitedPassage]]) -> bool:
    wanted = loosely(answer[slice(*part)])
    around = [whole for whole in best if whole[0] <= part[0] and part[1] <= whole[1] and whole != part]
    return any(best[whole][1].similarity == 1 or wanted in loosely(best[whole][1].text) for whole in around)


def _citation(document: int, name: str, passage: CitedPassage, edits: Sequence[Edit]) -> Citation:
    return Citation(
        document=document,
        name=name,
        text=passage.text,
        offset=passage.offset,
        length=passage.length,
        regions=passage.regions,
        answer_start=moved(passage.answer_start, edits),
        answer_stop=moved(passage.answer_stop, edits),
        similarity=passage.similarity,
        num_occurrences=passage.num_occurrences,
        before=passage.before,
        after=passage.after,
    )
