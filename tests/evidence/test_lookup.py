"""Values, their other forms, and what stands one character off."""

from __future__ import annotations

import numpy as np
import pytest

from glyph_core.citations import GroundingMode
from glyph_core.evidence.folding import fold_loosely, fold_strictly, loosely, strictly
from glyph_core.evidence.grounding import apply, ground
from glyph_core.evidence.lookup import Found, look_up
from glyph_core.evidence.source_text import SourceText
from glyph_core.evidence.values import values_of

MIXED = "Straße\u00ad ﬁne  naïve\u200b\n合同　１２３ — “quoted” e\u0301 \U0001f600 한국어"


def source(text: str) -> SourceText:
    return SourceText(text, np.array([[0, len(text)]], np.int32))


def found(text: str, answer: str) -> list[Found]:
    return [look_up(source(text), value, [(0, len(text))]) for value in values_of(answer)]


def mended(text: str, answer: str, mode: GroundingMode = "repair") -> str:
    return apply(answer, ground(answer, values_of(answer), [found(text, answer)], mode)[1])


def test_folding_at_once_equals_folding_one_by_one() -> None:
    for text in (MIXED, "", " ", MIXED * 50):
        assert fold_loosely(text).text == loosely(text)
        assert fold_strictly(text).text == strictly(text)
    folded = fold_loosely(MIXED)
    for index, character in enumerate(folded.text):
        assert character in loosely(MIXED[folded.origins[index]])


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ("The rent of $50,000.00 is due on January 4, 2019.", ["number $50,000.00", "date January 4, 2019"]),
        ("See AB-1234-XZ (12th of May 2020).", ["identifier AB-1234-XZ", "date 12th of May 2020"]),
        ('{"page 3": "A-1", "amount": 50000}', ["identifier A-1", "number 50000"]),
        ("1. first 30 days\n2) then 5% of 12GB", ["number 30", "number 5%", "number 12GB"]),
        ("于2019年1月4日签订，编号AB-1234的合同", ["date 2019年1月4日", "identifier AB-1234"]),
        ("Pay to GB29 NWBK 6016 1331 9268 19.", ["identifier GB29 NWBK 6016 1331 9268 19"]),
        ("However, Delaware law applies to Ruth Albright.", ["name Delaware", "name Ruth Albright"]),
        ("Yes.", []),
    ],
)
def test_values(answer: str, values: list[str]) -> None:
    found = values_of(answer)
    assert [f"{value.kind} {value.text}" for value in found] == values
    assert all(answer[value.start : value.stop] == value.text for value in found)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a fee of 1,000,000 dollars", "1000000"),
        ("a fee of $1000000", "$1,000,000.00"),
        ("within thirty days", "30 days"),
        ("on 4 January 2019", "It was January 4, 2019"),
        ("dated 2019-01-04", "4 January 2019"),
        ("the 4th day of January, 2019", "January 4, 2019"),
        ("code 550e8400-\ne29b-41d4-a716-446655440000.", "550e8400-e29b-41d4-a716-446655440000"),
        ("the Albright Com-\npany", "It is Albright Company"),
        ("by RUTH ALBRIGHT,", "It is Ruth Albright"),
        ("Ruth\tAlbright", "It is Ruth Albright"),
        ("ＡＢ－１２３４", "AB-1234"),
    ],
)
def test_what_stands_there_in_another_form_is_supported(text: str, answer: str) -> None:
    assert all(what.offset is not None for what in found(text, answer))
    assert mended(text, answer) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1,234,000 and 51234", "234,000"),  # a part of a longer number
        ("1\t2\t3", "the number 123"),  # cells of a table
        ("AB-1234-XY", "AB-1234-X"),
        ("550e8400", "550E8400"),
        ("December 13, 1999", "December 13, 1998"),
        ("on 12/13/99", "December 13, 1599"),
    ],
)
def test_what_stands_there_only_as_a_part_is_not(text: str, answer: str) -> None:
    assert any(what.offset is None for what in found(text, answer))


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("id 7340912-Q.", "It is 7340972-Q", "It is 7340912-Q"),
        ("id 7340912-Q.", "It is 734091-Q", "It is 7340912-Q"),  # too short by one
        ("id 7340912-Q.", "It is 73409912-Q", "It is 7340912-Q"),
        ("pay $50,000 now", "$51,000", "$50,000"),
        ("on January 4, 2019", "on January 4, 2017", "on January 4, 2019"),
        ("on January\n4, 2019", "on Januery 4, 2019", "on January 4, 2019"),
        ("Ms Ruth Albright", "It was Ruth Albrigth", "It was Ruth Albrigth"),  # two characters are off
        ("Ms Ruth Albright", "It was Ruth Albricht", "It was Ruth Albright"),
        ("7340912-Q and 7340932-Q", "7340922-Q", "7340922-Q"),  # either might be meant
        ("7340912-Q and 734092-Q", "7340922-Q", "7340912-Q"),  # another character is likelier than a missing one
        ("1234 and 1235", "1236", "1236"),  # too short to tell
        ('a "7340912"', '{"a": "7340922"}', '{"a": "7340912"}'),
        ("ends here.\nXB-48962,\nand", "It is XB-48968", "It is XB-48962"),  # the full stop before it is no part
        ("AC-\nXB-48962", "It is XB-48968", "It is XB-48968"),  # an identifier that begins in the line before
    ],
)
def test_near_misses(text: str, answer: str, right: str) -> None:
    assert mended(text, answer) == right
    assert mended(text, answer, "flag") == answer


def test_a_number_of_thousands_of_digits_is_looked_up_as_it_stands() -> None:
    """What a model writes that repeats itself; Python refuses to make an int of it."""
    sevens = "7" * 5000
    assert [what.offset for what in found(f"No. {sevens} here", f"It is {sevens}.")] == [4]
    assert found("nothing", sevens) == [Found()]


def test_places_are_those_of_the_mended_answer() -> None:
    text = "ref 734091-Q, then AB-1234 and XY/9876-CD"
    answer = "First 7340912-Q, then AB-1234 and XY/9875-CD."
    values = values_of(answer)
    grounding, edits = ground(answer, values, [found(text, answer)], "repair")
    whole = apply(answer, edits)
    assert whole == "First 734091-Q, then AB-1234 and XY/9876-CD."
    for value in (*grounding.supported, *grounding.repaired):
        assert whole[value.start : value.stop] == value.text
    assert [value.written for value in grounding.repaired] == ["7340912-Q", "XY/9875-CD"]
