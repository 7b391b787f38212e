#!/usr/bin/env python3
"""Trains a reading checkpoint from scratch, and exports it; with ``--stage``, one of any family further.

    scripts/collect_text.py --out build/text_sources.json.gz
    scripts/train.py --text build/text_sources.json.gz --out build/run
    scripts/train.py --text build/text_sources.json.gz --out build/run --resume build/run   # another leg
    torchrun --standalone --nproc-per-node=4 scripts/train.py …                             # a GPU each

    scripts/train.py --stage align --model FOLDER --data qa.jsonl --out build/align          # its projector
    scripts/train.py --stage instruct --model build/align/export --data qa.jsonl --out build/instruct --resume

``--out`` holds the state, the log and the evaluations; at the end of the run the checkpoint is in ``--out``/export.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.training.batch import Batch
from glyph_core.training.checkpointing import load_state, save_pieces
from glyph_core.training.composer import Composer
from glyph_core.training.curves import draw_curves
from glyph_core.training.evaluate import row_batches
from glyph_core.training.export import export
from glyph_core.training.loader import InBackground, Loader
from glyph_core.training.looks import Typesetter
from glyph_core.training.parallel import join, leave, place_in_environment
from glyph_core.training.rows import ROWS, Row
from glyph_core.training.text_sources import Split, load
from glyph_core.training.trainer import TrainConfig, Trainer

EVALUATION_SEED = 99
CONFIG = Path(__file__).resolve().parents[1] / "glyph_core" / "training" / "configs" / "glyph_mini.yaml"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--text", type=Path, required=True, help="what scripts/collect_text.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="a folder with a state, whole or in pieces")
    parser.add_argument("--init-from", type=Path, help="a checkpoint folder: begin with its weights")
    parser.add_argument("--pieces", type=Path, help="also write the state in small pieces here; without optimisers'")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other values than the file's")
    parser.add_argument("--leg-s", type=float, help="stop after so many seconds, to be resumed")
    parser.add_argument("--questions", type=int, default=300, help="questions a row in evaluations; 0: none")
    parser.add_argument("--companions", default="glyph-mini", help="checkpoint whose tokenizer files are exported")
    return parser.parse_args()


def _evaluation_sets(args: argparse.Namespace, typesetter: Typesetter, rows: Sequence[Row]) -> dict[str, list[Batch]]:
    return row_batches(rows, load(args.text, Split.HELD_OUT), typesetter, args.questions, EVALUATION_SEED)


def main() -> None:
    if "--stage" in sys.argv:
        from glyph_core.training.stages.command import run_stage

        run_stage(sys.argv[1:])
        return
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    values = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    values.update((name, yaml.safe_load(value)) for name, _, value in (pair.partition("=") for pair in args.set))
    config = TrainConfig.model_validate(values)
    rank, num_ranks, local_rank = place_in_environment()
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    state = load_state(args.resume) if args.resume else {"step": 0, "stage": 0}
    typesetter = Typesetter()
    # a resumed run draws other documents than its first leg did, and each rank others than the next
    seed = config.seed + 131 * state["step"] + 7919 * rank
    loader = Loader(args.text, config.stages, units=config.units_per_batch, num_workers=config.num_workers,
                    seed=seed, device=device, typesetter=typesetter, first_stage=state["stage"])  # fmt: skip
    rows = ROWS[rank::num_ranks]
    with loader:  # before CUDA starts: processes are forked
        evaluation = InBackground(lambda: _evaluation_sets(args, typesetter, rows)) if args.questions else None
        ranks = join(device)
        trainer = Trainer(config, device, Composer(typesetter.ink_table(), device), ranks)
        if args.init_from:
            trainer.begin_from(args.init_from)
        if args.resume:
            trainer.resume_from(state)
        loader.start_prefetch()
        trainer.run(loader, args.out, evaluation=evaluation, leg_s=args.leg_s)
    if evaluation:
        trainer.evaluate(evaluation(), args.out)
    if ranks.is_first:
        export(trainer.reader.model, args.out / "export", resolve_checkpoint(args.companions).path)
        if args.pieces:
            save_pieces(trainer.state_dict(), args.pieces, with_optimiser=False)
        draw_curves(args.out)
    leave(ranks)


if __name__ == "__main__":
    main()
