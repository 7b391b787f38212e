"""Two documents cut into clauses at the same places, as far as their words agree.

A PDF, its DOCX and its text rarely agree on what a paragraph is: one has a line end where another has none. Compared as
they are, one long clause would stand beside thirty short ones. So each document is also cut where the other one is,
between words that stand in both. Words that only one of them has are left where they are.

n and m words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import Levenshtein

from glyph_core.evidence.clauses import Clause, clause_at
from glyph_core.evidence.folding import EAST_ASIAN, loosely

MAX_WORD_PAIRS = 20_000_000_000  # seconds of a core
MIN_ANCHOR = 3  # words that agree in a row: fewer meet by chance
_WORD = re.compile(rf"[{EAST_ASIAN}]|[^\W_{EAST_ASIAN}]+")
_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class _Words:
    """A document's words, and where each begins and ends in its text."""

    text: str = field(repr=False)
    folded: list[str] = field(repr=False)
    places: np.ndarray = field(repr=False)  # (n, 2) int64
    starts: list[int] = field(repr=False)  # of the clauses
    first_of: list[int] = field(repr=False)  # of each clause, ascending: the index of its first word


def refined(
    first: Sequence[Clause], second: Sequence[Clause], texts: tuple[str, str]
) -> tuple[list[Clause], list[Clause]] | None:
    """The clauses of two documents, of the texts ``texts``, cut where either of them is; None where they are so long
    that it would take too long."""
    words = _words_of(first, texts[0]), _words_of(second, texts[1])
    if len(words[0].folded) * len(words[1].folded) > MAX_WORD_PAIRS:
        return None
    partners = _partners(words[0].folded, words[1].folded)
    cuts = dict(_cuts(words[0], words[1], partners[0])), dict(_cuts(words[1], words[0], partners[1]))
    return _cut(first, words[0], cuts[1]), _cut(second, words[1], cuts[0])


def _words_of(clauses: Sequence[Clause], text: str) -> _Words:
    folded: list[str] = []
    places: list[tuple[int, int]] = []
    first_of: list[int] = []
    for clause in clauses:
        first_of.append(len(folded))
        for match in _WORD.finditer(text, clause.start, clause.stop):
            if word := loosely(match[0]):
                folded.append(word)
                places.append(match.span())
    starts = [clause.start for clause in clauses]
    return _Words(text, folded, np.array(places, dtype=np.int64).reshape(-1, 2), starts, first_of)


def _partners(first: list[str], second: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (m,) int64: the index of the same word on the other side, or -1. Ascending."""
    partners = np.full(len(first), -1), np.full(len(second), -1)
    for op in Levenshtein.opcodes(first, second):
        if op.tag == "equal":
            partners[0][op.src_start : op.src_end] = np.arange(op.dest_start, op.dest_end)
            partners[1][op.dest_start : op.dest_end] = np.arange(op.src_start, op.src_end)
    return partners


def _cuts(of: _Words, other: _Words, partner: np.ndarray) -> Iterator[tuple[int, int | None]]:
    """The words of ``other`` before which it is to be cut, because ``of`` begins a clause there; and how many
    characters between the words, such as those of "[***].", go before the cut, where that is known."""
    matched = np.flatnonzero(partner >= 0)
    for begin, start in zip(of.first_of, of.starts, strict=True):
        at = int(np.searchsorted(matched, begin))
        if not 0 < at < len(matched):
            continue
        before, after = int(matched[at - 1]), int(matched[at])
        low, high = int(partner[before]) + 1, int(partner[after])  # words [low, high) stand only in ``other``
        if not (_is_anchor(partner, before, -1) and _is_anchor(partner, after, 1)):
            continue
        boundary = bisect_left(other.first_of, low)
        if boundary < len(other.first_of) and other.first_of[boundary] <= high:
            continue  # it is cut there already
        if begin == after and begin == before + 1 and low == high:
            yield low, len(loosely(of.text[of.places[before, 1] : start]))
        elif begin == after:
            yield high, None
        elif begin == before + 1 or low == high:
            yield low, None


def _is_anchor(partner: np.ndarray, at: int, step: int) -> bool:
    """Whether the word ``at`` and those that follow it, or stand before it, agree with the other side's in a row."""
    for index in range(1, MIN_ANCHOR):
        place = at + step * index
        if not 0 <= place < len(partner):
            return True  # the document's end
        if partner[place] != partner[at] + step * index:
            return False
    return True


def _cut(clauses: Sequence[Clause], words: _Words, cuts: dict[int, int | None]) -> list[Clause]:
    wanted = sorted(cuts)
    result: list[Clause] = []
    for clause, (start, stop) in zip(clauses, pairwise([*words.first_of, len(words.folded)]), strict=True):
        inside = wanted[bisect_left(wanted, start + 1) : bisect_left(wanted, stop)]
        places = [clause.start, *(_gap(words, word, cuts[word]) for word in inside), clause.stop]
        result += [_piece(clause, words.text, *ends) for ends in pairwise(places)] if inside else [clause]
    return result


def _gap(words: _Words, word: int, num_before: int | None) -> int:
    """Where the text before ``word`` ends: after ``num_before`` characters that are neither white space nor the like,
    or else at the first white space, so that closing marks stay where they are."""
    low, high = int(words.places[word - 1, 1]), int(words.places[word, 0])
    space = _SPACE.search(words.text, low, high)
    if num_before is None:
        return space.start() if space else high
    num_met = 0
    for at in range(low, high):
        num_met += len(loosely(words.text[at]))
        if num_met > num_before:
            return at
    return high


def _piece(clause: Clause, text: str, start: int, stop: int) -> Clause:
    while start < stop and text[start].isspace():
        start += 1
    return clause_at(text, start, stop, clause.label, clause.kind)
