"""Fitting a checkpoint's confidence to what it got right, and measuring how well it fits.

Shapes: n answers, B bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glyph_core.answering.confidence import log_odds
from glyph_core.model.declaration import Calibration
from glyph_core.training.facts import ABSENT_ANSWER
from glyph_core.training.reading import Asked, RowResult

NUM_BINS = 10
ABSENT_SHARE = 0.2  # of users' questions, we suppose: how much "not stated" is to be believed depends on it
RIDGE = 1e-4  # on the two slopes: where every answer is right they would grow without end


@dataclass(frozen=True)
class Sample:
    """Answers with what is known of them. Rows of the table count alike, however many questions they have; but those
    of questions without an answer make up :data:`ABSENT_SHARE`."""

    logprobs: np.ndarray  # (n, 2): of the least likely token, of all tokens together
    is_absent: np.ndarray  # (n,) bool
    is_right: np.ndarray  # (n,) bool
    weights: np.ndarray  # (n,), their sum is 1

    @classmethod
    def of(cls, rows: Sequence[Sequence[Asked]]) -> Sample:
        asked = [answer for row in rows for answer in row]
        is_absent_row = [all(answer.expected == ABSENT_ANSWER for answer in row) for row in rows]
        num_absent = sum(is_absent_row)
        num_others = len(rows) - num_absent
        absent_share = ABSENT_SHARE if num_absent and num_others else float(num_others == 0)
        shares = [absent_share / num_absent if a else (1 - absent_share) / num_others for a in is_absent_row]
        weights = np.array([share / len(row) for share, row in zip(shares, rows, strict=True) for _ in row])
        return cls(
            logprobs=np.array([[a.min_logprob, a.mean_logprob * a.num_tokens] for a in asked]),
            is_absent=np.array([a.answer == ABSENT_ANSWER for a in asked]),
            is_right=np.array([a.is_right for a in asked]),
            weights=weights,
        )

    def evidence(self) -> np.ndarray:
        """(n, 2): the log-odds that ``answering.confidence`` makes of an answer's tokens."""
        return np.array([[log_odds(weakest), log_odds(whole)] for weakest, whole in self.logprobs.tolist()])


def halves(results: Sequence[RowResult]) -> tuple[Sample, Sample]:
    """The first and the second half of each row: other documents, but for one at the seam."""
    middles = [len(result.asked) // 2 for result in results]
    first = [result.asked[:middle] for result, middle in zip(results, middles, strict=True)]
    second = [result.asked[middle:] for result, middle in zip(results, middles, strict=True)]
    return Sample.of(first), Sample.of(second)


def fit(sample: Sample) -> Calibration:
    """The logistic model of least weighted cross-entropy with slopes ≥ 0 (Platt 1999)."""
    odds = torch.from_numpy(sample.evidence())
    absent = torch.from_numpy(sample.is_absent).double()
    right, weights = torch.from_numpy(sample.is_right).double(), torch.from_numpy(sample.weights)
    raw = torch.zeros(4, dtype=torch.float64, requires_grad=True)  # bias, log of the slopes, absent

    def loss() -> torch.Tensor:
        slopes = raw[1:3].exp()
        score = raw[0] + odds @ slopes + raw[3] * absent
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(score, right, weights, reduction="sum")
        return entropy + RIDGE * slopes.square().sum()

    optimiser = torch.optim.LBFGS([raw], lr=0.5, max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    bias, weakest, whole, shift = raw.detach().tolist()
    return Calibration(
        bias=round(bias, 4), weakest_token=round(math.exp(weakest), 4), whole_answer=round(math.exp(whole), 4),
        absent=round(shift, 4),
    )  # fmt: skip


def probabilities(sample: Sample, calibration: Calibration) -> np.ndarray:
    """(n,) what ``answering.confidence.calibrated`` says of each answer."""
    score = calibration.bias + sample.evidence() @ [calibration.weakest_token, calibration.whole_answer]
    return np.asarray(1 / (1 + np.exp(-(score + calibration.absent * sample.is_absent))))


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width; those without answers have weight 0."""

    weight: np.ndarray  # (B,) share of all answers
    confidence: np.ndarray  # (B,) mean
    right: np.ndarray  # (B,) share

    @property
    def expected_error(self) -> float:
        """ECE: the mean distance of confidence and share of right answers (Guo et al. 2017)."""
        return float((self.weight * np.abs(self.confidence - self.right)).sum())


def reliability(confidence: np.ndarray, sample: Sample) -> Reliability:
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    weight = np.bincount(bins, sample.weights, NUM_BINS)
    safe = np.where(weight > 0, weight, 1)
    return Reliability(
        weight=weight / sample.weights.sum(),
        confidence=np.bincount(bins, sample.weights * confidence, NUM_BINS) / safe,
        right=np.bincount(bins, sample.weights * sample.is_right, NUM_BINS) / safe,
    )


def separation(confidence: np.ndarray, sample: Sample) -> float:
    """AUROC: how often a right answer has more confidence than a wrong one; 0.5 by chance, NaN without either."""
    right, wrong = confidence[sample.is_right], np.sort(confidence[~sample.is_right])
    if not len(right) or not len(wrong):
        return float("nan")
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.mean() / (2 * len(wrong)))
