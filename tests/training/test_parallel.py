"""Several processes train as one does: the same parameters everywhere, and the step of the whole batch."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from glyph_core.training.batch import Batch, PackedDocument, pack
from glyph_core.training.composer import Composer
from glyph_core.training.curriculum import PageSpec, Stage, make_document
from glyph_core.training.curves import draw_curves, read_log
from glyph_core.training.export import export
from glyph_core.training.looks import InkTable, Typesetter
from glyph_core.training.material import Material
from glyph_core.training.model import ModelShape
from glyph_core.training.parallel import Plan, Ranks, join, leave, mean_weight
from glyph_core.training.step import DeviceBatch
from glyph_core.training.text_sources import Split, TextSources
from glyph_core.training.trainer import TrainConfig, Trainer

CPU = torch.device("cpu")
SHAPE = ModelShape(vision_hidden=64, vision_depth=1, vision_heads=2, vision_intermediate=96, hidden=64, depth=1,
                   heads=2, intermediate=96, mrope_section=(2, 3, 3))  # fmt: skip
STEPS = 3


def config(seed: int = 1) -> TrainConfig:
    stage = Stage(specs=(PageSpec(name="s"),))
    return TrainConfig(shape=SHAPE, stages=(stage,), steps=9, compiled=False, warmup_steps=2, seed=seed,
                       glyph_weight=(0.0, 0.0))  # fmt: skip


def parameters(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.reader.named_parameters()}


def train(ranks: Ranks, seed: int, ink: InkTable, batch: Batch, num_answer_tokens: int) -> dict[str, torch.Tensor]:
    trainer = Trainer(config(seed), CPU, Composer(ink, CPU), ranks)
    for _ in range(STEPS):
        trainer.train_step(DeviceBatch(batch, CPU).move(), num_answer_tokens)
    assert ranks.are_equal(trainer.reader)
    return parameters(trainer)


class Loader:
    """The same batch again and again."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def enter_stage(self, stage: int) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[DeviceBatch, int]]:
        while True:
            yield DeviceBatch(self._batch, CPU).move(), 0


def run_on_the_clock(ranks: Ranks, ink: InkTable, batch: Batch, folder: Path) -> None:
    """The rate falls with time all along, and evaluations stop the clocks."""
    timed = config().model_copy(update={"steps": None, "seconds": 2.0, "decay_share": 1.0, "evaluate_every_s": 0.3,
                                        "log_every": 2})  # fmt: skip
    trainer = Trainer(timed, CPU, Composer(ink, CPU), ranks)
    trainer.run(Loader(batch), folder, evaluation=lambda: {str(ranks.rank): [batch]})  # type: ignore[arg-type]
    assert ranks.are_equal(trainer.reader)
    assert len(set(ranks.gather(trainer.step))) == 1
    assert {"0", "1"} <= set(read_log(folder / "evaluations.jsonl")[-1])


def run_rank(rank: int, port: int, ink: InkTable, batches: list[Batch], folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port))  # fmt: skip
    torch.set_num_threads(1)
    ranks = join(CPU)
    plan = ranks.agree(Plan(5.0 + rank, rank, rank == 1, rank == 1, rank == 0, len(batches[rank].answer_ids)))
    assert plan == Plan(5.0, 0, False, False, True, sum(len(batch.answer_ids) for batch in batches))
    made = train(ranks, 1 + rank, ink, batches[rank], plan.num_answer_tokens)  # other first weights, to be replaced
    run_on_the_clock(ranks, ink, batches[rank], Path(folder))
    torch.save(made, Path(folder) / f"{rank}.pt")
    leave(ranks)


@pytest.fixture(scope="module")
def documents(sources: TextSources, typesetter: Typesetter) -> list[PackedDocument]:
    """Two pages with unlike numbers of answer tokens; black on white."""
    material = Material(sources.side(Split.TRAIN), Split.TRAIN, seed=5)
    specs = [PageSpec(name="s", columns=(8, 8), rows=(rows, rows), num_questions=2 * rows, plain=1, scans=0)
             for rows in (2, 4)]  # fmt: skip
    return [next(filter(None, iter(lambda s=spec: make_document(material, typesetter, s), 0))) for spec in specs]


def test_two_ranks_take_the_step_of_one(
    documents: list[PackedDocument], typesetter: Typesetter, tmp_path: Path
) -> None:
    ink = typesetter.ink_table()
    apart = [pack([document], ink.starts) for document in documents]
    assert len(apart[0].answer_ids) != len(apart[1].answer_ids)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, (port, ink, apart, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    together = pack(documents, ink.starts)
    alone = train(Ranks(), 1, ink, together, len(together.answer_ids))
    begun = parameters(Trainer(config(), CPU, Composer(ink, CPU)))
    for name, parameter in first.items():
        torch.testing.assert_close(parameter, second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(parameter, alone[name], rtol=1e-3, atol=1e-4, msg=name)
    assert sum(not torch.equal(first[name], begun[name]) for name in first) > 20


def test_one_rank_needs_nobody() -> None:
    plan = Plan(1.0, 2, True, False, True, 7)
    assert Ranks().agree(plan) is plan
    assert Ranks().gather("x") == ["x"]
    assert Ranks().is_first


def test_the_mean_of_weighted_means_is_the_mean_of_all() -> None:
    means, counts = (0.5, 2.0), (30, 10)
    weighted = [mean * mean_weight(count, 40, 2) for mean, count in zip(means, counts, strict=True)]
    assert sum(weighted) / 2 == pytest.approx((0.5 * 30 + 2.0 * 10) / 40)


def test_a_run_begins_from_an_exported_checkpoint(typesetter: Typesetter, tmp_path: Path) -> None:
    composer = Composer(typesetter.ink_table(), CPU)
    old, new = (Trainer(config(seed), CPU, composer) for seed in (1, 2))
    export(old.reader.model, tmp_path, tmp_path)
    new.begin_from(tmp_path)
    for name, parameter in new.reader.model.named_parameters():
        wanted = dict(old.reader.model.named_parameters())[name].to(torch.bfloat16).float()
        torch.testing.assert_close(parameter.detach(), wanted, rtol=0, atol=0, msg=name)
    assert new.step == 0


def test_curves_are_drawn_beside_the_log(tmp_path: Path) -> None:
    assert draw_curves(tmp_path) is None
    pytest.importorskip("matplotlib")
    (tmp_path / "log.jsonl").write_text('{"elapsed_s": 1, "loss": 2.0, "glyph_loss": 1.0, "needle": 0.5}\n' * 2)
    (tmp_path / "evaluations.jsonl").write_text('{"step": 3, "elapsed_s": 2, "8 pages": 0.25}\n')
    assert read_log(tmp_path / "evaluations.jsonl")[0]["8 pages"] == 0.25
    picture = draw_curves(tmp_path)
    assert picture is not None
    assert picture.read_bytes().startswith(b"\x89PNG")
