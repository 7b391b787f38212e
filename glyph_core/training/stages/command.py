"""``scripts/train.py --stage``: a stage's run from the command line, alone or under torchrun."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from glyph_core.training.parallel import join, leave, place_in_environment
from glyph_core.training.stages.config import DEFAULT_PARTS, StageConfig
from glyph_core.training.stages.trainer import StageTrainer


def run_stage(arguments: Sequence[str]) -> None:
    """Raises the errors of :class:`StageTrainer`."""
    parser = argparse.ArgumentParser(prog="train.py", description="Trains a checkpoint of any family further.")
    parser.add_argument("--stage", required=True, choices=list(DEFAULT_PARTS))
    parser.add_argument("--model", required=True, help="a checkpoint folder, a hub id or glyph-mini")
    parser.add_argument("--data", type=Path, help="JSONL: text or file, question, answer")
    parser.add_argument("--text", type=Path, help="what scripts/collect_text.py wrote: documents are generated")
    parser.add_argument("--out", type=Path, required=True, help="gets the log, the state, and export/")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --out")
    parser.add_argument(
        "--until", type=int, metavar="STEP", help="stop there, to be resumed; the rate falls all the same"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other fields of StageConfig")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    values: dict[str, Any] = {key: getattr(given, key) for key in ("stage", "model", "data", "text")}
    values |= {name: yaml.safe_load(value) for name, _, value in (pair.partition("=") for pair in given.set)}
    _, num_ranks, local_rank = place_in_environment()
    if num_ranks > 1 and torch.cuda.is_available():
        values["device"] = f"cuda:{local_rank}"
    config = StageConfig.model_validate(values)
    ranks = join(torch.device(config.device if config.device != "auto" else "cpu"))
    trainer = StageTrainer(config, given.out, ranks)
    if given.resume:
        trainer.resume()
    trainer.run(until=given.until)
    leave(ranks)
