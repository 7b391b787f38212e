"""The likeliest of many windows' answers: a matter of their confidences and of how many windows there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_core.answering.combination import PRESENT_SHARE, factor, odds, weigh
from glyph_core.types import Answer, Timings, Usage

ABSENT = "not stated"


def answer(text: str, confidence: float) -> Answer:
    return Answer(text, "stop", (1,), Usage(10, 1, 8, 2, 100), Timings(), num_pages=3, confidence=confidence)


def absents(count: int, confidence: float = 0.99) -> list[Answer]:
    return [answer(ABSENT, confidence)] * count


def test_a_finding_that_is_hardly_believed_loses_to_not_stated() -> None:
    best = weigh([answer("blue", 0.0001), *absents(3)], ABSENT).best
    assert best.answer.text == ABSENT
    assert best.probability > 0.9


def test_a_finding_that_is_sure_wins_over_many_that_found_nothing() -> None:
    best = weigh([*absents(60), answer("blue", 0.9996), *absents(60)], ABSENT).best
    assert best.answer.text == "blue"
    assert 0.9 < best.probability < 0.9996


def test_many_windows_that_found_nothing_speak_for_the_one_that_did() -> None:
    best = weigh([*absents(30), answer("blue", 0.9), *absents(30)], ABSENT).best
    assert best.answer.text == "blue"
    misled = [answer(f"{n}", 0.3) for n in range(10)]
    assert weigh([*absents(25), answer("blue", 0.9), *misled, *absents(25)], ABSENT).best.answer.text == ABSENT


def test_the_surest_finding_wins_and_is_worth_less_beside_another() -> None:
    alone, beside = (
        weigh([answer("blue", 0.99), *others, *absents(2)], ABSENT).best for others in ([], [answer("red", 0.97)])
    )
    assert (alone.answer.text, beside.answer.text) == ("blue", "blue")
    assert beside.probability < 0.8 < alone.probability


def test_the_same_finding_in_two_windows_is_one() -> None:
    verdict = weigh([answer("blue", 0.9), answer("blue", 0.95), answer("red", 0.5)], ABSENT)
    assert [one.answer.text for one in verdict.found] == ["blue", "red"]
    assert verdict.found[0].answer.confidence == 0.95


def test_one_window_keeps_its_confidence() -> None:
    assert weigh([answer("blue", 0.7)], ABSENT).best.probability == pytest.approx(0.7)
    assert weigh(absents(1, 0.6), ABSENT).best.probability == pytest.approx(0.6)


@given(st.lists(st.tuples(st.sampled_from([ABSENT, "a", "b", "c"]), st.floats(0, 1)), min_size=1, max_size=9))
def test_they_are_probabilities(told: list[tuple[str, float]]) -> None:
    verdict = weigh([answer(*one) for one in told], ABSENT)
    shares = [*(one.probability for one in verdict.found), verdict.nowhere]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    assert shares[:-1] == sorted(shares[:-1], reverse=True)


def test_reading_the_best_pages_together_decides() -> None:
    verdict = weigh([answer("blue", 0.98), answer("red", 0.98), *absents(8)], ABSENT)
    settled = verdict.after(answer("red", 0.99), 2, ABSENT)
    assert settled.answer.text == "red"
    assert settled.probability > 2 * verdict.found[1].probability
    in_vain = verdict.after(answer(ABSENT, 0.99), 2, ABSENT)
    assert in_vain.answer.text == ABSENT
    assert in_vain.probability > 0.8


def test_a_model_without_words_for_a_vain_search_always_gives_a_finding() -> None:
    verdict = weigh([answer("blue", 0.2), answer("I cannot find it.", 0.1)], None)
    assert verdict.best.answer.text == "blue"
    assert verdict.nowhere == 0
    assert verdict.after(answer("I cannot find it.", 0.01), 2, None).answer.text == "I cannot find it."


def test_a_factor_is_that_of_bayes() -> None:
    assert factor(PRESENT_SHARE) == pytest.approx(1)
    assert factor(0.5) == pytest.approx(1 / odds(PRESENT_SHARE))
