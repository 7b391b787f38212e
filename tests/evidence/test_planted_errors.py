"""One wrong character in identifiers, numbers and dates of real contracts is noticed and mended; right ones stay."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from glyph_core.config import preset
from glyph_core.evidence.grounding import apply, ground
from glyph_core.evidence.lookup import look_up
from glyph_core.evidence.source_text import SourceText
from glyph_core.evidence.values import values_of
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import Grounding
from tests.evidence.planting import SENTENCES, Contract, contracts_of, planted_errors

NUM_ANSWERS = 500


@pytest.fixture(scope="module")
def contracts(shared_data: Path) -> list[Contract]:
    return contracts_of(shared_data / "contracts", PageRenderer(preset("mini"), max_cached_layouts=40), Random(1))


def grounded(source: SourceText, answer: str) -> tuple[Grounding, str]:
    values = values_of(answer)
    found = [look_up(source, value, [(0, len(source.text))]) for value in values]
    grounding, edits = ground(answer, values, [found], "repair")
    return grounding, apply(answer, edits)


@pytest.mark.parametrize(("kinds", "least_mended"), [(("another",), 0.95), (("another", "missing", "extra"), 0.9)])
def test_planted_errors(contracts: list[Contract], kinds: tuple[str, ...], least_mended: float) -> None:
    random = Random(2)
    counts: Counter[str] = Counter()
    for error in islice(planted_errors(contracts, random, kinds), NUM_ANSWERS):
        sentence = random.choice(SENTENCES)
        grounding, text = grounded(error.contract.text, sentence % error.wrong)
        counts["noticed"] += bool(grounding.repaired or grounding.unsupported)
        counts["mended"] += text == sentence % error.right
        counts["mended wrongly"] += text not in (sentence % error.right, sentence % error.wrong)
        grounding, text = grounded(error.contract.text, sentence % error.right)
        counts["touched"] += text != sentence % error.right
        counts["flagged"] += bool(grounding.unsupported)
    print(kinds, dict(counts))  # noqa: T201  # the table that the benchmark is
    assert counts["noticed"] >= (0.99 if kinds == ("another",) else 0.98) * NUM_ANSWERS
    assert counts["mended"] >= least_mended * NUM_ANSWERS
    assert counts["mended wrongly"] <= 0.005 * NUM_ANSWERS
    assert counts["touched"] < 0.005 * NUM_ANSWERS
    assert counts["flagged"] < 0.005 * NUM_ANSWERS
