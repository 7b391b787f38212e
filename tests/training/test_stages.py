"""Both stages of training, for every family: what learns, that it learns, that a run goes on where it stopped."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
import transformers
from safetensors.torch import load_file

from glyph_core.answering.reader import Reader
from glyph_core.config import PRESETS, PipelineConfig, SamplingConfig
from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.transformers_family import TransformersFamily
from glyph_core.pipeline import Pipeline
from glyph_core.training.parallel import Ranks, join, leave
from glyph_core.training.stages.command import run_stage
from glyph_core.training.stages.config import StageConfig
from glyph_core.training.stages.examples import ExampleMaker, collate
from glyph_core.training.stages.reader import FamilyReader
from glyph_core.training.stages.samples import JsonlSamples
from glyph_core.training.stages.trainer import StageTrainer
from glyph_core.types import DocumentSource
from tests.tiny_families import ALL_FAMILIES, hf_inputs, make_tiny
from tests.training.words import QUESTION, WORDS, losses, write_words

SMALL = PRESETS["mini"].model_copy(update={"page_width_px": 112, "page_height_px": 56, "min_width_px": 112})
CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_words(tmp_path / "words.jsonl", [(word, 0) for word in WORDS[:6]])


def config(folder: Path, data: Path, stage: str = "instruct", **fields: Any) -> StageConfig:
    values = {"render": SMALL, "steps": 4, "batch_size": 4, "micro_batch": 2, "rate": 1e-3, "device": "cpu"}
    return StageConfig.model_validate({"stage": stage, "model": str(folder), "data": data} | values | fields)


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_the_loss_is_transformers(tmp_path: Path, data: Path, name: str) -> None:
    """Features in their places, positions and labels: the loss of ``…ForConditionalGeneration`` itself."""
    folder = make_tiny(tmp_path / name, name)
    checkpoint = resolve_checkpoint(str(folder))
    family = family_of(checkpoint)
    assert isinstance(family, TransformersFamily)
    maker = ExampleMaker(config(folder, data), Reader.of(checkpoint), SMALL)
    samples = JsonlSamples(data, 1)
    examples = [maker.make(samples.draw(number), number) for number in range(2)]
    reader = FamilyReader(family, torch.float32, CPU)
    ours = reader.loss(collate(examples)).item()
    model = getattr(transformers, family.architecture).from_pretrained(folder, dtype=torch.float32).eval()
    theirs = 0.0
    for example in examples:
        turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
        inputs = hf_inputs(folder, example.pages, turn)
        answer = torch.tensor([example.answer_ids])
        ids = torch.cat([inputs.pop("input_ids"), answer], dim=1)
        labels = torch.full_like(ids, -100)
        labels[:, -answer.shape[1] :] = answer
        inputs["attention_mask"] = torch.ones_like(ids)
        if "mm_token_type_ids" in inputs:
            types = inputs["mm_token_type_ids"]
            inputs["mm_token_type_ids"] = torch.cat([types, torch.zeros(1, answer.shape[1], dtype=types.dtype)], dim=1)
        with torch.no_grad():
            theirs += model(input_ids=ids, labels=labels, **inputs).loss.item() * answer.shape[1]
    assert ours == pytest.approx(theirs, rel=2e-5)


@pytest.mark.parametrize("name", ["glm4v", "llava_next", "qwen3_vl"])
@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_a_stage_changes_its_parts_and_leaves_a_checkpoint(tmp_path: Path, data: Path, name: str, stage: str) -> None:
    folder = make_tiny(tmp_path / name, name)
    settings = config(folder, data, stage, steps=2, gradient_checkpointing=stage == "instruct")
    trainer = StageTrainer(settings, tmp_path / "run")
    parts = {part: set(trainer.model.parameters_of(part)) for part in ("projector", "vision", "text")}
    before = {n: weight.detach().clone() for n, weight in trainer.model.model.named_parameters()}
    exported = trainer.run()
    assert exported is not None
    changed = {n for n, weight in trainer.model.model.named_parameters() if not torch.equal(weight, before[n])}
    expected = parts["projector"] if stage == "align" else parts["projector"] | parts["vision"] | parts["text"]
    assert changed <= expected
    assert all(changed & parts[part] for part in parts if parts[part] & expected)
    pipeline = Pipeline.from_pretrained(exported, PipelineConfig(render=SMALL))
    answer = pipeline.ask([DocumentSource("a.txt", b"anchor")], QUESTION, sampling=SamplingConfig(max_tokens=4))
    assert answer.num_pages == 1


@pytest.mark.parametrize("rank", [None, 2], ids=["all weights", "lora"])
def test_a_resumed_run_has_the_same_losses(tmp_path: Path, data: Path, rank: int | None) -> None:
    folder = make_tiny(tmp_path / "llava", "llava")
    settings = config(folder, data, steps=6, save_every=2, lora_rank=rank)
    whole = StageTrainer(settings, tmp_path / "whole").run()
    stopped = StageTrainer(settings, tmp_path / "stopped")
    assert stopped.run(until=3) is None
    again = StageTrainer(settings, tmp_path / "stopped")
    again.resume()
    assert again.step == 3
    resumed = again.run()
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 6
    assert whole is not None
    assert resumed is not None
    one, other = (load_file(path / "model.safetensors") for path in (whole, resumed))
    assert one.keys() == other.keys() == load_file(folder / "model.safetensors").keys()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_lora_changes_the_language_model_through_few_weights(tmp_path: Path, data: Path) -> None:
    folder = make_tiny(tmp_path / "llava", "llava")
    trainer = StageTrainer(config(folder, data, lora_rank=2, trains=("projector", "text")), tmp_path / "run")
    names = {name for name in trainer.learning if "language_model" in name}
    assert names
    assert all("lora_" in name for name in names)
    exported = trainer.run()
    assert exported is not None
    before, after = load_file(folder / "model.safetensors"), load_file(exported / "model.safetensors")
    name = next(name for name in before if name.endswith("layers.0.self_attn.q_proj.weight"))
    sizes = torch.linalg.svdvals((after[name] - before[name]).double())
    assert sizes[1] > 0
    assert sizes[2] < 0.01 * sizes[1], "more than two directions changed, and not by rounding"
    assert all(torch.equal(after[name], before[name]) for name in before if "embed_tokens" in name)


def test_what_is_cut_is_not_taught_to_end_there(tmp_path: Path, data: Path) -> None:
    reader = Reader.of(resolve_checkpoint(str(make_tiny(tmp_path / "llava", "llava"))))
    sample = JsonlSamples(data, 1).draw(0)
    encoded, end = tuple(reader.tokenizer.encode(sample.answer)), reader.checkpoint.eos_token_ids[0]
    for length in (len(encoded), len(encoded) + 1, 512):
        maker = ExampleMaker(config(tmp_path / "llava", data, max_answer_tokens=length), reader, SMALL)
        ended = (*encoded, end)
        assert maker.make(sample, 0).answer_ids == ended[:length]


def test_what_a_stage_cannot_do(tmp_path: Path, data: Path) -> None:
    folder = make_tiny(tmp_path / "llava", "llava")
    with pytest.raises(ConfigError, match="one of them"):
        StageTrainer(config(folder, data).model_copy(update={"data": None}), tmp_path / "run")
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "question": "b"}\n')
    with pytest.raises(ConfigError, match="line 1: it needs question, answer"):
        StageTrainer(config(folder, tmp_path / "bad.jsonl"), tmp_path / "run")
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "question": null, "answer": "b"}\n')
    with pytest.raises(ConfigError, match="line 1: it needs question, answer"):
        StageTrainer(config(folder, tmp_path / "bad.jsonl"), tmp_path / "run")
    with pytest.raises(ConfigError, match="batch_size=1 leaves 1 of 2 processes without an example"):
        StageTrainer(config(folder, data, batch_size=1, micro_batch=1), tmp_path / "run", Pretended(0, 2))
    StageTrainer(config(folder, data, "align", steps=1), tmp_path / "run").run()
    with pytest.raises(ConfigError, match="other weights learn"):
        StageTrainer(config(folder, data), tmp_path / "run").resume()


class Pretended(Ranks):
    """Of several, without the others."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count


def test_a_line_of_the_jsonl_ends_where_json_lets_it(tmp_path: Path) -> None:
    """U+2028 and U+0085 stand in strings of JSON as they are, and end lines for ``splitlines``."""
    line = {"text": "one\u2028two\u0085three", "question": "q", "answer": 12}
    (tmp_path / "a.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\r\n\n", encoding="utf-8", newline="")
    sample = JsonlSamples(tmp_path / "a.jsonl", 1).draw(0)
    assert sample.source.content.decode() == line["text"]
    assert sample.answer == "12"


def exact_trainer(settings: StageConfig, folder: Path, ranks: Ranks | None = None) -> StageTrainer:
    """In float64: what is left between two runs is no rounding."""
    trainer = StageTrainer(settings, folder, ranks)
    trainer.model.double()
    trainer.model._vision.dtype = torch.float64
    return trainer


def run_rank(rank: int, port: int, settings: StageConfig, folder: str) -> None:
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    ranks = join(CPU)
    exact_trainer(settings, Path(folder), ranks).run()
    leave(ranks)


def test_two_ranks_have_the_losses_of_one(tmp_path: Path, data: Path) -> None:
    """As torchrun starts them; answers are of unlike lengths, so that ranks bring unlike numbers of tokens.

    In float32 the order of a sum is a difference of 1e-7, and training makes 2 % of it within six steps, between two
    sizes of micro_batch in one process as between one GPU and two.
    """
    write_words(data, [("a", 0), ("kitten", 1), ("bag", 2), ("engine", 0)])
    folder = make_tiny(tmp_path / "llava", "llava")
    settings = config(folder, data, steps=8, micro_batch=1)
    exact_trainer(settings, tmp_path / "alone").run()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, (port, settings, str(tmp_path / "together")), nprocs=2)  # type: ignore[no-untyped-call]
    alone, together = losses(tmp_path / "alone"), losses(tmp_path / "together")
    assert [step for step, _ in together] == list(range(1, 9))
    assert [loss for _, loss in together] == pytest.approx([loss for _, loss in alone], rel=1e-9)


def test_the_command(tmp_path: Path, data: Path) -> None:
    folder = make_tiny(tmp_path / "qwen", "qwen2_5_vl")
    render = json.dumps(SMALL.model_dump())
    arguments = ["--stage", "align", "--model", str(folder), "--data", str(data), "--out", str(tmp_path / "run")]
    options = ["steps=3", "batch_size=2", "save_every=1", f"render={render}", "device=cpu"]
    run_stage([*arguments, "--until", "2", "--set", *options])
    assert not (tmp_path / "run" / "export").exists()
    run_stage([*arguments, "--resume", "--set", *options])
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3]
    assert family_of(resolve_checkpoint(str(tmp_path / "run" / "export"))).shape().text.num_layers == 4
