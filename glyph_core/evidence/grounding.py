"""What the documents together say of an answer's values, and the answer with its near misses mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glyph_core.citations import GroundedValue, Grounding, GroundingMode
from glyph_core.evidence.folding import strictly
from glyph_core.evidence.lookup import Found, NearMiss
from glyph_core.evidence.values import Value


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters ``[start, stop)`` of an answer became ``text``."""

    start: int
    stop: int
    text: str


def ground(
    answer: str, values: Sequence[Value], found: Sequence[Sequence[Found]], mode: GroundingMode
) -> tuple[Grounding, list[Edit]]:
    """``found[d][v]`` is what document d says of value v. The places in the result are those of the mended answer."""
    supported: list[GroundedValue] = []
    repaired: list[GroundedValue] = []
    unsupported: list[GroundedValue] = []
    edits: list[Edit] = []
    for index, value in enumerate(values):
        of_value = [of_document[index] for of_document in found]
        shift = sum(len(edit.text) - (edit.stop - edit.start) for edit in edits)
        sources = tuple(dict.fromkeys(what.source for what in of_value if what.offset is not None))
        if sources:
            supported.append(_grounded(value, value.text, shift, sources))
            continue
        near = [miss for what in of_value for miss in what.near]
        right = _only(near) if mode == "repair" else None
        if right is None or not _fits_json(answer, right):
            texts = tuple(dict.fromkeys(miss.text for miss in near))
            unsupported.append(_grounded(value, value.text, shift, texts))
        else:
            edits.append(Edit(value.start, value.stop, right))
            repaired.append(_grounded(value, right, shift, (right,)))
    return Grounding(tuple(supported), tuple(repaired), tuple(unsupported)), edits


def apply(answer: str, edits: Sequence[Edit]) -> str:
    for edit in reversed(edits):
        answer = answer[: edit.start] + edit.text + answer[edit.stop :]
    return answer


def moved(at: int, edits: Sequence[Edit]) -> int:
    """Where the place before the character at ``at`` is after the edits."""
    return at + sum(len(edit.text) - (edit.stop - edit.start) for edit in edits if edit.stop <= at)


def _only(near: Sequence[NearMiss]) -> str | None:
    """The one text that fits. One character for another is likelier than one too few or too many, so that a single
    text of that kind goes before others."""
    for misses in ([miss for miss in near if miss.is_substitution], near):
        texts = {strictly(miss.text): miss.text for miss in misses}
        if len(texts) == 1:
            return next(iter(texts.values()))
        if texts:
            return None
    return None


def _fits_json(answer: str, text: str) -> bool:
    return answer.lstrip()[:1] not in ("{", "[") or not set('"\\') & set(text)


def _grounded(value: Value, text: str, shift: int, source: tuple[str, ...]) -> GroundedValue:
    start = value.start + shift
    return GroundedValue(value.kind, text, start, start + len(text), value.text, source)
