"""Two documents beside each other: every planted difference is found, and nothing else."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path
from random import Random

import pytest

from deployments.comparisons import comparison_json, comparison_markdown
from glyph_core.config import preset
from glyph_core.documents.source import read_source
from glyph_core.evidence.alignment import _heaviest_chain
from glyph_core.evidence.clauses import clauses_of
from glyph_core.evidence.comparison import Comparison, changes_of, compare
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

LEASE = """# Lease

1. The Tenant pays a rent of 1,200 EUR on the first day of each month.

2. The Landlord keeps the roof and the outer walls in good repair.

3. Either party may end this lease with a notice of three months.

4. The deposit is 3,600 EUR and is paid back within thirty days.

5. This lease is governed by the law of Portugal.
"""
RENEWED = """# Lease

1. The Tenant pays a rent of 1,350 EUR on the first day of each month.

3. Either party may end this lease with a notice of three months.

4. The deposit is 3,600 EUR and is paid back within thirty days.

5. This lease is governed by the law of Portugal.

6. Cats and other quiet animals are welcome in all rooms.

2. The Landlord keeps the roof and the outer walls in good repair.
"""


@pytest.fixture(scope="module")
def renderer() -> PageRenderer:
    return PageRenderer(preset("mini"))


def compared(renderer: PageRenderer, first: str, second: str) -> Comparison:
    return compare(renderer, DocumentSource("old.md", first.encode()), DocumentSource("new.md", second.encode()))


def test_each_difference_is_a_row(renderer: PageRenderer) -> None:
    comparison = compared(renderer, LEASE, RENEWED)
    assert comparison.counts == {"same": 4, "changed": 1, "moved": 1, "only_first": 0, "only_second": 1}
    changed, moved, new = (
        next(row for row in comparison.rows if row.kind == k) for k in ("changed", "moved", "only_second")
    )
    assert [(change.first, change.second) for change in changed.changes] == [("1,200", "1,350")]
    assert moved.first is not None
    assert moved.first.text.startswith("2. The Landlord")
    assert moved.changes == ()
    assert new.second is not None
    assert "animals" in new.second.text
    kinds = [row.kind for row in comparison.rows]
    assert kinds.index("only_second") > kinds.index("changed")


def test_clauses_are_cited_where_they_stand(renderer: PageRenderer) -> None:
    texts = {"first": LEASE, "second": RENEWED}
    for row in compared(renderer, LEASE, RENEWED).rows:
        for side in ("first", "second"):
            clause = getattr(row, side)
            if clause is None:
                continue
            words = texts[side][clause.offset : clause.offset + clause.length].split()
            assert " ".join(words) == clause.text
            assert clause.page_index == 0
            assert bool(clause.regions) == (row.kind != "same")


def test_the_same_documents_do_not_differ(renderer: PageRenderer) -> None:
    comparison = compared(renderer, LEASE, LEASE.replace("\n\n", "\n \n"))
    assert {row.kind for row in comparison.rows} == {"same"}
    assert "what differs" not in comparison_markdown(comparison)


def test_the_lines_of_a_form_are_clauses_of_their_own(renderer: PageRenderer) -> None:
    form = "Offer\n\nBuyer: Orchard Foods\nPrice: 12,500 EUR\nDelivery: by ship, from Cork\n\nWe hope to hear from you."
    comparison = compare(
        renderer,
        DocumentSource("old.txt", form.encode()),
        DocumentSource("new.txt", form.replace("12,500", "12,900").encode()),
    )
    assert comparison.counts == {"same": 4, "changed": 1, "moved": 0, "only_first": 0, "only_second": 0}
    [changed] = [row for row in comparison.rows if row.kind == "changed"]
    assert changed.first is not None
    assert changed.first.text == "Price: 12,500 EUR"


def test_nothing_in_common(renderer: PageRenderer) -> None:
    comparison = compared(renderer, "Alpha beta gamma delta.", "一二三四五六七。")
    assert comparison.counts == {"same": 0, "changed": 0, "moved": 0, "only_first": 1, "only_second": 1}


def test_the_table_is_markdown(renderer: PageRenderer) -> None:
    table = comparison_markdown(compared(renderer, LEASE, RENEWED)).splitlines()
    rows = [line for line in table if line.startswith("| ")]
    assert len(rows) == 4  # the head and three differences
    assert all(line.count(" | ") == 3 for line in rows)
    assert "~~1,200~~ **1,350**" in table[6]
    assert "(page 1)" in table[6]
    found = comparison_json(compared(renderer, "a | b", "a | c"))
    assert "a \\| b" in found["markdown"]


@pytest.mark.parametrize("name", ["ALAMOGORDO*.txt", "VITAMINSHOPPE*.txt"])
def test_a_real_contract_with_planted_changes(shared_data: Path, renderer: PageRenderer, name: str) -> None:
    source = read_source(next((shared_data / "contracts").glob(name)))
    paragraphs = source.content.decode().split("\n\n")
    random = Random(5)
    long = [i for i, text in enumerate(paragraphs) if len(text) > 200 and " shall " in text]
    changed, dropped, added = random.sample(long, 3)
    edited = list(paragraphs)
    edited[changed] = edited[changed].replace(" shall ", " need not ", 1)
    edited[added] += "\n\nA wholly new clause about penguins, 4,000 EUR and the moon."
    del edited[dropped]
    comparison = compare(renderer, source, DocumentSource("edited.txt", "\n\n".join(edited).encode()))
    differing = [row for row in comparison.rows if row.kind != "same"]
    assert len(differing) <= 6  # a paragraph may hold several numbered clauses
    assert any("need not" in change.second for row in differing for change in row.changes)
    assert any(row.second and "penguins" in row.second.text for row in differing if row.kind == "only_second")
    assert any(row.kind == "only_first" for row in differing)


def test_changes_join_what_stands_together() -> None:
    changes = changes_of("the rent is 1,200 EUR a month", "the yearly rent is 1,350 USD a month")
    assert [(change.first, change.second) for change in changes] == [("", "yearly"), ("1,200 EUR", "1,350 USD")]


def test_the_heaviest_chain_is_the_heaviest() -> None:
    random = Random(6)
    for _ in range(200):
        places = random.sample([(i, j) for i in range(5) for j in range(5)], 8)
        scored = [(i, j, random.randrange(1, 9)) for i, j in places]
        weight = {(i, j): score for i, j, score in scored}
        chain = _heaviest_chain(scored)
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(chain))
        best = max(
            sum(weight[p] for p in some)
            for size in range(1, 6)
            for some in combinations(sorted(weight), size)
            if all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(some))
        )
        assert sum(weight[p] for p in chain) == best


def test_clauses_of_a_scan(renderer: PageRenderer) -> None:
    clauses = clauses_of(renderer.document(DocumentSource("a.md", LEASE.encode())))
    assert [clause.number for clause in clauses if clause.number] == ["1", "2", "3", "4", "5"]
