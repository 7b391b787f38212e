"""Several ways to the same end, timed in turns: what disturbs the machine for a while disturbs all of them."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    run: Callable[[], object]
    runs_a_round: int = 1


def cpu_s() -> float:
    """CPU time so far, user and system, of this process and of the children that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def least_cpu_s(contenders: list[Contender], num_rounds: int, on_run: Callable[[str], None]) -> dict[str, float]:
    """The least CPU time that each needed, by name: what the machine adds is never less than nothing."""
    least: dict[str, float] = {}
    for _ in range(num_rounds):
        for contender in contenders:
            on_run(contender.name)
            for _ in range(contender.runs_a_round):
                started_at = cpu_s()
                contender.run()
                least[contender.name] = min(cpu_s() - started_at, least.get(contender.name, float("inf")))
    return least
