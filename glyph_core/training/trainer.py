"""The training run: batches, losses, optimisers, schedule, stages, checkpoints, curves."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from transformers import Glm4vForConditionalGeneration

from glyph_core.config import Config
from glyph_core.errors import ConfigError
from glyph_core.training.batch import KIND_INDEX, Batch
from glyph_core.training.checkpointing import load_state, save_state
from glyph_core.training.composer import Composer
from glyph_core.training.curriculum import Stage
from glyph_core.training.evaluate import measure
from glyph_core.training.loader import Loader
from glyph_core.training.model import ModelShape, PackedReader, initialise, make_config
from glyph_core.training.optimizer import Muon, sorted_parameters
from glyph_core.training.parallel import Plan, Ranks, mean_weight
from glyph_core.training.step import DeviceBatch, StepResult, run_step
from glyph_core.training.window import Window

_log = logging.getLogger(__name__)

EvaluationSets = Callable[[], Mapping[str, Sequence[Batch]]]  # batches by row, made by the time they are needed


class TrainConfig(Config):
    """A training run. Its length is a number of steps or of seconds, whichever ends first."""

    shape: ModelShape = ModelShape()
    stages: tuple[Stage, ...] = Field(min_length=1)
    steps: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0, description="of training, over all legs; start-up does not count")
    units_per_batch: float = Field(48_000, gt=0, description="work of a batch, in visual tokens")
    num_workers: int = Field(14, ge=1)
    seed: int = 1
    matrix_rate: float = Field(0.02, description="learning rate of Muon")
    matrix_momentum: float = 0.95
    matrix_decay: float = 0.1
    other_rate: float = Field(2e-3, description="learning rate of AdamW")
    warmup_steps: int = Field(100, ge=1)
    decay_share: float = Field(0.38, gt=0, le=1, description="the rate falls to 0 over this last share of the run")
    glyph_slots: int = Field(16, ge=1, description="glyphs in a visual token's square, at most")
    glyph_weight: tuple[float, float] = Field((1.0, 0.2), description="of the glyph head's loss, first and second half")
    compiled: bool = True
    log_every: int = Field(50, ge=1)
    checkpoint_every_s: float = Field(120, gt=0)
    evaluate_every_s: float = Field(240, gt=0)


class Trainer:
    """Holds everything that a run changes, and can save and restore it."""

    def __init__(
        self, config: TrainConfig, device: torch.device, composer: Composer, ranks: Ranks | None = None
    ) -> None:
        if config.steps is None and config.seconds is None:
            raise ConfigError("a training run needs an end: set steps or seconds")
        torch.manual_seed(config.seed)
        self.config, self.device, self.composer = config, device, composer
        self.ranks = ranks or Ranks()
        model = Glm4vForConditionalGeneration(make_config(config.shape)).float()
        initialise(model)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.reader = PackedReader(model, config.glyph_slots, dtype=dtype, compiled=config.compiled).to(device)
        self.ranks.copy_first(self.reader)
        if self.ranks.count > 1:
            torch.manual_seed(config.seed + 1000 * (self.ranks.rank + 1))  # of the noise on pages
        matrices, self._others = sorted_parameters(self.reader)
        self._muon = Muon(matrices, momentum=config.matrix_momentum, weight_decay=config.matrix_decay)
        self._adam = torch.optim.AdamW(
            self._others, lr=config.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=device.type == "cuda"
        )
        self.step = self.stage = 0
        self.elapsed_s = 0.0
        self._window = Window(device)

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        by_steps = self.step / self.config.steps if self.config.steps else 0.0
        by_time = self.elapsed_s / self.config.seconds if self.config.seconds else 0.0
        return max(by_steps, by_time)

    @property
    def rate(self) -> float:
        """The learning rates' common factor."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        return warm * min(1.0, max(0.0, 1 - self.progress) / self.config.decay_share)

    def train_step(self, batch: DeviceBatch, num_answer_tokens: int | None = None) -> StepResult:
        """One step; ``num_answer_tokens``: of the batches of all ranks, where there are several."""
        config = self.config
        weight = config.glyph_weight[self.progress > 0.5]
        result = run_step(self.reader, self.composer, batch, augmented=True, glyph_weight=weight)
        num_mine = len(batch.batch.answer_ids)
        share = mean_weight(num_mine, num_answer_tokens or num_mine, self.ranks.count)
        (share * result.loss + weight * result.glyph_loss).backward()  # type: ignore[no-untyped-call]
        self.ranks.average_gradients(self.reader.parameters())
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        rate = self.rate
        for group in self._adam.param_groups:
            group["lr"] = config.other_rate * rate
        self._adam.step()
        self._muon.step(config.matrix_rate * rate)
        self.reader.zero_grad(set_to_none=True)
        self.step += 1
        return result

    def run(
        self, loader: Loader, folder: Path, *, evaluation: EvaluationSets | None, leg_s: float | None = None
    ) -> None:
        """Trains to the end, or for ``leg_s`` seconds; leaves the state, the log and evaluations in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        clock = _Clock(self, leg_s)
        saved_at = evaluated_at = time.monotonic()
        loader.enter_stage(self.stage)
        batches = iter(loader)
        while True:
            with self._window.waiting():
                batch, stage = next(batches)
            now = time.monotonic()
            plan = self.ranks.agree(Plan(
                self.elapsed_s, self.stage, clock.is_over, now - saved_at > self.config.checkpoint_every_s,
                evaluation is not None and now - evaluated_at > self.config.evaluate_every_s,
                len(batch.batch.answer_ids),
            ))  # fmt: skip
            if plan.stage != self.stage:
                self._enter_stage(plan.stage, loader)
            if plan.is_over:
                break
            if plan.saves:
                self.save(folder)
                saved_at = time.monotonic()
            if plan.evaluates and evaluation:
                with clock.stopped():
                    self.evaluate(evaluation(), folder)
                evaluated_at = time.monotonic()
            self.elapsed_s = plan.elapsed_s  # last: the rate must be the same on all ranks, whatever their clocks say
            result = self.train_step(batch, plan.num_answer_tokens)
            self._window.add(result, batch, is_current=stage == self.stage)
            clock.tick()
            if self.step % self.config.log_every == 0:
                if self.ranks.is_first:
                    self._report(folder)
                    if self._stage_is_over():
                        self._enter_stage(self.stage + 1, loader)
                self._window = Window(self.device)
        self.save(folder)

    def _enter_stage(self, stage: int, loader: Loader) -> None:
        self.stage = stage
        loader.enter_stage(stage)

    def evaluate(self, batches_of: Mapping[str, Sequence[Batch]], folder: Path) -> dict[str, float]:
        """Shares of right answers; each rank measures the rows that it was given."""
        shares: dict[str, float] = {}
        for measured in self.ranks.gather(measure(batches_of, self.reader, self.composer, self.device)):
            shares.update(measured)
        if not self.ranks.are_equal(self.reader):
            _log.warning("step %d: the ranks' parameters differ; all go on from the first one's", self.step)
            self.ranks.copy_first(self.reader)
        if self.ranks.is_first:
            _append(folder / "evaluations.jsonl", {"step": self.step, "elapsed_s": self.elapsed_s, **shares})
            _log.info("step %d: %s", self.step, "  ".join(f"{name} {share:.3f}" for name, share in shares.items()))
        return shares

    def _stage_is_over(self) -> bool:
        if self.stage + 1 >= len(self.config.stages):
            return False
        stage = self.config.stages[self.stage]
        measured = self._window.share(KIND_INDEX[stage.measure], stage.counted)
        return measured > stage.threshold or self.progress > stage.until

    def _report(self, folder: Path) -> None:
        values = {"step": self.step, "elapsed_s": round(self.elapsed_s, 1), "stage": self.stage,
                  "rate": round(self.rate, 4), **self._window.summary(self.ranks.count)}  # fmt: skip
        _append(folder / "log.jsonl", values)
        _log.info("%s", " ".join(f"{name}={value}" for name, value in values.items()))

    def state_dict(self) -> dict[str, Any]:
        return {
            "reader": self.reader.state_dict(), "muon": self._muon.state_dict(), "adam": self._adam.state_dict(),
            "step": self.step, "stage": self.stage, "elapsed_s": self.elapsed_s,
        }  # fmt: skip

    def save(self, folder: Path) -> None:
        if self.ranks.is_first:
            save_state(self.state_dict(), folder)

    def begin_from(self, checkpoint: Path) -> None:
        """Takes the weights of an exported checkpoint; optimisers and the throw-away head begin anew."""
        model = Glm4vForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
        try:
            self.reader.model.load_state_dict(model.state_dict())
        except RuntimeError as error:
            raise ConfigError(f"{checkpoint} has not the shape of this configuration: {error}") from error

    def resume(self, folder: Path) -> None:
        """Goes on from what ``folder`` holds."""
        self.resume_from(load_state(folder))

    def resume_from(self, state: dict[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` gave."""
        self.reader.load_state_dict(state["reader"])
        if "muon" in state:
            self._muon.load_state_dict(state["muon"])
            self._adam.load_state_dict(state["adam"])
        self.step, self.stage, self.elapsed_s = state["step"], state["stage"], state["elapsed_s"]


class _Clock:
    """Training seconds of this leg, from the end of the first step (which compiles) on."""

    def __init__(self, trainer: Trainer, leg_s: float | None) -> None:
        self._trainer = trainer
        self._end = time.monotonic() + leg_s if leg_s else None
        self._last: float | None = None

    def tick(self) -> None:
        now = time.monotonic()
        if self._last is not None:
            self._trainer.elapsed_s += now - self._last
        self._last = now

    @property
    def is_over(self) -> bool:
        return self._trainer.progress >= 1 or (self._end is not None and time.monotonic() >= self._end)

    def stopped(self) -> _Clock:
        return self

    def __enter__(self) -> None:
        self.tick()

    def __exit__(self, *_: object) -> None:
        self._last = time.monotonic()


def _append(path: Path, values: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")
