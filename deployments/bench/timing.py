"""Several ways to the same end, timed in turns.

What disturbs a machine for a while must disturb all of them alike. So what takes seconds is cut into pieces, what takes
milliseconds runs between any two of them, and means are compared: the least of many short runs would find a quiet
moment that a long run never has.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployments.bench.report import Show

PIECE_CHARS = 50_000  # of a text that a slow way goes through


@dataclass(frozen=True, slots=True)
class Contender:
    """``runs`` are the pieces of the work, one for most."""

    name: str
    runs: Sequence[Callable[[], object]]


def pieces_of(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]


def cpu_s() -> float:
    """CPU time so far, user and system, of this process and of the children that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_in_turns(contenders: list[Contender], num_rounds: int, show: Show) -> dict[str, float]:
    """The mean CPU time in seconds of each one's whole work, by name.

    A round has as many turns as the most cut work has pieces; in each turn everyone runs one of his.
    """
    num_turns = num_rounds * max(len(contender.runs) for contender in contenders)
    spent: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(num_turns):
        for contender in contenders:
            show(f"{contender.name} {turn + 1}/{num_turns}")
            started_at = cpu_s()
            contender.runs[turn % len(contender.runs)]()
            spent[contender.name].append(cpu_s() - started_at)
    return {of.name: sum(spent[of.name]) / num_turns * len(of.runs) for of in contenders}
