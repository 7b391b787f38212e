"""Two documents beside each other, clause by clause: what is the same, what differs, what only one of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from rapidfuzz.distance import Levenshtein

from glyph_core.citations import Region
from glyph_core.documents.blocks import Document
from glyph_core.evidence.alignment import Pair, align
from glyph_core.evidence.clauses import clauses_of
from glyph_core.evidence.folding import loosely
from glyph_core.evidence.places import PlacedDocuments, regions_of
from glyph_core.evidence.refinement import refined
from glyph_core.evidence.source_text import SourceText
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.types import DocumentSource

MAX_CLAUSES = 5000  # of a document
RowKind = Literal["same", "changed", "moved", "only_first", "only_second"]


@dataclass(frozen=True, slots=True)
class Change:
    """Words of the first document, and what the second has in their place; one of them may be empty."""

    first: str
    second: str


@dataclass(frozen=True, slots=True)
class CitedClause:
    """A clause and where it stands. The same clause in both documents is cited by its page alone."""

    label: str
    text: str
    offset: int
    length: int
    page_index: int | None  # None: on no page
    regions: tuple[Region, ...] = ()
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class ComparedClauses:
    kind: RowKind  # moved: at another place, changed or not
    first: CitedClause | None
    second: CitedClause | None
    similarity: float = 0.0  # in [0, 1]
    changes: tuple[Change, ...] = ()

    @property
    def is_aside(self) -> bool:
        """Whether it is about page numbers or running heads."""
        return any(clause.is_aside for clause in (self.first, self.second) if clause is not None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows in the order of the first document; what only the second has stands where it stands there."""

    names: tuple[str, str]
    rows: tuple[ComparedClauses, ...]
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        counts = Counter(row.kind for row in self.rows)
        return {kind: counts[kind] for kind in ("same", "changed", "moved", "only_first", "only_second")}


class ComparedDocuments(PlacedDocuments, Protocol):
    """What a comparison needs of a PageRenderer."""

    def document(self, source: DocumentSource) -> Document: ...


def compare(renderer: ComparedDocuments, first: DocumentSource, second: DocumentSource) -> Comparison:
    """Needs no model. Raises the errors of reading and laying out the documents."""
    sides = _Side(renderer, first), _Side(renderer, second)
    warnings = [warning for side in sides for warning in side.warnings]
    cut = refined(sides[0].clauses, sides[1].clauses, (sides[0].document_text, sides[1].document_text))
    if cut is None:
        warnings.append("the documents are so long that they were compared by their own paragraphs, wherever these end")
    else:
        sides[0].clauses, sides[1].clauses = cut
    pairs = align(sides[0].clauses, sides[1].clauses)
    rows = _in_order([_compared(pair, *sides) for pair in pairs], pairs, *sides)
    rows = [row for row in rows if not row.is_aside]
    return Comparison((first.name, second.name), tuple(rows), tuple(warnings))


class _Side:
    def __init__(self, renderer: ComparedDocuments, source: DocumentSource) -> None:
        self._renderer, self._source = _Remembering(renderer), source
        self._text = SourceText(renderer.text(source), renderer.text_ranges(source))
        document = renderer.document(source)
        self.document_text = document.text
        clauses = clauses_of(document)
        self.clauses, self.warnings = clauses[:MAX_CLAUSES], []
        if len(clauses) > MAX_CLAUSES:
            self.warnings.append(f"of {source.name!r} only the first {MAX_CLAUSES} clauses were compared")
        if not clauses:
            self.warnings.append(f"{source.name!r} has no text to compare: it is a picture or a scan")

    def cite(self, index: int, *, whole: bool) -> CitedClause:
        clause = self.clauses[index]
        pages = self._text.pages_of(clause.start, clause.stop)
        whole = whole and not clause.is_aside
        regions = regions_of(self._renderer, self._source, self._text, clause.start, clause.stop) if whole else ()
        page_index = regions[0].page_index if regions else pages[0] if pages else None
        return CitedClause(
            clause.label, clause.text, clause.start, clause.stop - clause.start, page_index, regions, clause.is_aside
        )


class _Remembering:
    """A renderer whose spans are read once a page: many clauses stand on one."""

    def __init__(self, renderer: PlacedDocuments) -> None:
        self.text, self.page_sizes, self.text_ranges = renderer.text, renderer.page_sizes, renderer.text_ranges
        self._spans = lru_cache(maxsize=32)(renderer.spans)
        self._placed = lru_cache(maxsize=32)(renderer.placed_glyphs)

    def spans(self, source: DocumentSource, page_index: int) -> list[Span]:
        return self._spans(source, page_index)

    def placed_glyphs(self, source: DocumentSource, page_index: int) -> PlacedGlyphs:
        return self._placed(source, page_index)


def _compared(pair: Pair, first: _Side, second: _Side) -> ComparedClauses:
    is_same = pair.similarity == 1
    kind: RowKind = "moved" if pair.is_moved else "same" if is_same else "changed"
    whole = kind != "same"
    changes = () if is_same else changes_of(first.clauses[pair.first].text, second.clauses[pair.second].text)
    cited = first.cite(pair.first, whole=whole), second.cite(pair.second, whole=whole)
    return ComparedClauses(kind, *cited, pair.similarity, changes)


def changes_of(first: str, second: str) -> tuple[Change, ...]:
    """Word by word; quotation marks, bullets and the like are no difference."""
    words = [[word for word in text.split() if loosely(word)] for text in (first, second)]
    folded = [[loosely(word) for word in side] for side in words]
    return tuple(
        Change(" ".join(words[0][op.src_start : op.src_end]), " ".join(words[1][op.dest_start : op.dest_end]))
        for op in _joined(Levenshtein.opcodes(*folded))
    )


@dataclass(slots=True)
class _Edit:
    src_start: int
    src_end: int
    dest_start: int
    dest_end: int


def _joined(opcodes: Levenshtein.Opcodes) -> list[_Edit]:  # type: ignore[name-defined]
    """Edits one after another are one."""
    edits: list[_Edit] = []
    for op in opcodes:
        if op.tag == "equal":
            continue
        if edits and (edits[-1].src_end, edits[-1].dest_end) == (op.src_start, op.dest_start):
            edits[-1].src_end, edits[-1].dest_end = op.src_end, op.dest_end
        else:
            edits.append(_Edit(op.src_start, op.src_end, op.dest_start, op.dest_end))
    return edits


def _in_order(
    rows: Sequence[ComparedClauses], pairs: Sequence[Pair], first: _Side, second: _Side
) -> list[ComparedClauses]:
    """The pairs' rows and those of the clauses that have no partner."""
    of_first = {pair.first: row for pair, row in zip(pairs, rows, strict=True)}
    paired_second = {pair.second for pair in pairs}
    partner = {pair.first: pair.second for pair in pairs if not pair.is_moved}
    result: list[ComparedClauses] = []
    at = 0  # next clause of the second document
    for index in range(len(first.clauses)):
        if index in partner:
            result += _only_second(second, range(at, partner[index]), paired_second)
            at = partner[index] + 1
        only = ComparedClauses("only_first", first.cite(index, whole=True), None) if index not in of_first else None
        result.append(of_first.get(index) or only)  # type: ignore[arg-type]
    return result + _only_second(second, range(at, len(second.clauses)), paired_second)


def _only_second(second: _Side, indices: range, paired: set[int]) -> list[ComparedClauses]:
    lonely = [index for index in indices if index not in paired]
    return [ComparedClauses("only_second", None, second.cite(index, whole=True)) for index in lonely]
