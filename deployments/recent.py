"""What the gateway remembers of the last minute: how many requests ended how, and how fast the answers were."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployments.openai_answers import Json
from glyph_core.types import Answer

WINDOW_S = 60.0
MAX_KEPT = 20_000  # of a faster service the window is shorter


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that ended."""

    at: float
    outcome: str
    answer: Answer | None


class LastMinute:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_at = clock()
        self._ended: deque[Ended] = deque(maxlen=MAX_KEPT)

    @property
    def uptime_s(self) -> float:
        return self._clock() - self._started_at

    def note(self, outcome: str, answer: Answer | None) -> None:
        self._ended.append(Ended(self._clock(), outcome, answer))

    def as_json(self) -> Json:
        """Counts by outcome, rates a second, and latencies' median and 95th percentile in milliseconds."""
        window_s = self._forget()
        outcomes = Counter(ended.outcome for ended in self._ended)
        answers = [ended.answer for ended in self._ended if ended.answer]
        return {
            "window_s": round(window_s, 1),
            "answered": outcomes["answered"],
            "refused": outcomes["refused"],
            "expired": outcomes["expired"],
            "failed": outcomes["failed"],
            "left": outcomes["left"],
            "requests_per_s": _rate(len(self._ended), window_s),
            "pages_per_s": _rate(sum(answer.num_pages for answer in answers), window_s),
            "prompt_tokens_per_s": _rate(sum(answer.usage.num_prompt_tokens for answer in answers), window_s),
            "cached_tokens_per_s": _rate(sum(answer.usage.num_cached_tokens for answer in answers), window_s),
            "completion_tokens_per_s": _rate(sum(answer.usage.num_completion_tokens for answer in answers), window_s),
            "ttft_ms": _percentiles_ms([answer.timings.ttft_s for answer in answers]),
            "tpot_ms": _percentiles_ms([answer.timings.tpot_s for answer in answers]),
            "e2e_ms": _percentiles_ms([answer.timings.e2e_s for answer in answers]),
        }

    def _forget(self) -> float:
        """Drops what is older than the window; returns the seconds that the rest stands for."""
        now = self._clock()
        while self._ended and self._ended[0].at < now - WINDOW_S:
            self._ended.popleft()
        oldest = self._ended[0].at if len(self._ended) == MAX_KEPT else self._started_at
        return max(1.0, min(WINDOW_S, now - oldest))


def _rate(count: int, window_s: float) -> float:
    return round(count / window_s, 2)


def _percentiles_ms(seconds: Sequence[float]) -> Json | None:
    """By nearest rank; None where there is nothing to rank."""
    ranked = sorted(seconds)
    if not ranked:
        return None
    return {name: round(1000 * ranked[int(share * (len(ranked) - 1) + 0.5)], 1) for name, share in _SHARES.items()}


_SHARES = {"p50": 0.5, "p95": 0.95}
