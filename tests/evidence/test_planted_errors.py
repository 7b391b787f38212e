"""One wrong character in identifiers, numbers and dates of real contracts is noticed and mended; right ones stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from glyph_core.citations import Grounding
from glyph_core.config import preset
from glyph_core.evidence.grounding import apply, ground
from glyph_core.evidence.lookup import look_up
from glyph_core.evidence.source_text import SourceText
from glyph_core.evidence.values import values_of
from glyph_core.rendering.renderer import PageRenderer
from tests.evidence.planting import NUM_PLANTED, SENTENCES, Contract, Planted, contracts_of, planted_errors

NUM_ANSWERS = 500


@pytest.fixture(scope="module", params=[".txt", ".pdf"])
def contracts(shared_data: Path, request: pytest.FixtureRequest) -> list[Contract]:
    renderer = PageRenderer(preset("mini"), max_cached_layouts=40)
    contracts = contracts_of(shared_data / "contracts", request.param, renderer, Random(1))
    kinds = Counter(kind for contract in contracts for kind, _ in contract.values)
    assert kinds["identifier"] >= 0.9 * NUM_PLANTED * len(contracts)
    assert min(kinds["number"], kinds["date"], kinds["short"]) >= 20
    return contracts


def grounded(source: SourceText, answer: str) -> tuple[Grounding, str]:
    values = values_of(answer)
    found = [look_up(source, value, [(0, len(source.text))]) for value in values]
    grounding, edits = ground(answer, values, [found], "repair")
    return grounding, apply(answer, edits)


def counted(errors: Iterable[Planted], random: Random) -> Counter[str]:
    """Of answers with an error, and of the same answers without it."""
    counts: Counter[str] = Counter()
    for error in errors:
        sentence = random.choice(SENTENCES)
        grounding, text = grounded(error.contract.text, sentence % error.wrong)
        counts["noticed"] += bool(grounding.repaired or grounding.unsupported)
        counts["mended"] += text == sentence % error.right
        counts["mended wrongly"] += text not in (sentence % error.right, sentence % error.wrong)
        grounding, text = grounded(error.contract.text, sentence % error.right)
        counts["touched"] += text != sentence % error.right
        counts["flagged"] += bool(grounding.unsupported)
    return counts


@pytest.mark.parametrize(("kinds", "least_mended"), [(("another",), 0.95), (("another", "missing", "extra"), 0.9)])
def test_planted_errors(contracts: list[Contract], kinds: tuple[str, ...], least_mended: float) -> None:
    random = Random(2)
    counts = counted(islice(planted_errors(contracts, random, kinds), NUM_ANSWERS), random)
    print(kinds, dict(counts))  # noqa: T201  # the table in docs/benchmarks.md
    assert counts["noticed"] >= (0.99 if kinds == ("another",) else 0.98) * NUM_ANSWERS
    assert counts["mended"] >= least_mended * NUM_ANSWERS
    assert counts["mended wrongly"] <= 0.005 * NUM_ANSWERS
    assert counts["touched"] < 0.005 * NUM_ANSWERS
    assert counts["flagged"] < 0.005 * NUM_ANSWERS


def test_short_values_are_looked_up_and_left_alone(contracts: list[Contract]) -> None:
    random = Random(3)
    counts = counted(islice(planted_errors(contracts, random, ("another",), short=True), NUM_ANSWERS), random)
    print("short", dict(counts))  # noqa: T201  # the table in docs/benchmarks.md
    assert counts["noticed"] >= 0.96 * NUM_ANSWERS  # the rest stand there in words: "fifteen" for a wrong 15
    assert counts["mended"] == counts["mended wrongly"] == counts["touched"] == 0
    assert counts["flagged"] < 0.005 * NUM_ANSWERS
