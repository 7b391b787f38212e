"""Which clause of one document answers to which of another: by their words, in their order where they kept it.

n and m clauses.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
from rapidfuzz import fuzz

from glyph_core.evidence.clauses import Clause
from glyph_core.evidence.folding import loosely
from glyph_core.evidence.segments import words_of

MIN_ALIKE = 0.45  # of clauses that stand in the same order
MIN_MOVED = 0.6  # of clauses that changed their place
NUM_CANDIDATES = 3  # clauses of the other document that are compared letter by letter
NUM_REPEATS = 4  # of a text that stands many times: this many more or fewer may stand before it
NUM_BUCKETS = 4096  # that words are hashed into
SAME_NUMBER = 0.1  # what it counts that two clauses have the same number


@dataclass(frozen=True, slots=True)
class Pair:
    first: int
    second: int
    similarity: float  # in [0, 1]; 1: the same but for white space, case and the like
    is_moved: bool = False


def align(first: Sequence[Clause], second: Sequence[Clause]) -> list[Pair]:
    """Each clause at most once, ascending in the first document's clauses."""
    if not first or not second:
        return []
    folded = [_Folded.of(clause) for clause in first], [_Folded.of(clause) for clause in second]
    scored = _scored(first, second, folded)
    ordered = _heaviest_chain([(i, j, score) for (i, j), score in scored.items() if score >= MIN_ALIKE])
    pairs = [Pair(i, j, _similarity(folded[0][i], folded[1][j])) for i, j in ordered]
    used_first, used_second = {i for i, _ in ordered}, {j for _, j in ordered}
    for (i, j), score in sorted(scored.items(), key=lambda item: -item[1]):
        if score >= MIN_MOVED and i not in used_first and j not in used_second:
            pairs.append(Pair(i, j, _similarity(folded[0][i], folded[1][j]), is_moved=True))
            used_first.add(i)
            used_second.add(j)
    return sorted(pairs, key=lambda pair: pair.first)


class _Folded(NamedTuple):
    text: str
    body: str  # without its number
    number: str

    @classmethod
    def of(cls, clause: Clause) -> _Folded:
        return cls(loosely(clause.text), loosely(clause.body), clause.number)


def _similarity(first: _Folded, second: _Folded) -> float:
    if first.text == second.text:
        return 1.0
    # A DOCX counts its clauses, a PDF has the numbers as text, and what was copied from it may have lost them.
    if first.body == second.body and (first.number == second.number or not first.number or not second.number):
        return 1.0
    return min(0.999, fuzz.ratio(first.text, second.text) / 100)


def _scored(
    first: Sequence[Clause], second: Sequence[Clause], folded: tuple[Sequence[_Folded], Sequence[_Folded]]
) -> dict[tuple[int, int], float]:
    """The likeliest pairs, (index, index) → how alike they are."""
    cosine = _vectors(first, second) @ _vectors(second, first).T  # (n, m)
    candidates = {
        (i, int(j)) for i, row in enumerate(cosine) for j in np.argsort(row, kind="stable")[::-1][:NUM_CANDIDATES]
    }
    scored = {}
    for i, j in candidates | set(_same_bodies(folded)):
        ratio = _similarity(folded[0][i], folded[1][j])
        if ratio < 1 and first[i].is_aside != second[j].is_aside:
            continue
        bonus = SAME_NUMBER if first[i].number and first[i].number == second[j].number else 0.0
        scored[i, j] = ratio if ratio == 1 else 0.6 * ratio + 0.4 * float(cosine[i, j]) + bonus
    return scored


def _same_bodies(folded: tuple[Sequence[_Folded], Sequence[_Folded]]) -> Iterator[tuple[int, int]]:
    """Where a text stands many times, as what is printed on each page does, the n-th goes with those about the n-th."""
    places: dict[str, list[int]] = {}
    for j, clause in enumerate(folded[1]):
        places.setdefault(clause.body, []).append(j)
    num_met: Counter[str] = Counter()
    for i, clause in enumerate(folded[0]):
        rank = num_met[clause.body]
        num_met[clause.body] += 1
        for j in places.get(clause.body, ())[max(0, rank - NUM_REPEATS) : rank + NUM_REPEATS + 1]:
            yield i, j


def _vectors(clauses: Sequence[Clause], others: Sequence[Clause]) -> np.ndarray:
    """(n, NUM_BUCKETS) float32 of length 1: words, the rare ones heavier."""
    counts = Counter(word for clause in [*clauses, *others] for word in words_of(clause.text))
    num_clauses = len(clauses) + len(others)
    vectors = np.zeros((len(clauses), NUM_BUCKETS), dtype=np.float32)
    for row, clause in enumerate(clauses):
        for word in words_of(clause.text):
            vectors[row, crc32(word.encode()) % NUM_BUCKETS] += math.log(1 + num_clauses / counts[word])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _heaviest_chain(scored: Sequence[tuple[int, int, float]]) -> list[tuple[int, int]]:
    """Pairs that ascend on both sides, of the greatest total score."""
    # The best chains by the second index that they end at: both lists ascend, as no chain is kept that is beaten.
    ends: list[int] = []
    chains: list[tuple[float, int]] = []  # total, index into ``links``
    links: list[tuple[int, int, int]] = []  # i, j, the link before or -1
    by_first: dict[int, list[tuple[int, float]]] = {}
    for i, j, score in scored:
        by_first.setdefault(i, []).append((j, score))
    for i in sorted(by_first):
        found = []
        for j, score in by_first[i]:
            at = bisect_left(ends, j) - 1
            total, before = chains[at] if at >= 0 else (0.0, -1)
            found.append((j, total + score, before))
        for j, total, before in found:
            at = bisect_left(ends, j)
            if at and chains[at - 1][0] >= total:
                continue
            links.append((i, j, before))
            while at < len(ends) and chains[at][0] <= total:
                del ends[at], chains[at]
            if at < len(ends) and ends[at] == j:
                continue
            ends.insert(at, j)
            chains.insert(at, (total, len(links) - 1))
    chain: list[tuple[int, int]] = []
    link = chains[-1][1] if chains else -1
    while link >= 0:
        i, j, link = links[link]
        chain.append((i, j))
    return chain[::-1]
