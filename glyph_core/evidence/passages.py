"""The passages of a document that the parts of an answer rest on.

A part that stands in the text as it is, but for what folding takes away, is found exactly. Else the place where most of
its pieces stand in a row is aligned with it; and where it was put in other words, the place that holds most of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from glyph_core.evidence.folding import is_inside_word, loosely
from glyph_core.evidence.lookup import Found
from glyph_core.evidence.segments import says_something, segments_of, words_of
from glyph_core.evidence.source_text import Bounds, SourceText, occurrences
from glyph_core.evidence.values import Value

MIN_ALIGNED = 75.0  # of 100: below, an alignment of characters says nothing
MIN_SHARED = 0.5  # of a sentence's words, weighted by how rare they are, that a passage in other words must hold
MIN_SHARED_WORDS = 3
MAX_OCCURRENCES_OF_PIECE = 200
MAX_PIECES = 48
MIN_PARTIAL = 4  # characters of a part that may stand inside a word, where it stands nowhere by itself
NUM_ALIGNED = 4  # places that are aligned with a part, the likeliest ones
CONTEXT_CHARS = 400  # around an occurrence, where the question's words speak for it
MAX_RANKED = 500  # occurrences among which the likeliest is chosen
_EXACT, _NO_CONTEXT = 1.0, 0.0


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters ``[start, stop)`` of the document's text, evidence for a part of the answer."""

    answer_start: int
    answer_stop: int
    start: int
    stop: int
    similarity: float  # in [0, 1]
    num_occurrences: int
    context: float  # how much of what was asked stands around it


def passages_of(
    source: SourceText, answer: str, question: str, bounds: Bounds, values: Sequence[tuple[Value, Found]]
) -> list[Passage]:
    """At most one for each sentence of ``answer``, and one for each of its values that this one does not hold."""
    finder = _Finder(source, bounds, words_of(question))
    if not says_something(answer):
        return []
    whole = finder.exact(answer, 0, len(answer))
    if whole:
        return [whole]
    found = [finder.find(answer, start, stop) for start, stop in segments_of(answer)]
    passages = [passage for passage in found if passage]
    for value, what in values:
        if not any(_holds(source, passage, value) for passage in passages):
            passage = finder.of_value(answer, value, what)
            passages += [passage] if passage else []
    return sorted(passages, key=lambda passage: (passage.answer_start, -passage.answer_stop))


def _holds(source: SourceText, passage: Passage, value: Value) -> bool:
    covers = passage.answer_start <= value.start and value.stop <= passage.answer_stop
    return covers and loosely(value.text) in loosely(source.text[passage.start : passage.stop])


class _Finder:
    def __init__(self, source: SourceText, bounds: Bounds, asked: Sequence[str]) -> None:
        self._source, self._bounds, self._asked = source, bounds, asked
        self._places: dict[str, list[int]] = {}

    def find(self, answer: str, start: int, stop: int) -> Passage | None:
        aligned = self.exact(answer, start, stop) or self._aligned(answer, start, stop)
        return aligned or self._shared(answer, start, stop)

    def exact(self, answer: str, start: int, stop: int) -> Passage | None:
        needle = loosely(answer[start:stop]).strip(".,;:!?。，；：！？")
        folded = self._source.loose
        found = [folded.span(at, at + len(needle)) for at in occurrences(folded, needle, self._bounds)]
        found = [span for span in found if self._is_alone(*span)] or (found if len(needle) >= MIN_PARTIAL else [])
        if not found:
            return None
        rest = [word for word in words_of(answer[:start] + " " + answer[stop:]) if word not in needle]
        best, context = self._likeliest(found[:MAX_RANKED], [*self._asked, *rest[:16]])
        return Passage(start, stop, *best, _EXACT, len(found), context)

    def of_value(self, answer: str, value: Value, what: Found) -> Passage | None:
        if len(what.near) == 1:
            (miss,) = what.near
            return Passage(value.start, value.stop, miss.start, miss.stop, 1 - 1 / len(miss.text), 1, _NO_CONTEXT)
        return self.exact(answer, value.start, value.stop) if what.offset is not None else None

    def _is_alone(self, start: int, stop: int) -> bool:
        return not (is_inside_word(self._source.text, start) or is_inside_word(self._source.text, stop))

    def _likeliest(self, spans: Sequence[tuple[int, int]], words: Sequence[str]) -> tuple[tuple[int, int], float]:
        """The span that most of ``words`` stand near to, rare ones above all; the first among equals."""
        scores = [_NO_CONTEXT] * len(spans)
        for word in words:
            places = self._places_of(word)
            if not places:
                continue
            weight = self._weight(len(places))
            for index, (start, stop) in enumerate(spans):
                scores[index] += weight * _nearness(places, start, stop)
        best = max(range(len(spans)), key=lambda index: scores[index])
        return spans[best], scores[best]

    def _places_of(self, word: str) -> list[int]:
        """Offsets in the text, ascending."""
        if word not in self._places:
            folded = self._source.loose
            self._places[word] = [folded.span(at, at + 1)[0] for at in occurrences(folded, word, self._bounds)]
        return self._places[word]

    def _weight(self, num_places: int) -> float:
        num_chars = sum(stop - start for start, stop in self._bounds)
        return math.log(2 + num_chars / CONTEXT_CHARS / num_places)

    def _aligned(self, answer: str, start: int, stop: int) -> Passage | None:
        """By its pieces: each votes for where the part would begin; the likeliest places are aligned as a whole."""
        part, folded = loosely(answer[start:stop]), self._source.loose
        size = max(2 if not part.isascii() else 4, min(12, len(part) // 6))
        if len(part) < 2 * size:
            return None
        width = max(8, len(part) // 4)
        votes: Counter[int] = Counter()
        step = max(1, len(part) // MAX_PIECES)
        for at in range(0, len(part) - size + 1, step):
            places = list(occurrences(folded, part[at : at + size], self._bounds))
            for place in places[:MAX_OCCURRENCES_OF_PIECE]:
                for bin_ in (0, 1):
                    votes[(place - at) // width + bin_] += 1
        best: tuple[float, int, int] = (0.0, 0, 0)
        for bin_, _ in votes.most_common(NUM_ALIGNED):
            left = max(0, (bin_ - 2) * width)
            window = folded.text[left : (bin_ + 2) * width + len(part)]
            found = fuzz.partial_ratio_alignment(part, window, score_cutoff=max(MIN_ALIGNED, best[0]))
            if found and found.score > best[0] and found.dest_end > found.dest_start:
                best = (found.score, left + found.dest_start, left + found.dest_end)
        if not best[0] or len(part) > 2 * (best[2] - best[1]):
            return None
        return Passage(start, stop, *self._to_words(*folded.span(best[1], best[2])), best[0] / 100, 1, _NO_CONTEXT)

    def _shared(self, answer: str, start: int, stop: int) -> Passage | None:
        """The stretch of about a paragraph that holds most of the part's words."""
        places = [(place, word) for word in words_of(answer[start:stop]) for place in self._places_of(word)]
        weights = {word: self._weight(len(found)) for word, found in self._places.items() if found}
        wanted = sum(weights.get(word, self._weight(1)) for word in words_of(answer[start:stop]))
        places.sort()
        held: Counter[str] = Counter()
        score, best, first = 0.0, (0.0, 0, 0), 0
        for last, (place, word) in enumerate(places):
            score += weights[word] if not held[word] else 0.0
            held[word] += 1
            while place - places[first][0] > CONTEXT_CHARS:
                held[places[first][1]] -= 1
                score -= weights[places[first][1]] if not held[places[first][1]] else 0.0
                first += 1
            num_words = sum(count > 0 for count in held.values())
            if num_words >= MIN_SHARED_WORDS and score > best[0]:
                best = (score, places[first][0], place + len(places[last][1]))
        if not wanted or best[0] < MIN_SHARED * wanted:
            return None
        similarity = best[0] / wanted * MIN_ALIGNED / 100  # below any alignment's
        return Passage(start, stop, *self._to_words(best[1], best[2]), similarity, 1, _NO_CONTEXT)

    def _to_words(self, start: int, stop: int) -> tuple[int, int]:
        """The span with the words whole that it cuts."""
        text = self._source.text
        while is_inside_word(text, start):
            start -= 1
        while is_inside_word(text, stop):
            stop += 1
        return start, stop


def _nearness(places: Sequence[int], start: int, stop: int) -> float:
    """1 where a place is at the span, 0 from CONTEXT_CHARS on."""
    at = bisect_left(places, start)
    before = start - places[at - 1] if at else CONTEXT_CHARS
    after = max(0, places[at] - stop) if at < len(places) else CONTEXT_CHARS
    return max(0.0, 1 - min(before, after) / CONTEXT_CHARS)
