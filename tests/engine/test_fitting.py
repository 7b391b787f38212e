"""A start that runs out of memory gives up KV blocks until it fits, and says so; or fails and says what would fit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from glyph_core.config import CreditConfig, EngineConfig
from glyph_core.engine.fitting import LEAST_PART, MAX_RETRIES, RESERVE_BYTES, fit_blocks, measure
from glyph_core.engine.memory_plan import GIB, MIB, MemoryPlan, plan_memory
from glyph_core.errors import ConfigError
from tests.engine.test_memory_plan import CONFIG_9B, shape_of

PIECE = 96 * MIB  # that the fake engine asks for at a time


class FakeCard:
    """An allocator with a limit. What an attempt that failed had taken is given back when the next begins."""

    def __init__(self, share: int, weights: int) -> None:
        self.share, self.weights = share, weights
        self.taken = self.highest = weights
        self.num_begun = 0

    def begin(self) -> None:
        self.num_begun += 1
        self.taken = self.highest = self.weights

    def reserved(self) -> int:
        return self.taken

    def peak(self) -> int:
        return self.highest

    def take(self, num_bytes: int) -> None:
        if self.taken + num_bytes > self.share:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {num_bytes / MIB:.2f} MiB. GPU 0 has a total capacity of "
                "139.80 GiB of which 100.00 GiB is free."
            )
        self.taken += num_bytes
        self.highest = max(self.highest, self.taken)


def plan_9b(budget_gb: float = 24, **fields: object) -> MemoryPlan:
    engine = EngineConfig.model_validate(fields)
    return plan_memory(shape_of(CONFIG_9B), engine, CreditConfig(), budget_gb=budget_gb, is_fp8=True)


def engine_of(card: FakeCard, plan: MemoryPlan, activations: int) -> Callable[[int], str]:
    """Takes its blocks, then its activations in pieces."""

    def start(num_blocks: int) -> str:
        card.take(num_blocks * (plan.decoder.kv // plan.num_blocks))
        for _ in range(activations // PIECE):
            card.take(PIECE)
        card.take(activations % PIECE)
        card.taken -= activations
        return f"engine of {num_blocks}"

    return start


def card_of(plan: MemoryPlan) -> FakeCard:
    return FakeCard(plan.decoder.allocated, plan.decoder.weights)


def too_much(plan: MemoryPlan, num_bytes: int) -> int:
    """Activations that are ``num_bytes`` more than the plan has room for."""
    return plan.decoder.allocated - plan.decoder.weights - plan.decoder.kv + num_bytes


def test_what_fits_keeps_all_its_blocks(caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_9b()
    card = card_of(plan)
    with caplog.at_level(logging.INFO):
        engine, use = fit_blocks(engine_of(card, plan, too_much(plan, -50 * MIB)), plan, card)
    assert engine == f"engine of {plan.num_blocks}"
    assert (use.num_given_up, use.fallbacks, card.num_begun) == (0, (), 1)
    assert (use.share, use.unused) == (plan.decoder.allocated, 50 * MIB)
    [told] = caplog.messages
    assert "50 left" in told


@pytest.mark.parametrize("excess", [1, 90 * MIB, 700 * MIB, 2 * GIB])
def test_blocks_are_given_up_until_it_fits(excess: int, caplog: pytest.LogCaptureFixture) -> None:
    """However much too much it was; not much more than that, and a sentence each time."""
    plan = plan_9b()
    card = card_of(plan)
    with caplog.at_level(logging.WARNING):
        engine, use = fit_blocks(engine_of(card, plan, too_much(plan, excess)), plan, card)
    assert engine == f"engine of {use.num_blocks}"
    assert use.peak <= use.share
    given_up = use.num_given_up * use.block_bytes
    assert excess <= given_up <= 3 * excess + LEAST_PART * plan.decoder.kv + PIECE + RESERVE_BYTES
    assert 1 <= len(caplog.messages) == card.num_begun - 1 <= MAX_RETRIES
    assert all("given up" in told and "GiB" in told for told in caplog.messages)
    [fallback] = use.fallbacks
    assert f"{use.num_given_up:,} of {plan.num_blocks:,} planned KV blocks" in fallback


def test_the_piece_that_was_asked_for_is_given_up_at_once() -> None:
    """Where the pool itself is too large, by as much as it is."""
    plan = plan_9b()
    card = FakeCard(plan.decoder.allocated, plan.decoder.weights + 3 * GIB)
    _, use = fit_blocks(engine_of(card, plan, too_much(plan, -3 * GIB - MIB)), plan, card)
    assert card.num_begun <= 3
    assert 2 * GIB < use.num_given_up * use.block_bytes < 3.5 * GIB


def test_out_of_memory_that_says_no_size_costs_the_least_part() -> None:
    plan, sizes = plan_9b(), []

    def start(num_blocks: int) -> int:
        sizes.append(num_blocks)
        if len(sizes) <= 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return num_blocks

    _, use = fit_blocks(start, plan, card_of(plan))
    steps = [before - after for before, after in pairwise(sizes)]
    assert steps[0] >= LEAST_PART * plan.num_blocks
    assert steps[1] >= 2 * LEAST_PART * plan.num_blocks
    assert use.num_given_up == sum(steps)


def test_a_recording_that_was_broken_off_counts_as_out_of_memory() -> None:
    plan, num = plan_9b(), 0

    def start(num_blocks: int) -> int:
        nonlocal num
        num += 1
        if num == 1:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")
            finally:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        return num_blocks

    assert fit_blocks(start, plan, card_of(plan))[1].num_given_up > 0


def test_other_errors_are_not_caught() -> None:
    plan, card = plan_9b(), card_of(plan_9b())

    def start(num_blocks: int) -> int:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        fit_blocks(start, plan, card)
    assert card.num_begun == 1


def test_it_ends_after_some_attempts_and_says_what_would_fit() -> None:
    plan, sizes = plan_9b(), []

    def start(num_blocks: int) -> int:
        sizes.append(num_blocks)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 MiB. GPU 0")

    with pytest.raises(ConfigError, match=r"engine\.num_blocks=\d+ may fit, or lower engine\.max_num") as raised:
        fit_blocks(start, plan, card_of(plan))
    assert len(sizes) == MAX_RETRIES + 1
    assert 256 <= int(str(raised.value).split("num_blocks=")[1].split()[0]) < min(sizes)


def test_no_blocks_left_to_give_up_says_how_much_memory_would_do() -> None:
    """And with that much it fits."""
    plan = plan_9b(16)
    excess = plan.decoder.kv + GIB
    card = FakeCard(plan.decoder.allocated, plan.decoder.weights + excess)
    with pytest.raises(ConfigError, match=r"of gpu_memory_gb=16, .*lower engine\.max_num_batched_tokens") as raised:
        fit_blocks(engine_of(card, plan, 0), plan, card)
    larger = plan_9b(float(str(raised.value).split("; gpu_memory_gb=")[1].split()[0]))
    card = FakeCard(larger.decoder.allocated, larger.decoder.weights + excess)
    _, use = fit_blocks(engine_of(card, larger, 0), larger, card)
    assert use.num_blocks * larger.block_size >= 4096


def test_the_encoders_use_is_measured_and_too_little_is_refused() -> None:
    card = FakeCard(2 * GIB, GIB)
    use = measure(lambda: card.take(GIB // 2), card.share, card)
    assert (use.peak, use.unused, use.fallbacks) == (GIB + GIB // 2, GIB // 2, ())
    with pytest.raises(ConfigError, match=r"2\.00 GiB: they asked for 512 MiB more"):
        measure(lambda: card.take(GIB + GIB // 2), card.share, card)
