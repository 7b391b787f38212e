"""From the answers of many windows to the likeliest one.

A window's confidence was fitted on questions whose answer stands on the pages that are shown, but for one in five. A
document of N windows is another matter: its answer stands in one of them at most, and N - 1 windows have a chance each
to find something that is none. So each window's confidence is taken for what it says of the pages (Bayes' factor) and
weighed against all other windows' and against the hypothesis that no window tells; the more of the other windows found
something, the less it says. A "not stated" therefore loses to a finding only where that is likelier.

Confidences that are no probabilities (checkpoints without a calibration) go through the same sums: they rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from glyph_core.types import Answer, Usage

PRESENT_SHARE = 0.8  # of the questions that confidences are fitted on, and of those that are asked
# Of windows that do not tell, this share finds something all the same: glyph-mini on 1,026 questions to pages without
# their answers, made of keys and names that are much alike. Books mislead it far less often, so a document's own other
# windows count, too; what was measured is worth this many of them.
MISLED_SHARE, MISLED_WEIGHT = 0.05, 5.0
_LEAST = 1e-6  # confidences nearer to 0 or 1 are rounding


@dataclass(frozen=True, slots=True)
class Weighed:
    answer: Answer
    probability: float  # that it is right


@dataclass(frozen=True, slots=True)
class Verdict:
    """``found`` has each text once, the likeliest first."""

    found: tuple[Weighed, ...]
    in_vain: Answer | None  # the surest of those that found nothing
    nowhere: float  # the probability that no window tells; 0 for a model that cannot say so

    @property
    def best(self) -> Weighed:
        return self._likeliest([*self.found[:1]], self.in_vain, self.nowhere)

    def after(self, together: Answer, num_shown: int, absent_answer: str | None) -> Weighed:
        """What it comes to when the pages of the first ``num_shown`` findings were read together, with this answer.

        That was a reading of a few pages, whose probability to tell is what these findings have by now.
        """
        shown, others = self.found[:num_shown], self.found[num_shown:]
        present = sum(weighed.probability for weighed in shown)
        is_found = bool(together.text) and together.text != absent_answer
        seen = present * factor(together.confidence if is_found else 1 - together.confidence)
        total = seen + 1 - present
        if is_found:
            return Weighed(together, seen / total)
        share = seen / present / total if present else 0.0
        found = [Weighed(weighed.answer, weighed.probability * share) for weighed in shown]
        found += [Weighed(weighed.answer, weighed.probability / total) for weighed in others]
        return self._likeliest(found, together, self.nowhere / total)

    @staticmethod
    def _likeliest(found: Sequence[Weighed], in_vain: Answer | None, nowhere: float) -> Weighed:
        weighed = [*found, *([Weighed(in_vain, nowhere)] if in_vain else [])]
        return max(weighed, key=lambda one: one.probability)


def weigh(answers: Sequence[Answer], absent_answer: str | None) -> Verdict:
    """``answers`` are of windows, at least one; ``absent_answer`` is what the model says where its pages do not tell
    (glyph-mini: "not stated"); None: it has no fixed words for it."""
    found: dict[str, Answer] = {}
    in_vain: list[Answer] = []
    for answer in answers:
        if not answer.text or answer.text == absent_answer:
            in_vain.append(answer)
        elif answer.text not in found or answer.confidence > found[answer.text].confidence:
            found[answer.text] = answer
    chance = PRESENT_SHARE / len(answers)
    times = Counter(answer.text for answer in answers)
    num_found = sum(times[text] for text in found)
    weights = {
        text: chance * factor(answer.confidence) / _misleading(num_found - times[text], len(answers) - times[text])
        for text, answer in found.items()
    }
    missed = chance * sum(factor(1 - answer.confidence) for answer in in_vain)  # it stands there, and was not found
    nowhere = 1 - PRESENT_SHARE if absent_answer is not None or not found else 0.0
    total = sum(weights.values()) + missed + nowhere
    ranked = sorted(found.values(), key=lambda answer: -weights[answer.text])
    surest = max(in_vain, key=lambda answer: answer.confidence) if in_vain else None
    return Verdict(tuple(Weighed(answer, weights[answer.text] / total) for answer in ranked), surest, nowhere / total)


def _misleading(num_found: int, num_windows: int) -> float:
    """How much likelier than usual a window finds what is none, where ``num_found`` of ``num_windows`` others did."""
    share = (MISLED_SHARE * MISLED_WEIGHT + num_found) / (MISLED_WEIGHT + num_windows)
    return share / MISLED_SHARE


def factor(confidence: float) -> float:
    """How much likelier a window's answer is made by the answer's standing there: the odds of ``confidence`` over the
    odds before anything was read."""
    return odds(confidence) / odds(PRESENT_SHARE)


def odds(probability: float) -> float:
    bounded = min(max(probability, _LEAST), 1 - _LEAST)
    return bounded / (1 - bounded)


def sum_usage(usages: Sequence[Usage]) -> Usage:
    """Of readings of the same documents."""
    return Usage(
        num_prompt_tokens=sum(usage.num_prompt_tokens for usage in usages),
        num_completion_tokens=sum(usage.num_completion_tokens for usage in usages),
        num_visual_tokens=sum(usage.num_visual_tokens for usage in usages),
        num_cached_tokens=sum(usage.num_cached_tokens for usage in usages),
        num_text_tokens=usages[0].num_text_tokens,  # of the request's documents, the same in each
        text_tokens_estimated=usages[0].text_tokens_estimated,
    )
