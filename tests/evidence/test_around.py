"""The words around a passage: of its own paragraph, whole, and few."""

from __future__ import annotations

from glyph_core.evidence.finder import MAX_AROUND_CHARS, words_after, words_before

TEXT = "Far away.\n\nNotice Period:\n60  days\nRenewal Term: 12 months\n \nElsewhere."


def test_they_stay_in_the_paragraph() -> None:
    start = TEXT.index("60")
    assert words_before(TEXT, start) == "Notice Period:"
    assert words_after(TEXT, start + len("60  days")) == "Renewal Term: 12 months"
    assert words_before(TEXT, 0) == words_after(TEXT, len(TEXT)) == ""


def test_a_long_paragraph_is_cut_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(100))
    words = text.split()
    start = text.index("word50")
    before, after = words_before(text, start), words_after(text, start + len("word50"))
    assert before.split() == words[50 - len(before.split()) : 50]
    assert after.split() == words[51 : 51 + len(after.split())]
    assert MAX_AROUND_CHARS - 8 < len(before) <= MAX_AROUND_CHARS
    assert MAX_AROUND_CHARS - 8 < len(after) <= MAX_AROUND_CHARS
