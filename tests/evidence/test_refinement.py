"""The same text in other paragraphs is the same text."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from glyph_core.config import preset
from glyph_core.documents.source import read_source
from glyph_core.evidence.comparison import Comparison, compare
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
from tests.documents.make_docx import docx, paragraph, run

CLAUSES = [
    "1. The Tenant pays a rent of 1,200 EUR on the first day of each month.",
    "2. The Landlord keeps the roof and the outer walls in good repair.",
    "3. Either party may end this lease with a notice of three months [***].",
    "4. The deposit is 3,600 EUR, and “the Landlord” pays it back within thirty days.",
    "5. This lease is governed by the law of Portugal.",
]
SMALL_CONTRACTS = ("EMERALD", "MANAKOA", "PfHosp", "VIRGIN")


@pytest.fixture(scope="module")
def renderer() -> PageRenderer:
    return PageRenderer(preset("mini"))


def compared(renderer: PageRenderer, first: str, second: str) -> Comparison:
    return compare(renderer, DocumentSource("a.md", first.encode()), DocumentSource("b.md", second.encode()))


def differing(comparison: Comparison) -> list[str]:
    return [row.kind for row in comparison.rows if row.kind != "same"]


@pytest.mark.parametrize("seed", range(8))
def test_where_paragraphs_end_is_no_difference(renderer: PageRenderer, seed: int) -> None:
    random = Random(seed)
    first = "".join(clause + random.choice(["\n\n", " "]) for clause in CLAUSES)
    second = "".join(clause + random.choice(["\n\n", " "]) for clause in CLAUSES)
    assert differing(compared(renderer, first, second)) == []
    assert differing(compared(renderer, second, " ".join(CLAUSES))) == []


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_changed_word_is_the_only_difference(renderer: PageRenderer, is_swapped: bool) -> None:
    texts = ["\n\n".join(CLAUSES), " ".join(CLAUSES).replace("Portugal", "Spain")]
    comparison = compared(renderer, *(texts[::-1] if is_swapped else texts))
    (row,) = [row for row in comparison.rows if row.kind != "same"]
    assert row.kind == "changed"
    assert [{change.first, change.second} for change in row.changes] == [{"Portugal.", "Spain."}]
    assert len(comparison.rows) == len(CLAUSES)


def test_new_words_stay_with_what_they_were_written_to(renderer: PageRenderer) -> None:
    first = "\n\n".join(CLAUSES)
    second = " ".join(CLAUSES).replace("each month.", "each month. Cats and other quiet animals are welcome.")
    (row,) = [row for row in compared(renderer, first, second).rows if row.kind != "same"]
    assert row.changes[-1].second == "Cats and other quiet animals are welcome."


def test_page_numbers_in_the_middle_are_no_difference(renderer: PageRenderer) -> None:
    with_pages = f"{CLAUSES[0]}\n\n{CLAUSES[1]}\n\n- 1 -\n\n{CLAUSES[2]}\n\n{CLAUSES[3]}\n\n- 2 -\n\n{CLAUSES[4]}"
    assert differing(compared(renderer, with_pages, " ".join(CLAUSES))) == []
    assert differing(compared(renderer, with_pages, with_pages.replace("\n\n", " "))) == []


def test_a_text_on_each_page_goes_with_itself(renderer: PageRenderer) -> None:
    stamp = "Confidential treatment requested."
    first = "\n\n".join(part for number in range(30) for part in (stamp, f"Clause about the matter {number} alone."))
    assert differing(compared(renderer, first, first.replace("\n\n", "\n \n"))) == []


def test_numbers_that_a_docx_counts_itself(renderer: PageRenderer) -> None:
    body = "".join(paragraph(run(clause.partition(" ")[2])) for clause in CLAUSES)
    source = docx(body)
    comparison = compare(renderer, source, DocumentSource("b.md", "\n\n".join(CLAUSES).encode()))
    assert differing(comparison) == []
    renumbered = "\n\n".join(CLAUSES).replace("5. This", "6. This")
    assert differing(compared(renderer, "\n\n".join(CLAUSES), renumbered)) == ["changed"]


def check_pairs(shared_data: Path, renderer: PageRenderer, names: tuple[str, ...]) -> tuple[int, int]:
    """Rows of the contracts' PDFs beside their texts: all of them, and those that differ."""
    num_rows = num_differing = 0
    for name in names:
        (pdf,) = (shared_data / "contracts").glob(f"{name}*.pdf")
        comparison = compare(renderer, read_source(pdf), read_source(pdf.with_suffix(".txt")))
        num_rows += len(comparison.rows)
        num_differing += len(differing(comparison))
    return num_rows, num_differing


def test_a_pdf_is_the_same_as_its_text(shared_data: Path, renderer: PageRenderer) -> None:
    num_rows, num_differing = check_pairs(shared_data, renderer, SMALL_CONTRACTS)
    assert num_rows > 150
    assert num_differing <= 2


@pytest.mark.slow
def test_all_contracts_beside_their_texts(shared_data: Path, renderer: PageRenderer) -> None:
    names = tuple(path.name[:12] for path in sorted((shared_data / "contracts").glob("*.pdf")))
    found = {name: check_pairs(shared_data, renderer, (name,)) for name in names}
    print(found)  # noqa: T201  # the figure in docs/benchmarks.md
    found.pop("Apollo_Endos")  # its text has the columns of a table one after the other
    assert sum(num_differing for _, num_differing in found.values()) <= 30
    assert sum(num_rows for num_rows, _ in found.values()) > 1500
