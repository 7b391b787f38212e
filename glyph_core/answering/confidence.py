"""How sure an answer is: the probability that it is right to the last character.

A checkpoint with a calibration turns the answer's log-probabilities into that probability. Without one, the
confidence is exp of their mean: comparable between answers of one model, but no probability of being right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from glyph_core.model.declaration import Calibration

_LEAST_DOUBT = 1e-6  # probabilities nearer to 0 or 1 are rounding


def mean_probability(logprobs: Sequence[float]) -> float:
    """exp of the mean log-probability; 0 without tokens."""
    return math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0


def calibrated(calibration: Calibration, logprobs: Sequence[float], *, is_absent: bool) -> float:
    """The probability that an answer of tokens with these log-probabilities is right; 0 without tokens."""
    if not logprobs:
        return 0.0
    weakest, whole = evidence(logprobs)
    score = calibration.bias + calibration.weakest_token * weakest + calibration.whole_answer * whole
    return 1 / (1 + math.exp(-(score + (calibration.absent if is_absent else 0.0))))


def evidence(logprobs: Sequence[float]) -> tuple[float, float]:
    """Log-odds of the least likely token, and of all tokens together."""
    return log_odds(min(logprobs)), log_odds(sum(logprobs))


def log_odds(logprob: float) -> float:
    """Of a probability that is given by its logarithm, within ±13.8."""
    probability = min(max(math.exp(logprob), _LEAST_DOUBT), 1 - _LEAST_DOUBT)
    return math.log(probability / (1 - probability))
