"""The trainer: its forward pass is transformers', it learns, resumes exactly, and exports what it trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Glm4vForConditionalGeneration

from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.patches import read_geometry
from glyph_core.training.batch import Batch, PackedDocument, pack
from glyph_core.training.checkpointing import load_state, save_pieces
from glyph_core.training.composer import Composer, page_of_blocks
from glyph_core.training.curriculum import PageSpec, Stage, make_document
from glyph_core.training.export import export
from glyph_core.training.looks import Typesetter
from glyph_core.training.material import Material
from glyph_core.training.model import ModelShape
from glyph_core.training.step import DeviceBatch, compose_pictures, run_step
from glyph_core.training.text_sources import Split, TextSources
from glyph_core.training.trainer import TrainConfig, Trainer
from glyph_core.training.vocabulary import ANSWER_HEAD, ID_OF, PROMPT_HEAD, SPECIAL_TOKENS

CPU = torch.device("cpu")
SHAPE = ModelShape(vision_hidden=64, vision_depth=2, vision_heads=2, vision_intermediate=96, hidden=128, depth=2,
                   heads=4, intermediate=160, mrope_section=(2, 3, 3))  # fmt: skip
SIZES = (
    {"columns": (8, 8), "rows": (2, 2)},
    {"columns": (9, 9), "rows": (4, 4), "pages": (2, 2), "looks": {"sans": 1.0}},
)


@pytest.fixture(scope="module")
def documents(sources: TextSources, typesetter: Typesetter) -> list[PackedDocument]:
    """One page in mono and two in sans, each with questions; black on white."""
    material = Material(sources.side(Split.TRAIN), Split.TRAIN, seed=5)
    specs = [PageSpec.model_validate({"name": "s", "num_questions": 3, "plain": 1, "scans": 0, **s}) for s in SIZES]
    made = [next(filter(None, iter(lambda s=spec: make_document(material, typesetter, s), 0))) for spec in specs]
    assert [len(document.pages) > 1 for document in made] == [False, True]
    return made


@pytest.fixture(scope="module")
def batch(documents: list[PackedDocument], typesetter: Typesetter) -> Batch:
    return pack(documents, typesetter.ink_table().starts)


def trainer(typesetter: Typesetter, **changes: object) -> Trainer:
    stage = Stage(specs=(PageSpec(name="s"),))
    values: dict[str, object] = {"shape": SHAPE, "stages": (stage,), "steps": 100, "compiled": False, "warmup_steps": 5}
    return Trainer(TrainConfig.model_validate({**values, **changes}), CPU, Composer(typesetter.ink_table(), CPU))


def on_device(batch: Batch) -> DeviceBatch:
    return DeviceBatch(batch, CPU).move()


def prompt_ids(grids: list[tuple[int, int, int]], question: str) -> list[int]:
    pages = [
        ID_OF[token]
        for _, rows, columns in grids
        for token in ("<|begin_of_image|>", *["<|image|>"] * (rows * columns // 4), "<|end_of_image|>")
    ]
    return [*PROMPT_HEAD, *pages, *question.encode(), *ANSWER_HEAD]


def test_the_packed_pass_equals_transformers(
    documents: list[PackedDocument], batch: Batch, typesetter: Typesetter
) -> None:
    made = trainer(typesetter)
    model = made.reader.model.eval()
    moved = on_device(batch)
    with torch.no_grad():
        losses = run_step(made.reader, made.composer, moved, augmented=False, glyph_weight=0.0).loss
        pictures = compose_pictures(moved, made.composer, augmented=False)
    geometry = read_geometry(resolve_checkpoint("glyph-mini").path)
    wanted, count = 0.0, 0
    for document in documents:
        patches, grids = [], []
        for page in document.pages:
            columns, rows = page.final_grid
            coverage = ((1 - pictures[: columns * rows]) * 255).round().to(torch.uint8)
            pictures = pictures[columns * rows :]
            pixels = page_of_blocks(coverage, columns, rows).numpy()
            patches.append(geometry.patches(pixels))
            grids.append(geometry.grid_thw(pixels.shape[1], pixels.shape[0]))
        for question in document.questions:
            head = prompt_ids(grids, question.text)
            answer = [*question.answer.encode(), ID_OF["<|endoftext|>"]]
            ids = torch.tensor([[*head, *answer[:-1]]])
            with torch.no_grad():
                logits = model(
                    input_ids=ids, pixel_values=torch.from_numpy(np.concatenate(patches)),
                    image_grid_thw=torch.tensor(grids), mm_token_type_ids=(ids == ID_OF["<|image|>"]).int(),
                ).logits[0, len(head) - 1 :]  # fmt: skip
            wanted += float(torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum"))
            count += len(answer)
    assert float(losses) == pytest.approx(wanted / count, abs=2e-5)


def test_special_tokens_and_prompt_are_the_shipped_tokenizers() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_checkpoint("glyph-mini").path)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [ID_OF[token] for token in SPECIAL_TOKENS]
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Größe?"}]}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert tokenizer.encode(text, add_special_tokens=False) == prompt_ids([(1, 2, 2)], "Größe?")


def test_it_learns_a_few_pages_by_heart(batch: Batch, typesetter: Typesetter) -> None:
    made = trainer(typesetter, steps=60, matrix_rate=0.03, glyph_weight=(0.1, 0.1))
    losses = [float(made.train_step(on_device(batch)).loss.detach()) for _ in range(60)]
    assert losses[0] > 5
    assert losses[-1] < 0.25 * losses[0]


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(batch: Batch, typesetter: Typesetter, tmp_path: Path) -> None:
    whole, first = trainer(typesetter), trainer(typesetter)
    for step in range(6):
        torch.manual_seed(step)
        whole.train_step(on_device(batch))
    for step in range(3):
        torch.manual_seed(step)
        first.train_step(on_device(batch))
    first.save(tmp_path)
    second = trainer(typesetter, seed=2)
    second.resume(tmp_path)
    for step in range(3, 6):
        torch.manual_seed(step)
        second.train_step(on_device(batch))
    assert second.step == whole.step
    for (name, ours), theirs in zip(second.reader.named_parameters(), whole.reader.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=name)


def test_pieces_are_small_and_resume_within_bfloat16(batch: Batch, typesetter: Typesetter, tmp_path: Path) -> None:
    made = trainer(typesetter)
    made.train_step(on_device(batch))
    save_pieces(made.state_dict(), tmp_path, with_optimiser=True)
    assert all(path.stat().st_size <= 16 * 2**20 for path in tmp_path.iterdir())
    assert load_state(tmp_path)["step"] == 1
    again = trainer(typesetter, seed=2)
    again.resume(tmp_path)
    for ours, theirs in zip(again.reader.parameters(), made.reader.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)
    again.train_step(on_device(batch))


def test_what_is_exported_is_what_was_trained(batch: Batch, typesetter: Typesetter, tmp_path: Path) -> None:
    made = trainer(typesetter)
    made.train_step(on_device(batch))
    model = made.reader.model
    export(model, tmp_path, resolve_checkpoint("glyph-mini").path)
    assert resolve_checkpoint(str(tmp_path)).preset == "mini"
    loaded = Glm4vForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.dtype == torch.bfloat16
    assert next(model.parameters()).dtype == torch.float32
    rounded = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, rounded[name], rtol=0, atol=0, msg=name)
    ids = torch.tensor([prompt_ids([], "What is it?")])
    model.load_state_dict(rounded)
    as_float = Glm4vForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    torch.testing.assert_close(as_float(ids).logits, model(ids).logits)
