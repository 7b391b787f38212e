"""The direction of every character of a paragraph: the Unicode Bidirectional Algorithm (UAX #9), by python-bidi.

What is its own here: runs of one bidirectional class go through the algorithm as one character, which changes nothing
(its rules look at classes, and never at more than two separators in a row) and makes it several times faster; isolates,
which python-bidi does not know, take the level of what stands before them.
"""

from __future__ import annotations

from itertools import groupby
from unicodedata import bidirectional

import numpy as np
from bidi.algorithm import (
    explicit_embed_and_overrides,
    get_base_level,
    get_empty_storage,
    resolve_implicit_levels,
    resolve_neutral_types,
    resolve_weak_types,
)
from bidi.mirror import MIRRORED

_FROM_RIGHT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})
_ISOLATES = frozenset({"LRI", "RLI", "FSI", "PDI"})
_COUNTED = frozenset({"ES", "CS", "RLE", "LRE", "RLO", "LRO", "PDF"})  # each of these counts for itself


def levels_of(text: str) -> tuple[int, np.ndarray]:
    """(level of the paragraph, (n,) int8 level of each character): odd levels are set from right to left."""
    classes = [bidirectional(character) or "L" for character in text]  # unassigned characters have none
    if _FROM_RIGHT.isdisjoint(classes):
        return 0, np.zeros(len(text), dtype=np.int8)
    base: int = get_base_level(text)
    storage = get_empty_storage()
    storage |= {"base_level": base, "base_dir": "LR"[base], "chars": _runs(classes, base)}
    runs = list(storage["chars"])
    explicit_embed_and_overrides(storage)
    for resolve in (resolve_weak_types, resolve_neutral_types, resolve_implicit_levels):
        resolve(storage, False)
    levels = np.full(len(text), base, dtype=np.int8)
    kept = {run["index"] for run in storage["chars"]}
    level = base
    for run in runs:
        level = run["level"] if run["index"] in kept else level
        levels[run["index"] : run["stop"]] = level
    for index, kind in enumerate(classes):
        if kind in _ISOLATES or kind == "BN":
            levels[index] = levels[index - 1] if index else base
    return base, levels


def mirrored(character: str) -> str:
    """``character`` as it looks from the other side: brackets and the like."""
    return str(MIRRORED.get(character, character))


def visual_order(levels: list[int]) -> list[int]:
    """Rule L2: the order from left to right of pieces with these levels."""
    order = list(range(len(levels)))
    odd = [level for level in levels if level % 2]
    for level in range(max(levels, default=0), min(odd, default=1) - 1, -1):
        start = 0
        while start < len(order):
            stop = start
            while stop < len(order) and levels[order[stop]] >= level:
                stop += 1
            order[start:stop] = reversed(order[start:stop])
            start = max(stop, start + 1)
    return order


def _runs(classes: list[str], base: int) -> list[dict[str, object]]:
    """Runs of one class as python-bidi's characters, with the indices [index, stop) that each stands for."""
    runs: list[dict[str, object]] = []
    for kind, members in groupby(enumerate(classes), key=lambda member: member[1]):
        indices = [index for index, _ in members]
        if kind in _ISOLATES:
            continue
        spans = [(index, index + 1) for index in indices] if kind in _COUNTED else [(indices[0], indices[-1] + 1)]
        runs += [
            {"ch": "", "level": base, "type": kind, "orig": kind, "index": start, "stop": stop} for start, stop in spans
        ]
    return runs
