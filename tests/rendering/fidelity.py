"""How much of a document's text can be read back from the glyphs on its pages."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np

from glyph_core.documents.blocks import Document, TableBlock
from glyph_core.rendering.bidi import mirrored
from glyph_core.rendering.characters import BreakClass, break_class
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

_GLUE = "\u00a0\u2007\u202f"  # spaces that bind
_INKLESS = {BreakClass.NEWLINE, BreakClass.IGNORED, BreakClass.SPACE, BreakClass.TAB}


@dataclass(frozen=True)
class Fidelity:
    num_visible: int  # characters of the text that have ink
    num_read: int  # of them, those that the placed glyphs show
    num_in_order: int  # of them, those that stand on no earlier page than what comes before
    lost: str  # the first of the others

    @property
    def share(self) -> float:
        return min(self.num_read, self.num_in_order) / self.num_visible if self.num_visible else 1.0


def fidelity_of(renderer: PageRenderer, source: DocumentSource) -> Fidelity:
    text = renderer.text(source)
    codepoints = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    is_visible = _has_ink(codepoints)
    is_read = np.zeros(len(text), dtype=bool)
    pages = np.full(len(text), -1)
    for page in range(renderer.plan(source).num_pages):
        placed = renderer.placed_glyphs(source, page)
        for offset, length, shown in zip(
            placed.offsets.tolist(), placed.lengths.tolist(), placed.codepoints.tolist(), strict=True
        ):
            if offset >= 0 and (length > 1 or _base(shown) == _base(int(codepoints[offset]))):
                is_read[offset : offset + length] = True
                pages[offset : offset + length] = page
        for span in renderer.spans(source, page):
            if not is_read[span.start : span.stop].any():  # a formula's picture, a native page's word
                is_read[span.start : span.stop], pages[span.start : span.stop] = True, page
    pages[~(is_visible & is_read)] = -1
    in_order = _num_in_order(renderer.document(source), pages)
    lost = "".join(text[index] for index in np.flatnonzero(is_visible & ~is_read)[:40])
    return Fidelity(int(is_visible.sum()), int((is_visible & is_read).sum()), in_order, lost)


def _num_in_order(document: Document, pages: np.ndarray) -> int:
    """``pages`` are the characters' (-1: of those that do not count). Within a table cells may go back a page: those of
    a row stand beside one another, and a header stands with the first value under it."""
    count, latest = 0, 0
    for block, start in zip(document.blocks, document.starts, strict=True):
        found = pages[start : start + len(block.text)]
        found = found[found >= 0]
        if found.size:
            before = latest if isinstance(block, TableBlock) else np.maximum(latest, np.maximum.accumulate(found))
            count += int((found >= before).sum())
            latest = max(latest, int(found.max()))
    return count


def _has_ink(codepoints: np.ndarray) -> np.ndarray:
    distinct, where = np.unique(codepoints, return_inverse=True)
    characters = [chr(codepoint) for codepoint in distinct.tolist()]
    has_ink = [break_class(character) not in _INKLESS and character not in _GLUE for character in characters]
    return np.array(has_ink, dtype=bool)[where]


@cache
def _base(codepoint: int) -> int:
    """What ``codepoint`` is the same as: a letter is its presentation forms, a bracket the one that mirrors it."""
    normal = unicodedata.normalize("NFKC", chr(codepoint))
    normal = min(normal, mirrored(normal)) if len(normal) == 1 else chr(codepoint)
    return ord(normal)
