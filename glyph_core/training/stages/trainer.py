"""A stage's run: steps, their losses, saving and going on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glyph_core.answering.reader import Reader
from glyph_core.config import preset
from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.loading import pick_device, pick_dtype
from glyph_core.model.transformers_family import TransformersFamily
from glyph_core.training.checkpointing import load_state, save_state
from glyph_core.training.parallel import Ranks, mean_weight
from glyph_core.training.stages.config import StageConfig
from glyph_core.training.stages.examples import ExampleBatch, ExampleMaker, collate
from glyph_core.training.stages.export import export_checkpoint
from glyph_core.training.stages.lora import add_lora, merge_lora
from glyph_core.training.stages.reader import FamilyReader
from glyph_core.training.stages.samples import make_samples

FINAL_SHARE = 0.1  # of the highest rate, at the end
_log = logging.getLogger(__name__)


class StageTrainer:
    """Weights that learn are float32, those that don't have the run's precision, and so have the products."""

    def __init__(self, config: StageConfig, out: Path, ranks: Ranks | None = None) -> None:
        """Raises ModelError and ConfigError. ``out`` gets the log, the state, and in the end the checkpoint."""
        self.config, self.out, self.ranks = config, out, ranks or Ranks()
        if config.batch_size < self.ranks.count:
            idle = self.ranks.count - config.batch_size
            raise ConfigError(
                f"batch_size={config.batch_size} leaves {idle} of {self.ranks.count} processes without an example, and "
                "the others would wait for them; raise it"
            )
        self.device = pick_device(config.device)
        checkpoint = resolve_checkpoint(config.model)
        self._reader = Reader.of(checkpoint)
        family = self._reader.family
        if not isinstance(family, TransformersFamily):
            raise ConfigError(f"the family {checkpoint.family} cannot be trained")
        self._samples = make_samples(config)
        self._maker = ExampleMaker(config, self._reader, config.render or preset(checkpoint.preset))
        torch.manual_seed(config.seed)
        self._precision = pick_dtype(config.precision, self.device)
        self.model = FamilyReader(family, self._precision, self.device)
        self._peft = None
        if config.lora_rank is not None and "text" in config.learning_parts:
            self._peft = add_lora(self.model, config.lora_rank, config.seed)
        self.learning = self._unfreeze()
        if config.gradient_checkpointing:
            self.model.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.model.train()  # transformers checkpoints while training only
        self._adam = torch.optim.AdamW(
            self.learning.values(), lr=config.rate, betas=(0.9, 0.95), weight_decay=config.weight_decay
        )
        self.step = 0
        out.mkdir(parents=True, exist_ok=True)

    @property
    def rate(self) -> float:
        """Warms up linearly, then falls along a cosine."""
        if self.step < self.config.warmup_steps:
            return self.config.rate * (self.step + 1) / self.config.warmup_steps
        done = (self.step - self.config.warmup_steps) / max(1, self.config.steps - self.config.warmup_steps)
        return self.config.rate * (FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * done)) / 2)

    def run(self, until: int | None = None) -> Path | None:
        """Goes on to the end, or to step ``until``; the checkpoint's folder where that is the end. The state is saved
        on the way and at the end."""
        last = min(self.config.steps, until or self.config.steps)
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as log:
            while self.step < last:
                rate, loss = self.rate, self.train_step()
                if self.ranks.is_first:
                    log.write(json.dumps({"step": self.step, "loss": loss, "rate": rate}) + "\n")
                    log.flush()
                if self.ranks.is_first and self.step % 50 == 0:
                    _log.info("step %d of %d: loss %.4f", self.step, self.config.steps, loss)
                if self.ranks.is_first and (self.step % self.config.save_every == 0 or self.step == last):
                    save_state(self.state_dict(), self.out)
        if self.step < self.config.steps or not self.ranks.is_first:
            return None
        if self._peft is not None:
            merge_lora(self._peft)
        return export_checkpoint(self.model.model, self._reader.checkpoint, self.out / "export")

    def train_step(self) -> float:
        """The mean loss of an answer's token, over all ranks, in nats."""
        batches = list(self._micro_batches())
        counts = self.ranks.gather(sum(batch.num_answer_tokens for batch in batches))
        num_mine, num_all = counts[self.ranks.rank], sum(counts)
        for group in self._adam.param_groups:
            group["lr"] = self.rate
        self._adam.zero_grad(set_to_none=True)
        total = 0.0
        for batch in batches:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == torch.bfloat16):
                loss = self.model.loss(batch)
            share = mean_weight(num_mine, num_all, self.ranks.count) / max(1, num_mine)
            (loss * share).backward()
            total += loss.item()
        self.ranks.average_gradients(self.learning.values())
        nn.utils.clip_grad_norm_(self.learning.values(), 1.0)
        self._adam.step()
        self.step += 1
        return float(sum(self.ranks.gather(total)) / num_all)

    def state_dict(self) -> dict[str, Any]:
        weights = {name: weight.detach() for name, weight in self.learning.items()}
        return {"step": self.step, "weights": weights, "adam": self._adam.state_dict()}

    def resume(self) -> None:
        """From what an earlier run left in ``out``. Raises ConfigError where that is nothing, or of another shape."""
        state = load_state(self.out)
        if state.get("weights", {}).keys() != self.learning.keys():
            raise ConfigError(f"{self.out} holds the state of a run in which other weights learn; take another folder")
        self.step = state["step"]
        with torch.no_grad():
            for name, weight in self.learning.items():
                weight.copy_(state["weights"][name])
        self._adam.load_state_dict(state["adam"])
        log = self.out / "log.jsonl"
        if self.ranks.is_first and log.is_file():  # what came after the state was saved is done again
            kept = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= self.step]
            log.write_text("".join(f"{line}\n" for line in kept))

    def _micro_batches(self) -> Iterator[ExampleBatch]:
        """This rank's share of the step's examples."""
        first = self.step * self.config.batch_size
        numbers = range(first + self.ranks.rank, first + self.config.batch_size, self.ranks.count)
        examples = [self._maker.make(self._samples.draw(number), number) for number in numbers]
        for start in range(0, len(examples), self.config.micro_batch):
            yield collate(examples[start : start + self.config.micro_batch])

    def _unfreeze(self) -> dict[str, nn.Parameter]:
        """What learns, by name."""
        learning: dict[str, nn.Parameter] = {}
        for part in self.config.learning_parts:
            weights = self.model.parameters_of(part)
            if part == "text" and self._peft is not None:
                weights = {name: weight for name, weight in weights.items() if "lora_" in name}
            learning |= weights
        for weight in learning.values():
            weight.data = weight.data.float()
            weight.requires_grad_(True)
        if not learning:
            raise ConfigError(f"nothing learns: the model has no {', '.join(self.config.learning_parts)}")
        return learning
